"""From a bundle's graph back to objects: functions, classes, cells and values, each made once, in any Python.

A worker imports this on its way to its first run, so nothing costly may be imported here. The text of a function is
compiled and not executed: its code is picked out by name, line and number. A class is made member by member, or, where
others than Python itself make the class (pydantic, Enum), by its statement. See `capture` for the other side.
"""

from __future__ import annotations

import os
import sys
from binascii import a2b_base64
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

#: Name, first line, and which of that name and line it is.
Step = tuple[str, int, int]
Ref = Any

#: The import at the top binds the feature itself, which knows its flag.
FUTURES = annotations.compiler_flag
#: `ast.PyCF_ALLOW_TOP_LEVEL_AWAIT`: a cell of a notebook may await outside every function, as no file may.
AWAIT_AT_TOP = 0x2000

#: Scopes that some versions of Python have and others do without.
_PASSED_THROUGH = ("<listcomp>", "<dictcomp>", "<setcomp>")
_LEFT_OUT = ("__annotate__", "__annotate_func__", "__annotations__")


def inner_codes(code: CodeType) -> Iterator[tuple[Step, CodeType]]:
    """The functions and classes right inside a code, each with the step that leads to it in any Python."""
    numbers: dict[tuple[str, int], int] = {}
    for inner in _inner(code):
        key = (inner.co_name, inner.co_firstlineno)
        nth = numbers[key] = numbers.get(key, -1) + 1
        yield (*key, nth), inner


def _inner(code: CodeType) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType) and const.co_name not in _LEFT_OUT:
            if const.co_name in _PASSED_THROUGH or const.co_name.startswith("<generic parameters of"):
                yield from _inner(const)
            else:
                yield const


def picked(module: CodeType, path: list[Step]) -> CodeType:
    """The code that a path leads to."""
    at = module
    for step in path:
        at = next(inner for known, inner in inner_codes(at) if known == tuple(step))
    return at


class Builder:
    """Makes the objects of one graph, once. What they are filled with comes later, so that they may hold each other."""

    def __init__(self, graph: dict[str, Any], program: Any) -> None:
        """`program` says what codes and values the bundle has, and gives modules: see `load`."""
        self._nodes: list[Any] = graph["nodes"]
        self._made: dict[int, Any] = {}
        self._pending: deque[Callable[[], object]] = deque()
        #: Dataclasses whose methods are yet to be written, the first that was made first.
        self._unwritten: dict[type, dict[str, Any]] = {}
        self._spaces: list[Any] = graph.get("spaces", [])
        self._opened: dict[int, dict[str, Any]] = {}
        self._program = program

    def build(self, ref: Ref) -> Any:
        """The object of a reference, with all that it holds."""
        made = self.get(ref)
        self._fill()
        return made

    def get(self, ref: Ref) -> Any:
        """The object of a reference, which may yet have to be filled."""
        if type(ref) is list:
            return ref[0]
        if ref in self._made:
            return self._made[ref]
        kind, *parts = self._nodes[ref]
        made = getattr(self, f"_make_{kind}")(ref, *parts)
        return self._made.setdefault(ref, made)

    def space(self, number: int) -> dict[str, Any]:
        """The globals of a module of functions, with all that they hold."""
        names = self._space(number)
        self._fill()
        return names

    def made(self) -> list[Any]:
        """What has been made so far."""
        return list(self._made.values())

    def _later(self, put: Callable[[Any], object], ref: Ref) -> None:
        self._pending.append(lambda: put(self.get(ref)))

    def _fill(self) -> None:
        """Fill all that has been made."""
        while self._pending:
            self._pending.popleft()()
        for made in list(self._unwritten):
            self._write_dataclass(made)

    # Plain values

    def _make_list(self, ref: int, items: list[Ref]) -> list[Any]:
        made: list[Any] = []
        self._made[ref] = made
        self._pending.append(lambda: made.extend([self.get(item) for item in items]))
        return made

    def _make_dict(self, ref: int, items: list[tuple[Ref, Ref]]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        self._made[ref] = made
        self._pending.append(lambda: made.update([(self.get(key), self.get(value)) for key, value in items]))
        return made

    def _make_set(self, ref: int, items: list[Ref]) -> set[Any]:
        made: set[Any] = set()
        self._made[ref] = made
        self._pending.append(lambda: made.update([self.get(item) for item in items]))
        return made

    def _make_tuple(self, _ref: int, items: list[Ref]) -> tuple[Any, ...]:
        return tuple([self.get(item) for item in items])

    def _make_frozenset(self, _ref: int, items: list[Ref]) -> frozenset[Any]:
        return frozenset([self.get(item) for item in items])

    def _make_value(self, ref: int, _text: str) -> Any:
        return self._program.value(ref)

    def _make_at(self, _ref: int, whole: Ref, steps: list[Any]) -> Any:
        """A part of a plain value that something else holds as well."""
        at = self.get(whole)
        for step in steps:
            at = at[step]
        return at

    def _make_import(self, _ref: int, module: str, name: str, below: tuple[str, ...] = ()) -> Any:
        for each in below:
            self._program.imported(each, "")
        return self._program.imported(module, name)

    def _make_own(self, _ref: int, number: int) -> Any:
        """What the UDF's own bundle has, of which this graph is an argument."""
        return self._program.own(number)

    def _make_variable(self, _ref: int, name: str, default: str | None) -> str:
        """What the environment has here: its value has not travelled."""
        from fanfold.errors import CaptureError

        value = os.environ.get(name, default)
        if value is None:
            raise CaptureError(
                f"The UDF's file reads os.environ[{name!r}] at its top, and this worker's environment has no such"
                " variable: its value does not travel.",
                next_step=f'say @udf(secrets=["{name.lower()}"]), or env={{"{name}": ...}} for what is not secret.',
            )
        return value

    # Functions

    def _make_cell(self, ref: int, contents: Ref) -> CellType:
        cell = self._made[ref] = CellType()
        if contents is not None:
            self._later(lambda value: setattr(cell, "cell_contents", value), contents)
        return cell

    def _make_function(self, ref: int, parts: dict[str, Any]) -> FunctionType:
        code = self._code(parts)
        cells = parts.get("cells", {})
        closure = tuple([self.get(cells[n]) if n in cells else CellType() for n in code.co_freevars])
        space = self._space(parts["space"])
        made = self._made[ref] = FunctionType(code, space, parts["name"], None, closure)
        made.__qualname__ = parts.get("qualname", parts["name"])
        made.__module__ = parts["module"] if "module" in parts else space["__name__"]
        for attribute in ("__defaults__", "__kwdefaults__", "__doc__", "__annotations__", "__type_params__"):
            if attribute in parts:
                self._later(lambda value, a=attribute: setattr(made, a, value), parts[attribute])  # type: ignore[misc]
        if attributes := parts.get("attributes"):
            self._pending.append(lambda: made.__dict__.update({n: self.get(value) for n, value in attributes}))
        return made

    def _code(self, parts: dict[str, Any]) -> CodeType:
        kind, *where = parts["code"]
        if kind == "marshal":
            import marshal

            code: CodeType = marshal.loads(a2b_base64(where[0]))  # noqa: S302 - the submitter's own code, as it is
        else:
            code = picked(self._program.code(where[0], where[1]), where[2])
        return code

    def _space(self, number: int) -> dict[str, Any]:
        """The globals of functions: those of a module, which this fills with what they use."""
        if number not in self._opened:
            space = self._spaces[number]
            names = self._opened[number] = self._program.space(space).__dict__
            for name, value in {**space.get("names", {}), **space.get("globals", {})}.items():
                self._later(lambda v, name=name: names.__setitem__(name, v), value)  # type: ignore[misc]
        return self._opened[number]

    def _make_space(self, _ref: int, number: int) -> ModuleType:
        self._space(number)
        module: ModuleType = self._program.space(self._spaces[number])
        return module

    def _make_module(self, ref: int, name: str, members: list[tuple[str, Ref]]) -> ModuleType:
        module = self._made[ref] = ModuleType(name)
        for member, value in members:
            self._later(lambda v, member=member: setattr(module, member, v), value)  # type: ignore[misc]
        return module

    # Objects

    def _make_call(self, ref: int, parts: dict[str, Any]) -> Any:
        """An object taken apart: what makes it, and its state part by part, as `__reduce_ex__` has them."""
        maker = self.get(parts["of"])
        arguments = [self.get(each) for each in parts.get("args", ())]
        named = {name: self.get(each) for name, each in parts.get("kwargs", {}).items()}
        self._fill()
        if ref in self._made:  # what it is made of holds it
            return self._made[ref]
        made = self._made[ref] = maker(*arguments, **named)
        if "state" in parts:
            state = self.get(parts["state"])
            self._fill()
            _set_state(made, state)
            if "shared" in parts and made.__dict__.keys() == state.keys():  # something else may hold that very dict
                made.__dict__ = state
        for item in parts.get("items", ()):
            made.append(self.get(item))
        for key, value in parts.get("pairs", ()):
            made[self.get(key)] = self.get(value)
        for name, value in parts.get("attributes", ()):
            self._later(lambda v, name=name: setattr(made, name, v), value)  # type: ignore[misc]
        for method, each in parts.get("calls", ()):
            given = [self.get(one) for one in each]
            self._fill()
            getattr(made, method)(*given)
        return made

    # Classes

    def _make_class(self, ref: int, parts: dict[str, Any]) -> type:
        """A class as it is, member by member: nothing of its statement is executed."""
        metaclass = self.get(parts["metaclass"])
        bases = tuple([self.get(base) for base in parts["bases"]])
        if any(not isinstance(self._nodes[b], list) or self._nodes[b][0] != "class" for b in parts["bases"]):
            self._fill()
        space = {"__module__": parts["module"], "__qualname__": parts["qualname"]}
        space |= {name: self.get(value) for name, value in parts.get("first", {}).items()}
        if ref in self._made:  # what it is made of holds it
            already: type = self._made[ref]
            return already
        self._made[ref] = made = _bare_class(metaclass, parts["name"], bases, space)
        for name, value in parts["members"]:
            self._later(lambda v, name=name: type.__setattr__(made, name, v), value)  # type: ignore[misc]
        if "dataclass" in parts:
            self._unwritten[made] = parts["dataclass"]
        if "abstract" in parts:
            made.__abstractmethods__ = frozenset(parts["abstract"])  # type: ignore[attr-defined]
        for subclass in parts.get("registered", ()):
            self._later(lambda v: metaclass.register(made, v), subclass)
        return made

    def _write_dataclass(self, made: type) -> bool:
        """Have `dataclass` write a class's methods, its bases' first; whether it has those by now.

        Its annotations must be there first, for they give the order of the fields: where a part of an annotation is
        not filled yet, filling that part writes the class.
        """
        bases = [self._write_dataclass(base) for base in made.__mro__[1:] if base in self._unwritten]
        if not all(bases):
            return False
        parts = self._unwritten.get(made)
        if parts is None:
            return True
        annotations = _own_annotations(made)
        if not annotations.keys() >= {*parts["fields"], *parts.get("class", ())}:
            return False
        del self._unwritten[made]
        given = {name: {n: self.get(v) for n, v in field.items()} for name, field in parts["fields"].items()}
        _written_by_dataclass(made, parts, given, annotations)
        return True

    def _make_statement(self, ref: int, parts: dict[str, Any]) -> Any:
        """A class that its metaclass or a decorator of a library makes of its statement."""
        space = self._space(parts["space"])
        given = [self.get(value) for _, value in parts["given"]]
        local = {name: self.get(value) for name, value in parts.get("local", {}).items()}
        self._fill()
        if ref in self._made:
            return self._made[ref]
        code = self._program.statement(parts)
        made = self._made[ref] = _executed(code, parts, space, given, local)
        made.__qualname__ = parts["qualname"]
        for name, value in parts.get("members", ()):
            self._later(lambda v, name=name: setattr(made, name, v), value)  # type: ignore[misc]
        return made


def _executed(code: CodeType, parts: dict[str, Any], space: dict[str, Any], given: list[Any], local: Any) -> Any:
    """The class that a statement makes. Its names are the module's; those of functions around it are its maker's."""
    found: dict[str, Any] = {}
    space[_GIVEN] = given
    try:
        exec(code, space, found)  # noqa: S102 - the user's own class
        return found[parts["name"]] if not local else found[_MAKER](**local)[parts["name"]]
    finally:
        space.pop(_GIVEN, None)


#: Names that no source has: of the values given to a class's statement, and of the function that executes it.
_GIVEN, _MAKER = "·given", "·make"


def statement_code(text: str, path: str, parts: dict[str, Any]) -> CodeType:
    """The code that makes a class of its statement, with what is given in the place of some expressions."""
    import ast

    tree = ast.parse(text, path)
    lines = (parts["name"], parts["line"])
    node = next(n for n in ast.walk(tree) if isinstance(n, ast.ClassDef) and (n.name, n.lineno) == lines)
    node.decorator_list = [each for n, each in enumerate(node.decorator_list) if n not in parts["without"]]
    spots = {tuple(spot): number for number, (spot, _) in enumerate(parts["given"])}

    class Give(ast.NodeTransformer):
        def generic_visit(self, n: ast.AST) -> ast.AST:
            spot = tuple(getattr(n, name, None) for name in ("lineno", "col_offset", "end_lineno", "end_col_offset"))
            if isinstance(n, ast.expr) and spot in spots:
                name = ast.Name(_GIVEN, ast.Load())
                taken = ast.Subscript(name, ast.Constant(spots[spot]), ast.Load())
                return ast.fix_missing_locations(ast.copy_location(taken, n))
            return super().generic_visit(n)

    made = Give().visit(node)
    flags = FUTURES if parts.get("postponed") else 0
    if not parts.get("local"):
        plain: CodeType = compile(ast.Module([made], []), path, "exec", flags=flags, dont_inherit=True)
        return plain
    arguments = ast.parse(f"def f({', '.join(parts.get('local', {}))}): return locals()").body[0]
    arguments.name, arguments.body = _MAKER, [made, *arguments.body]  # type: ignore[attr-defined]
    module = ast.fix_missing_locations(ast.Module([arguments], []))
    code: CodeType = compile(module, path, "exec", flags=flags, dont_inherit=True)
    return code


def setup_code(text: str, path: str, line: int, column: int) -> CodeType:
    """The code of the statement, or of the decorator, that begins there."""
    import ast

    tree = ast.parse(text, path)
    every = [*tree.body, *(d for n in tree.body for d in getattr(n, "decorator_list", ()))]
    node: Any = next(n for n in every if (n.lineno, n.col_offset) == (line, column))
    if isinstance(node, ast.expr):
        return compile(ast.Expression(node), path, "eval", dont_inherit=True)
    return compile(ast.Module([node], []), path, "exec", dont_inherit=True)


def _bare_class(metaclass: type, name: str, bases: tuple[type, ...], space: dict[str, Any]) -> type:
    """A class without members. What its bases do with each new class (`__init_subclass__`) has been done already."""
    silenced = [(base, c) for base in bases for c in base.__mro__ if _is_made(c) and "__init_subclass__" in vars(c)]
    kept = [(c, vars(c)["__init_subclass__"]) for _, c in silenced]
    for c, _ in kept:
        type.__setattr__(c, "__init_subclass__", classmethod(_do_nothing))
    try:
        # Of a metaclass of the user's only what Python itself does, for the rest has been done.
        maker = next(m for m in metaclass.__mro__ if m.__module__ in ("abc", "typing", "builtins"))
        made: type = maker.__new__(metaclass, name, bases, space)
    finally:
        for c, hook in kept:
            type.__setattr__(c, "__init_subclass__", hook)
    return made


def _own_annotations(made: type) -> dict[str, Any]:
    found: dict[str, Any] = (
        vars(made).get("__annotations__", {}) if sys.version_info < (3, 14) else made.__annotations__
    )
    return found


def _written_by_dataclass(
    made: type, parts: dict[str, Any], given: dict[str, Any], annotations: dict[str, Any]
) -> None:
    import dataclasses
    import typing

    missing = object()
    now = {name: vars(made).get(name, missing) for name in given}
    for name, settings in given.items():
        setattr(made, name, dataclasses.field(**settings))
    # An annotation may be text, of names that the worker does not have: what it meant is known.
    marks = {**dict.fromkeys(parts.get("class", ()), typing.ClassVar)}
    marks |= {name: dataclasses.InitVar(annotations[name]) for name in parts.get("init", ())}
    made.__annotations__ = {n: marks.get(n, a) for n, a in annotations.items() if n in given or n in marks}
    dataclasses.dataclass(made, **parts["options"])
    made.__annotations__ = annotations
    for name, value in now.items():
        if value is not missing:
            setattr(made, name, value)
        elif name in vars(made):
            delattr(made, name)


def _do_nothing(_cls: type, /, **_: Any) -> None:
    """In the place of a hook that has done its work already."""


def _is_made(one: type) -> bool:
    """Whether a class was made from a bundle, not imported."""
    loader = getattr(sys.modules.get(one.__module__), "__loader__", None)
    return type(loader).__module__ == "fanfold.source.load"


def _set_state(made: Any, state: Any) -> None:
    """Give an object its state, as unpickling does."""
    if hasattr(type(made), "__setstate__"):  # a `__getattr__` of the object's own may need its state first
        made.__setstate__(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        made.__dict__.update({sys.intern(k) if type(k) is str else k: v for k, v in state.items()})
    for name, value in (slots or {}).items():
        setattr(made, name, value)


# What a call leaves in a default (`def f(x, seen=[])`) is not there for the next one, as where a function is sent
# with every call. A default that something else holds as well is no function's own, and one that is named as a cache
# is meant to stay.

#: A default with more in it is a table, which nobody fills by calls.
_MOST_IN_DEFAULT = 1000


def own_defaults(functions: Iterable[FunctionType], made: list[Any]) -> list[tuple[Any, Any]]:
    """The lists, dicts and sets that are defaults of some functions and nothing else, each with a copy."""
    found: list[tuple[Any, Any]] = []
    known = {id(each) for each in made}
    alone = _references({"": []}, "")
    for function in functions:
        defaults = _defaults(function)
        for name in defaults:
            if _is_filled_by_calls(name, defaults[name]):
                others = 1 + 2 * (id(defaults[name]) in known)  # the function, and `made` and what that is a copy of
                if _references(defaults, name) == alone + others:
                    found.append((defaults[name], copied(defaults[name])))
    return found


def _defaults(function: FunctionType) -> dict[str, Any]:
    """The defaults of a function by the names of its parameters."""
    if not function.__defaults__:
        return dict(function.__kwdefaults__ or {})
    names = function.__code__.co_varnames[: function.__code__.co_argcount][-len(function.__defaults__) :]
    return {**dict(zip(names, function.__defaults__, strict=True)), **(function.__kwdefaults__ or {})}


def _is_filled_by_calls(name: str, value: Any) -> bool:
    if type(value) not in (list, dict, set) or len(value) > _MOST_IN_DEFAULT:
        return False
    return not (name.startswith("_") or "cache" in name.lower() or "memo" in name.lower())


def _references(held: dict[str, Any], name: str) -> int:
    """How many references there are to a value, this function's own included."""
    value = held[name]
    return sys.getrefcount(value)


def refill(defaults: list[tuple[Any, Any]]) -> None:
    """Have each of these be what it was when `own_defaults` found it."""
    for value, kept in defaults:
        value.clear()
        again = copied(kept)
        if type(value) is list:
            value.extend(again)
        else:
            value.update(again)


def copied(value: Any) -> Any:
    """A container with other containers within; what else it holds is the same."""
    kind = type(value)
    if kind is dict:
        return {key: copied(each) for key, each in value.items()}
    return kind(map(copied, value)) if kind in (list, tuple, set) else value


def functions_in(namespace: dict[str, Any]) -> Iterator[FunctionType]:
    """The functions that a module defines, those of its classes included."""
    for value in list(namespace.values()):
        members = (
            list(vars(value).values()) if type(value) is type and value.__module__ == namespace["__name__"] else []
        )
        for each in (value, *members):
            function = getattr(each, "__func__", each) if isinstance(each, (staticmethod, classmethod)) else each
            if type(function) is FunctionType and function.__globals__ is namespace:
                yield function


class BundleFolder:
    """What `pkgutil.iter_modules` finds below a package: the bundle's modules, and no file that lies there."""

    def __init__(self, modules: dict[str, Any], package: str) -> None:
        self._modules = modules
        self._package = package

    def find_spec(self, name: str, target: object = None) -> None:
        """None: the bundle's finder has found the bundle's modules."""

    def iter_modules(self, prefix: str = "") -> Iterator[tuple[str, bool]]:
        """The names of its modules, and which of them are packages."""
        for name, source in self._modules.items():
            above, _, own = name.rpartition(".")
            if above == self._package:
                yield prefix + own, source.kind != "module"


def adopt_installed(namespace: ModuleType) -> None:
    """Give a fresh namespace package the installed submodules that an earlier run has imported."""
    for name, module in list(sys.modules.items()):
        parent, _, own = name.rpartition(".")
        if parent == namespace.__name__:
            setattr(namespace, own, module)


def is_installed(name: str) -> bool:
    """Whether a module can be imported from this machine's own path."""
    from importlib.machinery import PathFinder

    return PathFinder.find_spec(name) is not None


#: `inspect.CO_VARARGS` and `CO_VARKEYWORDS`: the function has an `*args`, a `**kwargs`.
_CO_VARARGS, _CO_VARKEYWORDS = 4, 8


def _takes_no_names(wrapper: Any) -> bool:
    """Whether a wrapper takes its arguments in order alone: `def wrapper(*args)`, `singledispatch`."""
    if hasattr(wrapper, "dispatch") and hasattr(wrapper, "registry"):
        return True
    code = getattr(wrapper, "__code__", None) or getattr(type(wrapper).__call__, "__code__", None)
    flags = getattr(code, "co_flags", _CO_VARKEYWORDS)
    return bool(flags & _CO_VARARGS and not flags & _CO_VARKEYWORDS)


def by_keywords(function: Any) -> Any:
    """What takes the arguments of a function by name, for one that takes some by position alone.

    The values of its `*args` come under their name as a list.
    """
    inner, in_order = function, False
    while hasattr(inner, "__wrapped__"):
        in_order = in_order or _takes_no_names(inner)
        inner = inner.__wrapped__
    code = getattr(inner, "__code__", None)
    if code is not None and not (in_order or code.co_posonlyargcount or code.co_flags & _CO_VARARGS):
        return function
    from inspect import signature  # costs a worker's start: most functions never come here

    try:
        parameters = signature(function).parameters.values()
    except ValueError:  # written in C, and does not say
        return lambda **given: function(*given.values())
    if not (in_order or any(each.kind in (each.POSITIONAL_ONLY, each.VAR_POSITIONAL) for each in parameters)):
        return function
    rest = next((each.name for each in parameters if each.kind is each.VAR_POSITIONAL), "")

    names = [each.name for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]

    def call(**given: Any) -> Any:
        more = given.pop(rest, ())
        args = []
        for each in parameters:
            if each.kind is each.POSITIONAL_ONLY or (each.kind is each.POSITIONAL_OR_KEYWORD and (more or in_order)):
                if in_order and not more and given.keys().isdisjoint(names):
                    break
                if each.name not in given and each.default is each.empty:
                    break
                args.append(given.pop(each.name, each.default))
        return function(*args, *more, **given)

    return call
