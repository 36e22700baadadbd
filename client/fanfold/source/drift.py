"""Drift: what loaded modules of the project hold by now, where their files would not give the same again.

A module travels as its file, which is executed where it runs. What was replaced, set or changed since travels as well.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType
from typing import Any, NamedTuple

from fanfold.codec import encode_json
from fanfold.errors import CodecError, FanfoldError
from fanfold.source.decorators import udf_function, unwrapped
from fanfold.source.fields import MISSING, declared, is_enum, makes_fields
from fanfold.source.syntax import bindings, bound_names, changed_names, names_in
from fanfold.source.texts import Definition, Place, Source, first_line, inside, top_level

PutBlob = Callable[[str, bytes], object]

#: What a module may not be able to do where it is imported, and then does without.
_ATTEMPTS = (ast.Try, getattr(ast, "TryStar", ast.Try))


class Held(NamedTuple):
    """One thing that a definition holds, as a reader would call it: `helper.k`, `Config.FACTOR`, `LIMIT`."""

    name: str
    value: Any
    #: What the source says; None where it says nothing.
    expression: ast.expr | None
    #: What the expression sees besides the module's names.
    local: Mapping[str, Any] | None = None
    #: Whether the value is to stand in the expression's place, or to be set when the whole has been executed.
    in_place: bool = True
    #: Whose code may change it as it runs.
    within: ast.Module | Definition | None = None
    #: Whether the expression is the only one that gives the value.
    is_sole: bool = True
    #: Whether a decorator or a metaclass had a hand in it.
    is_made_over: bool = False

    @property
    def may_start_anew(self) -> bool:
        """Whether the source is to be trusted with it all the same: its own code changes it, or makes it."""
        changed = self.within is not None and self.name.rpartition(".")[2] in changed_names(self.within)
        return self.is_made_over or changed

    @property
    def key(self) -> str:
        """A name for the value that no source has; a field may have a default, and another value set on its class."""
        own = self.name.replace(".", "·") if "." in self.name else f"{self.name}·now"
        return own if self.in_place else f"{own}·set"

    def differs(self, namespace: dict[str, Any]) -> bool | None:
        """Whether the source would give something else by now; None where there is no telling."""
        if self.expression is None or not self.is_sole:
            return None
        return differs(self.expression, self.value, namespace, self.local)


def by_definition(name: str, place: Place, value: Any) -> Iterator[Held]:
    """What a function or a class holds that this definition made."""
    wrapped = udf_function(value) or value
    made = unwrapped(wrapped)
    if isinstance(made, FunctionType):
        yield from _by_function(name, place.node, made)
        if isinstance(wrapped, FunctionType):
            yield from _set_on(name, vars(wrapped))
    elif isinstance(made, type) and isinstance(place.node, ast.ClassDef):
        yield from _by_class(name, place, made)


def by_module(source: Source, namespace: Mapping[str, Any]) -> Iterator[Held]:
    """What a module of that source holds under the names that it binds at its top level."""
    places = list(top_level(source))
    at_once = changed_names(source.tree, at_once=True)
    for name, binders in bindings(places).items():
        value = namespace.get(name, MISSING)
        if value is MISSING or any(isinstance(node, _ATTEMPTS) for place in binders for node in place.ancestors):
            continue
        if isinstance(binders[-1].node, Definition):
            yield from by_definition(name, binders[-1], value)
        elif all(assigned(place.node) == name for place in binders):
            held = Held(name, value, None, None, name not in at_once, source.tree, len(binders) == 1)
            # Where one or another may be executed, all of them; of those that follow each other, what stays.
            last = binders if any(place.ancestors for place in binders) else binders[-1:]
            yield from (held._replace(expression=place.node.value) for place in last)  # type: ignore[attr-defined]


def _by_function(name: str, node: ast.stmt, function: FunctionType) -> Iterator[Held]:
    """The defaults of a function's parameters."""
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return
    if first_line(node) != function.__code__.co_firstlineno:
        return
    spec = node.args
    positional = [*spec.posonlyargs, *spec.args][-len(spec.defaults) :] if spec.defaults else []
    values = dict(zip([arg.arg for arg in reversed(positional)], reversed(function.__defaults__ or ()), strict=False))
    values |= function.__kwdefaults__ or {}
    for arg, default in zip([*positional, *spec.kwonlyargs], [*spec.defaults, *spec.kw_defaults], strict=True):
        if default is not None and arg.arg in values:
            yield Held(f"{name}.{arg.arg}", values[arg.arg], default, within=node)


def _set_on(name: str, attributes: Mapping[str, Any]) -> Iterator[Held]:
    """Attributes that no statement of the definition's own has given."""
    for attribute, value in attributes.items():
        if not attribute.startswith("_"):
            yield Held(f"{name}.{attribute}", value, None, in_place=False)


def _by_class(name: str, place: Place, made: type) -> Iterator[Held]:
    """A class's attributes, its methods' defaults, and what was set on it since."""
    statements = list(inside(place))
    if not _is_made_by(statements, made):
        return
    bound = [n for statement in statements for n in bound_names(statement.node)]
    before: dict[str, Any] = {}
    for statement in statements:
        node, member = statement.node, vars(made).get(_mangled(_named(statement.node), made.__name__))
        if isinstance(node, ast.ClassDef) and isinstance(member, type):
            yield from _by_class(f"{name}.{node.name}", statement, member)
        elif isinstance(node, Definition) and (function := _function(member)):
            yield from _by_function(f"{name}.{node.name}", node, function)
        elif (target := assigned(node)) and bound.count(target) == 1:
            for held in _by_assignment(name, node.value, target, place.node, made):  # type: ignore[attr-defined, arg-type]
                yield held._replace(local=before.copy())
        before |= {n: vars(made)[n] for n in bound_names(node) if n in vars(made)}
    if _is_plain(place.node, made) or "__dataclass_fields__" in vars(made):
        known = {n for n in bound if declared(made, n) is MISSING or same(declared(made, n), vars(made).get(n))}
        yield from _set_on(name, {n: value for n, value in vars(made).items() if n not in known})


def _by_assignment(name: str, expression: ast.expr, target: str, node: ast.ClassDef, made: type) -> Iterator[Held]:
    members, plain = vars(made), _is_plain(node, made)
    default = declared(made, target)
    value = members.get(_mangled(target, made.__name__), MISSING) if default is MISSING else default
    # A call in such a class is a field with all its settings, of which the value is only one.
    if value is MISSING or (isinstance(expression, ast.Call) and not plain):
        return
    if is_enum(made) and (default is MISSING or not names_in([expression])):
        return
    as_said = plain or default is not MISSING or makes_fields(made)
    in_place = as_said and target not in changed_names(node, at_once=True)
    is_made_over = not as_said or is_enum(made)
    yield Held(f"{name}.{target}", value, expression, None, in_place, node, is_made_over=is_made_over)


def _is_made_by(statements: list[Place], made: type) -> bool:
    """Whether a class is the one that a body of these statements makes, and not one of C's in its place."""
    lines = {first_line(s.node) for s in statements if isinstance(s.node, (ast.FunctionDef, ast.AsyncFunctionDef))}
    functions = filter(None, map(_function, vars(made).values()))
    return not lines or any(function.__code__.co_firstlineno in lines for function in functions)


def _is_plain(node: ast.stmt, made: type) -> bool:
    """Whether nothing but the class's body has made it what it is."""
    return type(made).__name__ in ("type", "ABCMeta") and not getattr(node, "decorator_list", ())


def _function(member: Any) -> FunctionType | None:
    """The function of a method of any kind."""
    for inner in ("__func__", "fget"):
        member = getattr(member, inner, None) or member
    return member if isinstance(member, FunctionType) else None


def _named(node: ast.stmt) -> str:
    return node.name if isinstance(node, Definition) else ""


def _mangled(attribute: str, owner: str) -> str:
    private = attribute.startswith("__") and not attribute.endswith("__")
    return f"_{owner.lstrip('_')}{attribute}" if private else attribute


def assigned(node: ast.stmt) -> str | None:
    """The one name that an assignment gives a value; None for any other statement."""
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
        return None
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


# What an expression gives now: told by evaluating it, where that can change nothing

#: Reading names, attributes and items, and arithmetic. A call might do anything, and twice.
_HARMLESS = (
    ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Starred, ast.expr_context,
    ast.Dict, ast.List, ast.Tuple, ast.Set, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop,
)  # fmt: skip


def is_harmless(expression: ast.expr) -> bool:
    """Whether an expression may be evaluated though nobody asked for it."""
    return all(isinstance(node, _HARMLESS) for node in ast.walk(expression))


def differs(
    expression: ast.expr, value: Any, namespace: dict[str, Any], local: Mapping[str, Any] | None = None
) -> bool | None:
    """Whether an expression would give something else than `value` by now; None where there is no telling."""
    if type(expression) is ast.Constant:
        return not same(expression.value, value)
    if not is_harmless(expression):
        return None
    try:
        made = evaluated(expression, namespace, local)
    except Exception:  # noqa: BLE001 - a name that is gone, or an object of the user's that will not be read
        return None
    return not same(made, value)


def evaluated(expression: ast.expr, namespace: dict[str, Any], local: Mapping[str, Any] | None = None) -> Any:
    """The value of an expression that is known to be harmless."""
    return eval(compile(ast.Expression(expression), "<now>", "eval"), namespace, local)  # noqa: S307 - see above


def same(one: Any, other: Any) -> bool:
    """Whether two values are one, or equal in all that a codec writes of them, or in what they are made of."""
    if one is other or type(one) is not type(other):
        return one is other
    text = encoded(one)
    if text is not None:
        return text == encoded(other)
    if type(one).__name__ == "builtin_function_or_method":  # made anew each time that it is asked for
        return one.__self__ is other.__self__ and bool(one.__name__ == other.__name__)
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - an object of the user's, which raises whatever it is asked
        return False


def encoded(value: Any, put_blob: PutBlob | None = None, name: str = "value") -> str | None:
    """The codec's text of a value; None where it knows none. Raises what `put_blob` does."""
    try:
        return encode_json(value, put_blob=put_blob, name=name, own=None)
    except CodecError:
        return None
    except (FanfoldError, OSError):  # of the last, `put_blob` is the only source
        raise
    except Exception:  # noqa: BLE001 - a proxy of the user's, which raises whatever it is asked
        return None
