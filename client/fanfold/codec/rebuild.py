"""Objects put together again from the graph that `objects` writes.

A worker (`trusted`) does what pickle would do, part by part. A reader makes only what `classes` allows, and where a
class is not to be had, or is not the same, gives its plain data and says so in a warning: never something similar.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import tzinfo
from types import MemberDescriptorType
from typing import Any

from fanfold.codec import classes
from fanfold.codec.data_notes import tell
from fanfold.codec.encoded import Damaged
from fanfold.codec.exceptions import exception_of, is_group, new_exception, own_name, set_field, set_state
from fanfold.codec.registry import is_sealed
from fanfold.contract.records import NamedTuple
from fanfold.errors import UPDATE, CodecError, FanfoldError

FromSource = Callable[[Any], Any]


class Ref(NamedTuple):
    """Stands for a node of the graph."""

    number: int


class Missing(NamedTuple):
    """A class or function that this process does not have or does not take: its name, and why."""

    name: str
    reason: str


#: What says itself what is wrong.
_OWN_ERRORS = (FanfoldError, Damaged, ImportError, MemoryError)

#: A step of the building: asks for parts by yielding their trees, and returns what it has built.
_Build = Generator[Any, Any, Any]

#: How often a node may be begun anew: a tuple within a list within itself is begun twice.
_MOST_BEGINNINGS = 3

#: Built-in kinds that a class may extend, and that make a value of it without its own `__new__`.
_BASES = (tuple, str, bytes, int, float, complex, list, dict, set, frozenset, tzinfo)


def put_together(nodes: Any, *, trusted: bool, from_source: FromSource | None) -> Any:
    """The value of node 0. Raises `CodecError` where a worker lacks what it needs, `Damaged` where nodes are wrong."""
    if not isinstance(nodes, list) or not nodes:
        raise Damaged("a graph has nodes")
    if not trusted:
        builder: _Builder = _Reader(nodes, from_source)
    else:
        builder = (_TrustingReader if isinstance(from_source, classes.Definitions) else _Worker)(nodes, from_source)
    value = builder.value(Ref(0))
    builder.warn()
    return value


class _Builder:
    """Builds node after node with a stack of its own, so that depth is no matter."""

    def __init__(self, nodes: list[Any], from_source: FromSource | None) -> None:
        self._nodes = nodes
        self._from_source = from_source
        self._made: dict[int, Any] = {}
        self._begun: dict[int, int] = {}
        self._missing: dict[str, str] = {}

    def value(self, tree: Any) -> Any:
        """What a tree stands for."""
        stack: list[_Build] = [self._one(tree)]
        given: Any = None
        while stack:
            try:
                wanted = stack[-1].send(given)
            except StopIteration as done:
                stack.pop()
                given = done.value
                continue
            if type(wanted) is not Ref:
                given = wanted
            elif wanted.number in self._made:
                given = self._made[wanted.number]
            else:
                stack.append(self._node(wanted.number))
                given = None
        return _shown(given)

    def warn(self) -> None:
        """Say what was read as plain data."""
        for name, reason in self._missing.items():
            tell(name, reason)

    def _one(self, tree: Any) -> _Build:
        return (yield tree)

    def _node(self, number: int) -> _Build:
        if not isinstance(number, int) or not 0 <= number < len(self._nodes):
            raise Damaged("a part that is not there")
        node = self._nodes[number]
        self._begun[number] = self._begun.get(number, 0) + 1
        if self._begun[number] > _MOST_BEGINNINGS:
            raise Damaged("a part that is made of itself")
        if not isinstance(node, list) or not node or not isinstance(node[0], str):
            raise Damaged("a node without a kind")
        build = getattr(self, f"_build_{node[0]}", None)
        if build is None:
            raise CodecError(
                f"The value has a part of the kind {node[0]!r}, which is not known to this version.",
                next_step=f"a newer Fanfold wrote this value: {UPDATE}",
            )
        value = yield from build(number, *node[1:])
        return self._made.setdefault(number, value)

    def _shown(self, tree: Any) -> _Build:
        """A part as data: the name of what is missing."""
        return _shown((yield tree))

    def _all(self, trees: Any) -> _Build:
        found = []
        for tree in trees:
            found.append(_shown((yield tree)))
        return found

    # Containers: those that can change are there before their parts are, so that these may refer to them.

    def _build_value(self, _: int, tree: Any) -> _Build:
        return (yield tree)

    def _build_list(self, number: int, trees: Any) -> _Build:
        made: list[Any] = self._made.setdefault(number, [])
        made.extend((yield from self._all(trees)))
        return made

    def _build_dict(self, number: int, pairs: Any) -> _Build:
        made: dict[Any, Any] = self._made.setdefault(number, {})
        for key, item in pairs:
            found = yield from self._shown(key)
            made[found] = yield from self._shown(item)
        return made

    def _build_set(self, number: int, trees: Any) -> _Build:
        made: set[Any] = self._made.setdefault(number, set())
        made.update((yield from self._all(trees)))
        return made

    def _build_tuple(self, _: int, trees: Any) -> _Build:
        return tuple((yield from self._all(trees)))

    def _build_frozenset(self, _: int, trees: Any) -> _Build:
        return frozenset((yield from self._all(trees)))

    # Classes and functions.

    def _build_name(self, _: int, module: Any, qualname: Any, version: Any = None) -> _Build:
        yield None
        return self._named(module, qualname, version)

    def _build_own(self, _: int, module: Any, qualname: Any, fields: Any = None) -> _Build:
        yield None
        try:
            found = self._find(module, qualname)
            is_other = isinstance(found, type) and fields is not None and classes.fields_of(found) != fields
            reason = "the class of that name has other fields here" if is_other else ""
        except LookupError as error:
            found, reason = None, str(error.args[0])
        return self._of_the_job(module, qualname, reason) if reason else found

    def _of_the_job(self, module: str, qualname: str, reason: str) -> Any:
        """What the job's own code has at a name, for a reader who trusts it: what is here is something else."""
        found = self._from_source.find(module, qualname) if isinstance(self._from_source, classes.Definitions) else None
        return self._lack(f"{module}.{qualname}", reason) if found is None else found

    def _fitting(
        self, found: Any, fits: Callable[[Any], bool], reason: str = "what has that name here is something else"
    ) -> Any:
        """What is found at a name if it fits, and else the job's own, as where a notebook has redefined a class."""
        if isinstance(found, Missing) or fits(found):
            return found
        module, name = getattr(found, "__module__", ""), getattr(found, "__qualname__", "")
        found = self._of_the_job(module, name, reason)
        if not isinstance(found, Missing) and not fits(found):
            raise Damaged(f"what {name} of {module} is not")
        return found

    def _build_source(self, _: int, tree: Any, module: Any = "", qualname: Any = "") -> _Build:
        given = yield tree
        return self._named(module, qualname, None) if self._from_source is None else self._from_source(given)

    def _build_module(self, _: int, name: Any) -> _Build:
        yield None
        return self._module(name)

    def _named(self, module: Any, qualname: Any, version: Any) -> Any:
        if not isinstance(module, str) or not isinstance(qualname, str):
            raise Damaged("a name that is no text")
        try:
            found = self._find(module, qualname)
        except LookupError as error:
            return self._lack(f"{module}.{qualname}", str(error.args[0]))
        here = classes.version_of(module)
        if isinstance(found, type) and version is not None and here is not None and here != version:
            package = module.partition(".")[0]
            return self._lack(f"{module}.{qualname}", f"it was written with {package} {version}, this is {here}")
        return found

    # Objects.

    def _build_enum(self, _: int, kind: Any, member: Any, value: Any) -> _Build:
        found, data = (yield kind), (yield from self._shown(value))
        if isinstance(found, Missing):
            return self._plain(found, data)
        from enum import EnumMeta

        def fits(enum: Any) -> bool:
            known = enum._member_map_.get(member) if isinstance(enum, EnumMeta) else None
            same = known is not None and (known._value_ is data or bool(known._value_ == data))
            same = same or (known is not None and data == member and classes.is_code(known._value_))
            return same or (member is None and isinstance(enum, EnumMeta))

        found = self._fitting(found, fits, f"it has no member {member} of that value here")
        if isinstance(found, Missing):
            return self._plain(found, data)
        return found(data) if member is None else found._member_map_[member]

    def _build_extended(self, number: int, kind: Any, plain: Any, attributes: Any) -> _Build:
        found, whole = (yield kind), (yield plain)
        if isinstance(found, Missing):
            return self._plain(found, whole)
        if not isinstance(found, type):
            raise Damaged("an array or a frame of something that is no class")
        from fanfold.codec.extended import put_on

        made = self._made.setdefault(number, put_on(found, whole))
        for name, tree in attributes:
            vars(made)[name] = yield from self._shown(tree)
        return made

    def _build_sealed(self, number: int, kind: Any, state: Any) -> _Build:
        found, held = (yield kind), (yield state)
        if is_sealed(held):
            return held
        if not isinstance(found, type) or not isinstance(held, dict):
            raise Damaged("a secret of something that is no class")
        made: Any = self._made.setdefault(number, object.__new__(found))
        vars(made).update(held)
        return made

    def _build_exception(
        self, number: int, kind: Any, args: Any, fields: Any, attributes: Any, cause: Any, hides: Any
    ) -> _Build:
        found = yield kind
        found = self._fitting(found, lambda each: isinstance(each, type) and issubclass(each, BaseException))
        if isinstance(found, Missing):
            return self._plain(found, {"type": found.name, "args": (yield from self._all(args))})
        is_whole = is_group(found)
        made = None if is_whole else self._made.setdefault(number, new_exception(found, ()))
        given, told = (yield from self._all(args)), {}
        for name, tree in fields:
            told[name] = yield from self._shown(tree)
        made = exception_of(found, given, told, made)
        self._made.setdefault(number, made)
        for name, item in told.items():
            set_field(made, name, item)
        for name, tree in attributes:
            vars(made)[own_name(name)] = yield from self._shown(tree)
        made.__cause__ = yield cause
        made.__suppress_context__ = bool(hides)
        return made

    def _build_object(
        self, number: int, kind: Any, args: Any, keywords: Any, state: Any = None, items: Any = None, pairs: Any = None
    ) -> _Build:
        found = yield kind
        given = yield from self._all(args)
        named = {}
        for name, tree in keywords:
            named[(yield name)] = yield from self._shown(tree)
        found = self._fitting(found, lambda each: classes.takes(each, given, state))
        made = self._lacking(found, given)
        if made is None:
            made = self._tried(found, lambda: self._new(found, given, named))
        return (yield from self._filled(number, made, given, (state, items, pairs)))

    def _build_call(
        self, number: int, called: Any, args: Any, state: Any = None, items: Any = None, pairs: Any = None
    ) -> _Build:
        found = yield called
        given = yield from self._all(args)
        made = found if isinstance(found, Missing) else self._tried(found, lambda: self._call(found, given))
        return (yield from self._filled(number, made, given, (state, items, pairs)))

    def _filled(self, number: int, made: Any, given: Any, rest: tuple[Any, Any, Any]) -> _Build:
        """An object with its state and its contents; the data of them where there is no object."""
        if not isinstance(made, Missing) and (reason := _unlike(made, rest[0])):
            made = self._lack(_place(type(made)), reason)
        if isinstance(made, Missing):
            return (yield from self._as_data(number, made, given, rest))
        made = self._made.setdefault(number, made)
        try:
            yield from self._fill_in(made, rest)
        except (*_OWN_ERRORS, Warning):
            raise
        except Exception as error:  # noqa: BLE001 - its class's own code may raise anything
            missing = self._refused(type(made), error)
            del self._made[number]
            return (yield from self._as_data(number, missing, given, rest))
        return made

    def _tried(self, called: Any, make: Callable[[], Any]) -> Any:
        """What a class or a function makes; what stands for it where it does not take what it is given."""
        try:
            return make()
        except (*_OWN_ERRORS, Warning):
            raise
        except Exception as error:  # noqa: BLE001 - as above
            return self._refused(called, error)

    def _refused(self, called: Any, error: Exception) -> Missing:
        """What stands for an object whose class does not take here what it was written with. Raises where none may."""
        if not self._missing:
            raise error
        return Missing(_place(called), f"it is made of what is not here ({error})")

    def _fill_in(self, made: Any, rest: tuple[Any, Any, Any]) -> _Build:
        state, items, pairs = rest
        if state is not None:
            yield from self._with_state(made, state)
        for tree in items or ():
            self._append(made, (yield from self._shown(tree)))
        for key, tree in pairs or ():
            found = yield from self._shown(key)
            self._put(made, found, (yield from self._shown(tree)))

    def _with_state(self, made: Any, tree: Any) -> _Build:
        state = yield from self._state(tree)
        if hasattr(type(made), "__setstate__"):  # a `__getattr__` of its own may need its state first
            self._set_state(made, made.__setstate__, state)
            return
        attributes, slots = state if tree[0] == "both" else (state, None)
        if not isinstance(attributes, (dict, type(None))) or not isinstance(slots, (dict, type(None))):
            raise Damaged("a state that is no attributes")
        if attributes:
            vars(made).update(attributes)
        for name, item in (slots or {}).items():
            self._set_slot(made, name, item)

    def _state(self, tree: Any) -> _Build:
        if tree is None:
            return None
        kind, *rest = tree
        if kind == "both":
            first = yield from self._state(rest[0])
            return first, (yield from self._state(rest[1]))
        if kind == "state":
            return (yield from self._shown(rest[0]))
        found = {}
        for name, part in rest[0]:
            found[name] = yield from self._shown(part)
        return found

    def _as_data(self, number: int, missing: Missing, given: Any, rest: tuple[Any, Any, Any]) -> _Build:
        """What an object holds, without the object."""
        state, items, pairs = rest
        data: Any = None
        if pairs is not None:
            data = yield from self._build_dict(number, pairs)
        elif items is not None:
            data = yield from self._build_list(number, items)
        elif state is not None:
            shell = self._made.setdefault(number, {})
            found = yield from self._state(state)
            halves = [half for half in found if half] if state[0] == "both" else [found]
            if all(isinstance(half, dict) for half in halves):
                for half in halves:
                    shell.update(half)
                data = shell
            else:
                data = self._made[number] = found
        else:
            data = given[0] if len(given) == 1 else tuple(given)
        return self._plain(missing, data)

    def _plain(self, missing: Missing, data: Any) -> Any:
        self._missing.setdefault(missing.name, missing.reason)
        return data

    # What a worker and a reader do differently.

    def _find(self, module: str, qualname: str) -> Any:
        raise NotImplementedError

    def _module(self, name: str) -> Any:
        raise NotImplementedError

    def _lack(self, name: str, reason: str) -> Any:
        raise NotImplementedError

    def _lacking(self, found: Any, given: Any) -> Missing | None:
        raise NotImplementedError

    def _new(self, kind: Any, args: Any, keywords: Any) -> Any:
        raise NotImplementedError

    def _call(self, called: Any, args: Any) -> Any:
        raise NotImplementedError

    def _set_state(self, made: Any, setter: Any, state: Any) -> None:
        raise NotImplementedError

    def _set_slot(self, made: Any, name: str, value: Any) -> None:
        raise NotImplementedError

    def _append(self, made: Any, item: Any) -> None:
        raise NotImplementedError

    def _put(self, made: Any, key: Any, item: Any) -> None:
        raise NotImplementedError


class _Worker(_Builder):
    """Where the submitter's own code runs: everything is done as the object said."""

    def _find(self, module: str, qualname: str) -> Any:
        return classes.found_by_worker(module, qualname)

    def _module(self, name: str) -> Any:
        from importlib import import_module

        return import_module(name)

    def _lack(self, name: str, reason: str) -> Any:
        raise CodecError(
            f"The value needs {name}: {reason}.",
            next_step="have the same package and version in both places (`packages=`), or pass plain data.",
        )

    def _lacking(self, found: Any, given: Any) -> Missing | None:  # noqa: ARG002 - a worker lacks nothing
        return None

    def _refused(self, called: Any, error: Exception) -> Missing:
        reason = f"it does not take here what it was written with ({type(error).__name__}: {error})"
        missing: Missing = self._lack(_place(called), reason)
        return missing

    def _new(self, kind: Any, args: Any, keywords: Any) -> Any:
        return kind.__new__(kind, *args, **keywords)

    def _call(self, called: Any, args: Any) -> Any:
        return called(*args)

    def _build_method(self, _: int, of: Any, name: Any) -> _Build:
        found = yield of
        return self._tried(type(found), lambda: getattr(found, name))

    def _set_state(self, made: Any, setter: Any, state: Any) -> None:  # noqa: ARG002 - bound already
        setter(state)

    def _set_slot(self, made: Any, name: str, value: Any) -> None:
        object.__setattr__(made, name, value)

    def _append(self, made: Any, item: Any) -> None:
        made.append(item)

    def _put(self, made: Any, key: Any, item: Any) -> None:
        made[key] = item


class _TrustingReader(_Worker):
    """Where results are read whose writer is trusted: as a worker does, and what is lacking becomes plain data."""

    def _lack(self, name: str, reason: str) -> Any:
        self._missing.setdefault(name, reason)
        return Missing(name, reason)

    def _lacking(self, found: Any, given: Any) -> Missing | None:  # noqa: ARG002 - a call is made of all else
        return found if isinstance(found, Missing) else None

    def _refused(self, called: Any, error: Exception) -> Missing:
        return _Builder._refused(self, called, error) if self._missing else super()._refused(called, error)


class _Reader(_Builder):
    """Where others' bytes are read: nothing is called that they choose."""

    def __init__(self, nodes: list[Any], from_source: FromSource | None) -> None:
        super().__init__(nodes, from_source)
        #: By class: whether its objects may be given their state.
        self._looked_at: dict[type, bool] = {}

    def _find(self, module: str, qualname: str) -> Any:
        return classes.found_by_reader(module, qualname)

    def _module(self, name: str) -> Any:
        return self._lack(str(name), "a reader takes no modules")

    def _lack(self, name: str, reason: str) -> Any:
        self._missing.setdefault(name, reason)
        return Missing(name, reason)

    def _lacking(self, found: Any, given: Any) -> Missing | None:
        if isinstance(found, Missing):
            return found
        if not isinstance(found, type):
            raise Damaged("an object of something that is no class")
        if found not in self._looked_at:
            self._looked_at[found] = not hasattr(found, "__setstate__") or classes.may_set_state(found)
        if not self._looked_at[found]:
            return Missing(f"{found.__module__}.{found.__qualname__}", "a reader does not call its `__setstate__`")
        if _base(found) is object and given:
            return Missing(f"{found.__module__}.{found.__qualname__}", "a reader does not call its `__new__`")
        return None

    def _new(self, kind: Any, args: Any, keywords: Any) -> Any:
        base = _base(kind)
        filled = base in (tuple, bytes, list, dict, set, frozenset) and not hasattr(kind, "_fields")
        if filled and any(type(each) in (int, range) for each in args):
            raise Damaged("a number or a range to fill an object with")
        if keywords:
            raise Damaged("a class made with keywords")
        try:
            if base is tuple and hasattr(kind, "_fields"):
                return tuple.__new__(kind, args)
            return base.__new__(kind, *args)
        except TypeError:  # a class of C's, which only its own `__new__` makes
            return Missing(f"{kind.__module__}.{kind.__qualname__}", "a reader does not call its `__new__`")

    def _call(self, called: Any, args: Any) -> Any:
        name = _place(called)
        if name == "functools.partial" and not (args and callable(args[0])):
            return Missing(name, "a reader does not have what it calls")
        return called(*args) if classes.may_call(called, args) else Missing(name, "a reader does not call it")

    def _build_method(self, _: int, of: Any, name: Any) -> _Build:
        found = yield of
        return self._lack(f"{type(found).__qualname__}.{name}", "a reader takes no methods of objects")

    def _set_state(self, made: Any, setter: Any, state: Any) -> None:
        if not classes.may_set_state(type(made)):
            raise Damaged(f"a state that no {type(made).__qualname__} is given")
        if type(made).__qualname__ == "partial" and not classes.may_be_called_later(state[0]):
            raise Damaged("a partial of a package's class")
        setter(state)

    def _set_slot(self, made: Any, name: str, value: Any) -> None:
        place = next((vars(each)[name] for each in type(made).__mro__ if name in vars(each)), None)
        if not isinstance(place, MemberDescriptorType):  # a property's setter would be code
            raise Damaged(f"a slot {name!r} that is none")
        place.__set__(made, value)

    def _append(self, made: Any, item: Any) -> None:
        from collections import deque

        base = list if isinstance(made, list) else deque
        base.append(made, item)

    def _put(self, made: Any, key: Any, item: Any) -> None:
        from collections import OrderedDict

        base = OrderedDict if isinstance(made, OrderedDict) else dict
        base.__setitem__(made, key, item)


def _place(called: Any) -> str:
    """Where a class or a function stands."""
    return f"{getattr(called, '__module__', '')}.{getattr(called, '__qualname__', called)}"


def _unlike(made: Any, state: Any) -> str:
    """Why an object does not take a state that another Python wrote; empty where it does."""
    marked = 3 if state and state[0] == "both" else 2
    if not state or len(state) <= marked:
        return ""
    from fanfold.codec.state_shapes import unlike

    return unlike(type(made), state[marked])


def _base(kind: type) -> type:
    return next((base for base in _BASES if issubclass(kind, base)), object)


def _shown(value: Any) -> Any:
    return value.name if type(value) is Missing else value


def exception_again(
    kind: Any, args: Any, fields: dict[str, Any], attributes: dict[str, Any], cause: Any, hides: bool
) -> BaseException:
    """An exception of which that is known; its class's `__init__`, which may take something else, is not called."""
    made = exception_of(kind, args, fields)
    set_state(made, (fields, attributes, cause, hides))
    return made
