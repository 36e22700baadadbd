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
from itertools import chain
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
        self.nodes: list[Any] = graph["nodes"]
        #: What has been made so far, by number.
        self.made: dict[int, Any] = {}
        self._pending: deque[Callable[[], object]] = deque()
        #: What waits for something that is being made just now, and how often something has been put into its place.
        self._waiting: list[Callable[[], object]] = []
        self._count = 0
        #: Objects that lack what they hold; parts of these that lack nothing; whether what lacks something is taken.
        self._unfilled, self._whole = set[int](), set[int]()
        self._is_forced = False
        #: Statements that are being made, those to be executed once all else is filled, and puts that go on.
        self.doing: set[int] = set()
        self.on_the_way = self._depth = 0
        #: Dataclasses whose methods are yet to be written, the first that was made first.
        self._unwritten: dict[type, dict[str, Any]] = {}
        self.spaces: list[Any] = graph.get("spaces", [])
        self._opened: dict[int, dict[str, Any]] = {}
        self.program = program

    def build(self, ref: Ref) -> Any:
        """The object of a reference, with all that it holds."""
        made = self.get(ref)
        self.fill()
        return made

    def get(self, ref: Ref) -> Any:
        """The object of a reference, which may yet have to be filled."""
        if type(ref) is list:
            return ref[0]
        if ref in self.made:
            return self.made[ref]
        kind, *parts = self.nodes[ref]
        made = getattr(self, f"_make_{kind}")(ref, *parts)
        return self.made.setdefault(ref, made)

    def space(self, number: int) -> dict[str, Any]:
        """The globals of a module of functions, with all that they hold."""
        names = self.names_of(number)
        self.fill()
        return names

    def later(self, put: Callable[[Any], object], ref: Ref) -> None:
        """Have a thing put where it belongs once it is asked to be filled."""
        self._pending.append(lambda: put(self.get(ref)))

    def fill(self) -> None:
        """Fill all that has been made, as far as it does not wait for what is being made."""
        while self._pending:
            self._put(self._pending.popleft())
            if not self._pending and not self._depth and not self.doing:
                self._wait_no_longer()
        for made in list(self._unwritten):
            try:
                self._write_dataclass(made)
            except NotYet:
                continue

    def _put(self, put: Callable[[], object]) -> None:
        self._depth += 1
        try:
            put()
            self._count += 1
        except NotYet:
            self._waiting.append(put)
        finally:
            self._depth -= 1

    def _wait_no_longer(self) -> None:
        """Have what waits tried again; where that was in vain, it waits for itself, and is made of what is there."""
        if self._waiting and self._is_forced and self._count == 0:
            from fanfold.errors import CaptureError

            raise CaptureError(
                "Objects that the UDF refers to are each made of another one, in a ring that has no first.",
                next_step="make one of them in a function that the UDF calls.",
            )
        self._is_forced, self._count = bool(self._waiting) and self._count == 0, 0
        self._pending, self._waiting = deque(self._waiting), []

    def _fill_later(self, ref: int, put: Callable[[], object], where: Any) -> None:
        self._unfilled.add(ref)
        where.append(lambda: self._finish(ref, put))

    def _finish(self, ref: int, put: Callable[[], object]) -> None:
        put()
        self._unfilled.discard(ref)

    def _fill_these(self, refs: Iterable[Ref], *, deep: bool = True) -> None:
        """Fill what something is made of. Raises `NotYet` where some of it waits for what is being made."""
        self.fill()
        self._require(refs, deep=deep)

    def _require(self, refs: Iterable[Ref], *, deep: bool = False) -> None:
        if self._unfilled and not self._is_forced:
            for ref in refs:
                if type(ref) is int and (ref in self._unfilled or (deep and not self._is_whole(ref))):
                    raise NotYet

    def _is_whole(self, ref: Ref) -> bool:
        seen: set[int] = set()
        pending = [ref]
        while pending:
            at = pending.pop()
            if type(at) is list or at in self._whole or at in seen:
                continue
            if at in self._unfilled:
                return False
            seen.add(at)
            kind, *parts = self.nodes[at]
            if kind in ("list", "tuple", "set", "frozenset", "dict"):
                pending.extend(chain.from_iterable(parts[0]) if kind == "dict" else parts[0])
        self._whole |= seen
        return True

    # Plain values

    def _make_list(self, ref: int, items: list[Ref]) -> list[Any]:
        made: list[Any] = []
        self.made[ref] = made
        self._fill_later(ref, lambda: made.extend([self.get(item) for item in items]), self._pending)
        return made

    def _make_dict(self, ref: int, items: list[tuple[Ref, Ref]]) -> dict[Any, Any]:
        made: dict[Any, Any] = {}
        self.made[ref] = made

        def fill() -> None:
            pairs = [(self.get(key), self.get(value)) for key, value in items]
            self._require(key for key, _ in items)  # a key says its hash
            made.update(pairs)

        self._fill_later(ref, fill, self._pending)
        return made

    def _make_set(self, ref: int, items: list[Ref]) -> set[Any]:
        made: set[Any] = set()
        self.made[ref] = made
        self._fill_later(ref, lambda: made.update(self._hashed(items)), self._pending)
        return made

    def _make_tuple(self, _ref: int, items: list[Ref]) -> tuple[Any, ...]:
        return tuple([self.get(item) for item in items])

    def _make_frozenset(self, _ref: int, items: list[Ref]) -> frozenset[Any]:
        return frozenset(self._hashed(items))

    def _hashed(self, items: list[Ref]) -> list[Any]:
        members = [self.get(item) for item in items]
        self._require(items)
        return members

    def _make_value(self, ref: int, _text: str) -> Any:
        return self.program.value(ref)

    def _make_at(self, _ref: int, whole: Ref, steps: list[Any]) -> Any:
        """A part of a plain value that something else holds as well."""
        at = self.get(whole)
        for step in steps:
            at = at[step]
        return at

    def _make_import(self, _ref: int, module: str, name: str, below: tuple[str, ...] = ()) -> Any:
        for each in below:
            self.program.imported(each, "")
        return self.program.imported(module, name)

    def _make_own(self, _ref: int, number: int) -> Any:
        """What the UDF's own bundle has, of which this graph is an argument."""
        return self.program.own(number)

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
        cell = self.made[ref] = CellType()
        if contents is not None:
            self.later(lambda value: setattr(cell, "cell_contents", value), contents)
        return cell

    def _make_function(self, ref: int, parts: dict[str, Any]) -> FunctionType:
        code = self._code(parts)
        cells = parts.get("cells", {})
        closure = tuple([self.get(cells[n]) if n in cells else CellType() for n in code.co_freevars])
        space = self.names_of(parts["space"])
        made = self.made[ref] = FunctionType(code, space, parts["name"], None, closure)
        made.__qualname__ = parts.get("qualname", parts["name"])
        made.__module__ = parts["module"] if "module" in parts else space["__name__"]
        for attribute in ("__defaults__", "__kwdefaults__", "__doc__", "__annotations__", "__type_params__"):
            if attribute in parts:
                self.later(lambda value, a=attribute: setattr(made, a, value), parts[attribute])  # type: ignore[misc]
        if attributes := parts.get("attributes"):
            self._pending.append(lambda: made.__dict__.update({n: self.get(value) for n, value in attributes}))
        return made

    def _code(self, parts: dict[str, Any]) -> CodeType:
        kind, *where = parts["code"]
        if kind == "marshal":
            import marshal

            code: CodeType = marshal.loads(a2b_base64(where[0]))  # noqa: S302 - the submitter's own code, as it is
        else:
            code = picked(self.program.code(where[0], where[1]), where[2])
        return code

    def names_of(self, number: int) -> dict[str, Any]:
        """The globals of functions: those of a module, which this fills with what they use."""
        if number not in self._opened:
            space = self.spaces[number]
            names = self._opened[number] = self.program.space(space).__dict__
            for name, value in {**space.get("names", {}), **space.get("globals", {})}.items():
                self.later(lambda v, name=name: names.__setitem__(name, v), value)  # type: ignore[misc]
        return self._opened[number]

    def _make_space(self, _ref: int, number: int) -> ModuleType:
        self.names_of(number)
        module: ModuleType = self.program.space(self.spaces[number])
        return module

    def _make_module(self, ref: int, name: str, members: list[tuple[str, Ref]]) -> ModuleType:
        module = self.made[ref] = ModuleType(name)
        for member, value in members:
            self.later(lambda v, member=member: setattr(module, member, v), value)  # type: ignore[misc]
        return module

    # Objects

    def _make_call(self, ref: int, parts: dict[str, Any]) -> Any:
        """An object taken apart: what makes it, and its state part by part, as `__reduce_ex__` has them."""
        maker = self.get(parts["of"])
        arguments = [self.get(each) for each in parts.get("args", ())]
        named = {name: self.get(each) for name, each in parts.get("kwargs", {}).items()}
        self._fill_these([parts["of"], *parts.get("args", ()), *parts.get("kwargs", {}).values()])
        if ref in self.made:  # what it is made of holds it
            return self.made[ref]
        made = self.made[ref] = maker(*arguments, **named)
        try:
            self._complete(made, parts)
        except NotYet:
            self._fill_later(ref, lambda: self._complete(made, parts), self._waiting)
        return made

    def _complete(self, made: Any, parts: dict[str, Any]) -> None:
        """Give an object its state and its items, and make the calls that are due."""
        state = self.get(parts.get("state", [None]))
        items = [self.get(each) for each in parts.get("items", ())]
        pairs = [(self.get(key), self.get(value)) for key, value in parts.get("pairs", ())]
        calls = [(method, [self.get(one) for one in each]) for method, each in parts.get("calls", ())]
        if "state" in parts:
            if hasattr(type(made), "__setstate__"):  # it may look at all of it
                self._fill_these([parts["state"]])
            else:
                self._fill_these(self._own(parts["state"]), deep=False)
            _set_state(made, state)
            if "shared" in parts and made.__dict__.keys() == state.keys():  # something else may hold that very dict
                object.__setattr__(made, "__dict__", state)  # its own `__setattr__` may keep what it is given
        for item in items:
            made.append(item)
        for key, value in pairs:
            made[key] = value
        for name, each in parts.get("attributes", ()):
            self.later(lambda v, name=name: setattr(made, name, v), each)  # type: ignore[misc]
        for method, given in calls:
            self.fill()
            getattr(made, method)(*given)

    def _own(self, state: Ref) -> list[Ref]:
        """What must not be empty of a state: its dicts."""
        kind, *parts = self.nodes[state] if type(state) is int else ["value"]
        return [state, *(parts[0] if kind == "tuple" else ())]

    # Classes

    def _make_class(self, ref: int, parts: dict[str, Any]) -> type:
        """A class as it is, member by member: nothing of its statement is executed."""
        metaclass = self.get(parts["metaclass"])
        bases = tuple([self.get(base) for base in parts["bases"]])
        # A base that is imported needs nothing, and meanwhile somebody might ask for this one.
        if any(
            not isinstance(self.nodes[b], list) or self.nodes[b][0] not in ("class", "import") for b in parts["bases"]
        ):
            self.fill()
        space = {"__module__": parts["module"], "__qualname__": parts["qualname"]}
        space |= {n: tuple(v) if type(v) is list else v for n, v in parts.get("compiled", {}).items()}
        space |= {name: self.get(value) for name, value in parts.get("first", {}).items()}
        if ref in self.made:  # what it is made of holds it
            already: type = self.made[ref]
            return already
        from fanfold.source.statements import bare_class

        self.made[ref] = made = bare_class(metaclass, parts["name"], bases, space)
        for name, value in parts["members"]:
            self._set_member(ref, made, name, value)
        if "dataclass" in parts:
            self._unwritten[made] = parts["dataclass"]
        if "abstract" in parts:
            made.__abstractmethods__ = frozenset(parts["abstract"])  # type: ignore[attr-defined]
        for subclass in parts.get("registered", ()):
            self.later(lambda v: metaclass.register(made, v), subclass)
        return made

    def _set_member(self, ref: int, made: type, name: str, value: Ref) -> None:
        """Give a class a member; without those by which its objects are made, it is not filled."""
        put = lambda: type.__setattr__(made, name, self.get(value))  # noqa: E731
        if name in ("__new__", "__init__"):
            self._fill_later(ref, put, self._pending)
        else:
            self._pending.append(put)

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
        try:
            given = {name: {n: self.get(v) for n, v in field.items()} for name, field in parts["fields"].items()}
        except NotYet:
            self._unwritten[made] = parts
            raise
        from fanfold.source.statements import write_dataclass

        write_dataclass(made, parts, given, annotations)
        return True

    def _make_statement(self, ref: int, parts: dict[str, Any]) -> type:
        """A class that its metaclass or a decorator of a library makes of its statement."""
        from fanfold.source import statements

        return statements.make_class(self, ref, parts)

    def _make_models(self, ref: int, parts: dict[str, Any]) -> bool:
        """What SQLAlchemy maps, and its tables: the statements of a file, executed in their order."""
        from fanfold.source import statements

        return statements.make_models(self, ref, parts)

    def _make_held(self, _ref: int, models: int, space: int, steps: list[Any]) -> Any:
        """What such statements have bound to a name, or a part of it: an attribute, or an item of a list of one."""
        self.get(models)
        found: Any = self.names_of(space)
        for step in steps:
            found = found[step[0]] if type(step) is list else getattr(found, step)
        return found


class NotYet(Exception):
    """It needs a class whose statement is executed later."""


def _own_annotations(made: type) -> dict[str, Any]:
    found: dict[str, Any] = (
        vars(made).get("__annotations__", {}) if sys.version_info < (3, 14) else made.__annotations__
    )
    return found


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
        own = vars(value) if issubclass(type(value), type) else {}
        members = list(own.values()) if own.get("__module__") == namespace["__name__"] else []
        for each in (value, *members):
            # By its type: what stands for something that is not there (a lazy object) answers no question.
            is_wrapped = issubclass(type(each), (staticmethod, classmethod))
            function = each.__func__ if is_wrapped else each
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
