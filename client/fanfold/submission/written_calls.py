"""The calls in a UDF's source: what each is given, as far as its text says, and whether a run is sure to make it."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.source.modules import catches_import_failure
from fanfold.submission.plugins import PACKAGES, PATH_WORDS, UNKNOWN, Text, WrittenCall

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
#: So deep is a text looked into that is put together from others.
_DEEPEST = 8
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
#: The parts of statements and expressions that a run may not come by.
_MAYBE: tuple[tuple[Any, tuple[str, ...]], ...] = (
    ((ast.If, ast.IfExp), ("body", "orelse")),
    (ast.Try, ("handlers",)),
    (ast.Match, ("cases",)),
    ((ast.For, ast.AsyncFor, ast.While), ("orelse",)),
    (_COMPREHENSIONS, ("elt", "key", "value")),
)
#: What else a package raises that cannot load another: xarray of an engine that it does not know.
_ALSO_FAILURES = frozenset({"ValueError", "RuntimeError", "OSError", "AttributeError", "KeyError", "LookupError"})
#: What gives the path that it is given.
_SAME = frozenset({"str", "Path", "PurePath", "fspath", "expanduser", "expandvars", "abspath", "rstrip", "strip"})


class Known(NamedTuple):
    """What is known of names: the modules and functions that they stand for, constants, and the UDF's parameters."""

    modules: Mapping[str, str]
    constants: Mapping[str, Any]
    parameters: Collection[str] = ()


def calls_in(tree: ast.AST, known: Known, called: Mapping[str, bool]) -> Iterator[WrittenCall]:
    """Every call of a text but those that do without what cannot be imported.

    `called` has the functions that every run calls.
    """
    names, once = _imported(tree), _assigned_once(tree)
    stored = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    modules = {name: of for name, of in {**known.modules, **names}.items() if name not in stored}
    own = _parameters(tree) - set(known.parameters)
    constants = {
        name: value for name, value in known.constants.items() if name not in stored | own | set(known.parameters)
    }
    parameters = {name for name in known.parameters if name not in stored}
    given = _Values(constants, once, parameters)
    for node, certain in walked(tree, called):
        if isinstance(node, ast.Call):
            if name := _name_of(node.func, modules, own, once):
                yield _call(node, name, certain, given)
            yield from _handed_on(node, modules, own, given)


class _Values(NamedTuple):
    constants: Mapping[str, Any]
    once: Mapping[str, ast.expr]
    parameters: Collection[str]

    def value(self, node: ast.expr) -> Any:
        """A constant, or UNKNOWN; of what holds others no more than that it is there."""
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name):
            if node.id in self.once:
                found = self.once[node.id]
                return found.value if isinstance(found, ast.Constant) else UNKNOWN
            return self.constants.get(node.id, UNKNOWN)
        return () if isinstance(node, (ast.Dict, ast.List, ast.Tuple, ast.Set)) else UNKNOWN

    def text(self, node: ast.expr, depth: int = 0) -> Text:
        """How a text begins and ends, as far as can be told."""
        value = self.value(node)
        if isinstance(value, str):
            return Text(value, value, whole=True)
        if value is not UNKNOWN or depth > _DEEPEST:
            return Text()
        if isinstance(node, ast.Name):
            if node.id in self.parameters:
                return Text(parameter=node.id, whole=True)
            return self.text(self.once[node.id], depth + 1) if node.id in self.once else Text()
        if isinstance(node, ast.FormattedValue):
            return self.text(node.value, depth + 1) if node.conversion == -1 and node.format_spec is None else Text()
        return self._put_together(_parts(node), depth)

    def _put_together(self, parts: list[ast.expr], depth: int) -> Text:
        if not parts:
            return Text()
        first, last = self.text(parts[0], depth + 1), self.text(parts[-1], depth + 1)
        if len(parts) == 1:
            return first
        return Text(first.start, last.end, first.parameter)


def _parts(node: ast.expr) -> list[ast.expr]:
    """The texts that one is put together from."""
    if isinstance(node, ast.JoinedStr):
        return node.values
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Div)):
        return [node.left, node.right]
    if isinstance(node, ast.Call) and node.args and not node.keywords:
        function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if function == "join" and len(node.args) > 1:  # os.path.join, and no text's own
            return node.args
        return node.args if function in _SAME and len(node.args) == 1 else []
    return []


def _handed_on(
    node: ast.Call, modules: Mapping[str, str], own: Collection[str], values: _Values
) -> Iterator[WrittenCall]:
    """What something else is to call: `map(pd.read_hdf, paths)`, `partial(xr.open_dataset, engine="zarr")`."""
    for each in node.args[:1]:
        name = _name_of(each, modules, own, {})
        if name and not name.startswith("."):
            given = {given.arg: values.value(given.value) for given in node.keywords if given.arg}
            yield WrittenCall(node.lineno, name, given, (), all_given=False, certain=False)


def _call(node: ast.Call, name: str, certain: bool, values: _Values) -> WrittenCall:
    given = {each.arg: values.value(each.value) for each in node.keywords if each.arg}
    args = [each for each in node.args if not isinstance(each, ast.Starred)]
    texts = [values.text(each) for each in args] if len(args) == len(node.args) else []
    named = [values.text(each.value) for each in node.keywords if each.arg in PATH_WORDS]
    all_given = len(given) == len(node.keywords)
    return WrittenCall(node.lineno, name, given, tuple(texts or named), all_given, certain)


def _name_of(function: ast.expr, modules: Mapping[str, str], own: Collection[str], once: Mapping[str, ast.expr]) -> str:
    """A function's name with its module, a method's with a dot before it; empty for what cannot be told."""
    if isinstance(function, ast.Name):
        of = "" if function.id in own else modules.get(function.id, "")
        return of if "." in of else ""
    attributes: list[str] = []
    at = function
    while isinstance(at, ast.Attribute):
        attributes.append(at.attr)
        at = at.value
    if not attributes:
        return ""
    if _is_of_another(at, modules, own, once):
        return ""
    if isinstance(at, ast.Name) and at.id in modules and at.id not in own:
        name = ".".join((modules[at.id], *reversed(attributes)))
        # `pd.DataFrame.to_hdf(frame, path)`: a method of a class's
        return f".{attributes[0]}" if len(attributes) > 1 and attributes[1][:1].isupper() else name
    return f".{attributes[0]}"


def _is_of_another(
    node: ast.expr, modules: Mapping[str, str], own: Collection[str], once: Mapping[str, ast.expr]
) -> bool:
    """Whether an object is made by a package that is none of those whose methods are known: DuckDB has `to_csv`."""
    is_made = False
    for _ in range(_DEEPEST):
        while isinstance(node, (ast.Attribute, ast.Call, ast.Subscript)):
            is_made = is_made or isinstance(node, ast.Call)
            node = node.func if isinstance(node, ast.Call) else node.value
        if not (isinstance(node, ast.Name) and node.id in once):
            break
        node = once[node.id]
    named = modules.get(node.id, "") if isinstance(node, ast.Name) and node.id not in own else ""
    return is_made and bool(named) and named.partition(".")[0] not in PACKAGES


def _imported(tree: ast.AST) -> dict[str, str]:
    """By which names code calls modules, and functions of theirs: `xr` for `xarray`."""
    found: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for each in node.names:
                found[each.asname or each.name.partition(".")[0]] = (
                    each.name if each.asname else each.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.update((each.asname or each.name, f"{node.module}.{each.name}") for each in node.names)
    return found


def _assigned_once(tree: ast.AST) -> dict[str, ast.expr]:
    """The names that one plain assignment gives its value."""
    counts: dict[str, int] = {}
    values: dict[str, ast.expr] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            counts[node.id] = counts.get(node.id, 0) + 1
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            values[node.targets[0].id] = node.value
    return {name: value for name, value in values.items() if counts.get(name) == 1}


def _parameters(tree: ast.AST) -> set[str]:
    """The names of the parameters of all its functions."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, _FUNCTIONS):
            given = node.args
            every = (*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg)
            found.update(each.arg for each in every if each is not None)
    return found


# Whether what stands somewhere is sure to be done by a run that gets to its function.


def surely_called(trees: Iterable[ast.AST], entry: str) -> dict[str, bool]:
    """The functions of these texts that every run calls, by their names.

    One that is kept in a dict, or handed on, may be called; so may a method, whatever it is called on.
    """
    found = {entry: True}
    trees, known = list(trees), 0
    while known != len(found):
        known = len(found)
        for node, certain in (each for tree in trees for each in walked(tree, found)):
            if certain and isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                found[node.func.id] = True
    return found


def walked(tree: ast.AST, called: Mapping[str, bool] | None) -> Iterator[tuple[ast.AST, bool]]:
    """All nodes but those that do without what cannot be imported, each with whether a run is sure to come by.

    `called` has the functions that every run calls; None: it may be any.
    """
    empty = _may_be_empty(tree)
    pending: list[tuple[ast.AST, bool, bool]] = [(tree, True, False)]
    while pending:
        node, certain, is_within = pending.pop()
        yield node, certain
        if _does_without(node):
            continue
        if isinstance(node, _FUNCTIONS):
            name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
            is_called = called is None or called.get(name, False)
            certain = is_called and not (is_within and isinstance(node, ast.Lambda))
            is_within = True
        pending += reversed([(each, here, is_within) for each, here in _within(node, certain, empty)])


def _may_be_empty(tree: ast.AST) -> set[str]:
    """The names that an empty collection is given to, or that are so by default."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and _is_empty(node.value):
            found.update(each.id for each in node.targets if isinstance(each, ast.Name))
        elif isinstance(node, ast.arguments):
            every = [*node.posonlyargs, *node.args]
            pairs = zip(every[len(every) - len(node.defaults) :], node.defaults, strict=True)
            pairs_by_name = zip(node.kwonlyargs, node.kw_defaults, strict=True)
            found.update(each.arg for each, value in (*pairs, *pairs_by_name) if value is not None and _is_empty(value))
            found.update(each.arg for each in (node.vararg, node.kwarg) if each is not None)
    return found


def _is_empty(node: ast.expr) -> bool:
    if isinstance(node, ast.Dict):
        return not node.keys
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return not node.elts
    return isinstance(node, ast.Constant) and not node.value


def _within(node: ast.AST, certain: bool, empty: Collection[str]) -> Iterator[tuple[ast.AST, bool]]:
    maybe = _maybe(node, empty)
    for field, value in ast.iter_fields(node):
        here = certain and field not in maybe
        if isinstance(value, ast.AST):
            yield value, here
        elif isinstance(value, list):
            if isinstance(node, ast.BoolOp):
                yield from ((each, here and at == 0) for at, each in enumerate(value))
                continue
            for each in value:
                if isinstance(each, ast.AST):
                    yield each, here
                    here = here and not (isinstance(each, ast.stmt) and _may_leave(each))


def _maybe(node: ast.AST, empty: Collection[str]) -> Collection[str]:
    """The parts of it that may not be done."""
    if isinstance(node, (ast.For, ast.AsyncFor)) and _names(node.iter, empty):
        return ("body", "orelse")
    if isinstance(node, ast.While) and not isinstance(node.test, ast.Constant):
        return ("body", "orelse")
    if isinstance(node, (ast.If, ast.IfExp)) and isinstance(node.test, ast.Constant):
        return ()
    if isinstance(node, ast.Try) and any(map(_catches_other_failures, node.handlers)):
        return ("body", "handlers", "orelse")
    if isinstance(node, _COMPREHENSIONS) and not any(each.ifs or _names(each.iter, empty) for each in node.generators):
        return ()
    return next((parts for kinds, parts in _MAYBE if isinstance(node, kinds)), ())


def _names(node: ast.expr, names: Collection[str]) -> bool:
    return any(isinstance(each, ast.Name) and each.id in names for each in ast.walk(node))


def _may_leave(node: ast.stmt) -> bool:
    """Whether what follows may not be done, as this has ended the function, or the turn of a loop."""
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)) or not (hasattr(node, "body") or hasattr(node, "cases")):
        return False
    leaves: tuple[type[ast.stmt], ...] = (ast.Return,)
    if not isinstance(node, (ast.For, ast.AsyncFor, ast.While)):
        leaves = (ast.Return, ast.Continue, ast.Break)
    return any(isinstance(each, leaves) for each in ast.walk(node))


def _does_without(node: ast.AST) -> bool:
    if isinstance(node, ast.Try):
        return any(map(catches_import_failure, node.handlers))
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return any("suppress" in ast.dump(each.context_expr) for each in node.items)
    return False


def _catches_other_failures(handler: ast.ExceptHandler) -> bool:
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(isinstance(each, (ast.Name, ast.Attribute)) and ast.unparse(each) in _ALSO_FAILURES for each in types)
