"""The graph that a captured UDF is: one node an object, so that what is one object stays one, and cycles stay cycles.

`functions`, `classes` and `objects` say how each kind of thing is taken apart; this keeps count of what has been seen.
"""

from __future__ import annotations

import ast
import builtins
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import CellType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from fanfold.codec import encode_json
from fanfold.codec.registry import is_secret
from fanfold.codec.values import PutBlob
from fanfold.contract.records import NamedTuple
from fanfold.core.models import sha256
from fanfold.core.processes import python_here
from fanfold.errors import CaptureError
from fanfold.source import refusals
from fanfold.source.functions import Located
from fanfold.source.modules import Project, has_name, is_library, udf_function
from fanfold.source.texts import Kept, Source, UseSite, identifiers

if TYPE_CHECKING:
    from fanfold.codec.sealed import Sealing

#: A literal in a list of its own, or the number of a node.
Ref = Any

#: Not `json.dumps`, which may be the one that the user has replaced.
_written = json.JSONEncoder(separators=(",", ":"), sort_keys=True).encode
_PLAIN_INT_BITS = 4096
_INFINITY = float("inf")


class _Part(NamedTuple):
    """A part of plain data that has been written whole: nobody else has asked for it yet."""

    whole: Ref
    steps: list[Any]


#: Lane, name, what it is, bytes, and file and line.
Lane = tuple[str, str, str, int, str]
_OUTSIDE = -1


class Graph:
    """Nodes by number, what each means for the code hash, and the texts that their code stands in."""

    def __init__(
        self,
        project: Project,
        put_blob: PutBlob,
        home: dict[str, Any] | None,
        sealing: Callable[[], Sealing] | None = None,
    ) -> None:
        """`home` is the namespace of the UDF's own module, of which only what is used travels.

        `sealing()` gives what seals secrets; without it they do not travel.
        """
        self.sealing = sealing
        self.project = project
        self.put_blob = put_blob
        self.home = home
        self.nodes: list[Any] = []
        self.after: list[tuple[str, str, Ref]] = []
        #: Calls that change other code: module, name, arguments by place and by name, and how an error calls it.
        self.effects: list[list[Any]] = []
        #: Settings of libraries as they stand, and what was put into their lists and dicts: see `set_here`.
        self.settings: list[list[Any]] = []
        self.filled: list[list[Any]] = []
        self.needs: dict[tuple[str, str], str] = {}
        #: What the standard library's classes keep in objects that were taken apart: a hash, the classes.
        self.state_shapes: dict[str, list[str]] = {}
        self.mentions: set[str] = set()
        #: Of namespaces, by id, what SQLAlchemy has made in them; the statements of that, each as text and place.
        self.layouts: dict[int, Any] = {}
        self.executed: dict[int, tuple[str, str]] = {}
        #: What stays behind of an object that travels: see `note_left`.
        self.left: list[tuple[str, int, str, str]] = []
        self.kept = Kept()
        self.nodes_kept: list[ast.AST] = []
        self.spaces: list[dict[str, Any]] = []
        #: Objects of their classes that were taken apart: they may open files that they name as text.
        self.of_libraries: list[Any] = []
        self._meanings: list[Any] = []
        self._memo: dict[int, Ref] = {}
        self._alive: list[Any] = []
        self._spaces: dict[int, int] = {}
        self._uses: list[tuple[UseSite, str]] = []
        self._steps: list[str] = []
        self._entered: set[tuple[Ref, int]] = set()
        #: The nodes that are being described, the outermost first; within which each was met first, and where again.
        self._within: list[int] = [_OUTSIDE]
        self._met_in: list[int] = []
        self._met_again: set[tuple[int, int]] = set()
        #: By the node within which it was said: see `lanes`.
        self._lanes: list[tuple[int, Lane]] = []
        #: Nodes that are what a module of the project has under a name.
        self._of_modules: dict[int, tuple[str, str]] = {}

    # What has been seen

    def ref(self, value: Any, step: str = "") -> Ref:
        """A reference to a value; `step` says where in its owner it is, for errors."""
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return [value]
        if kind is int and value.bit_length() <= _PLAIN_INT_BITS:
            return [value]
        if kind is float and -_INFINITY < value < _INFINITY:
            return [value]
        known = self._known(value)
        if known is not None:
            if type(known) is int:
                self._met_again.add((known, self._within[-1]))
            return known
        self._steps.append(step)
        function = udf_function(value)
        number = self.ref(function) if function is not None else self._add(value)
        self._steps.pop()
        self.remember(value, number)
        return number

    def _known(self, value: Any) -> Ref:
        known = self._memo.get(id(value))
        if type(known) is _Part:
            part = self._memo[id(value)] = self.number(["at", known.whole, known.steps])
            self._met_again.add((known.whole, part))
            return part
        return known

    def remember(self, value: Any, ref: Ref) -> None:
        """Have a value known by a reference."""
        self._memo[id(value)] = ref
        self._alive.append(value)

    def remember_part(self, part: Any, whole: Any, steps: list[Any]) -> None:
        """Have a part of plain data known by where it is in the whole."""
        self.remember(part, _Part(self._memo[id(whole)], steps))

    def number(self, node: list[Any], meaning: Any = None) -> int:
        """The number of a node of which nobody has the object, and what it means for the hash, where that is more."""
        self.nodes.append(node)
        self._meanings.append(node if meaning is None else meaning)
        self._met_in.append(self._within[-1])
        return len(self.nodes) - 1

    def annotations(self, value: dict[str, Any]) -> int:
        """What `ref` gives for a function's annotations. Most UDFs hold no other object: `instances` is not needed."""
        number = self.number([])
        if all(type(each) in (str, type(None)) for each in value.values()):
            node: list[Any] = ["value", encode_json(value, own=None)]
        else:
            node = ["dict", [[self.ref(name), self.ref(each, f"[{name!r}]")] for name, each in value.items()]]
        self.nodes[number] = self._meanings[number] = node
        return number

    def label(self) -> str:
        """What a reader would call what is being described: `CONFIG.limits[0]`."""
        name = self._uses[-1][1] if self._uses else ""
        return name + "".join(self._steps)

    def note_version(self, kind: type) -> None:
        """The state of a library's class is read by that version of it alone."""
        package = str(kind.__module__).partition(".")[0]
        if package not in sys.stdlib_module_names and is_library(kind.__module__):
            self.needs[package, f"{self.label() or kind.__qualname__!r} (a {kind.__module__}.{kind.__qualname__})"] = ""

    def note_state(self, kind: type) -> None:
        """The state of an object of the standard library's is read where its class keeps the same."""
        from fanfold.codec.state_shapes import shape, standard_classes

        kinds = standard_classes(kind)
        if kept := shape(kinds):
            what = f"{self.label() or kind.__qualname__!r} (a {kind.__module__}.{kind.__qualname__})"
            self.state_shapes[what] = [kept, *(f"{each.__module__}:{each.__qualname__}" for each in kinds)]

    def note_object(self, value: Any) -> None:
        """An object that is taken apart: of a library, it needs that version, and may open files by itself."""
        self.note_version(type(value))
        if any(is_library(str(each.__module__)) for each in type(value).__mro__[:-1]):
            self.of_libraries.append(value)

    def opened_paths(self) -> dict[str, str]:
        """The paths that objects of libraries open by themselves, for `codec.paths`; nothing where there are none."""
        if not self.of_libraries:
            return {}
        from fanfold.source.opened import opened_paths

        number_of = lambda value: self._memo.get(id(value))  # noqa: E731
        return {"paths": opened_paths(self.of_libraries, number_of, self.nodes, self.spaces)}

    def unnamed_classes(self) -> list[Any]:
        """The classes that no name leads to, as those that a call has made."""
        kinds = {id(each): each for each in self._alive if issubclass(type(each), type)}
        return [each for each in kinds.values() if not has_name(each, each.__module__, each.__qualname__)]

    def knows(self, value: Any) -> bool:
        """Whether the value has a reference already."""
        return id(value) in self._memo

    def number_of(self, value: Any) -> int | None:
        """The number of a value's node, where something refers to it."""
        kind = type(value)
        ref = None if kind is str or kind is bool or value is None else self._known(value)
        return ref if type(ref) is int else None

    def give_name(self, number: int, module: str, name: str) -> None:
        """Have a node be what a module of the project has under a name."""
        self.nodes[number] = self._meanings[number] = ["import", module, name]
        self._of_modules[number] = module, name

    def give_meaning(self, number: int, meaning: Any) -> None:
        """Have a node mean something else for the hash than it says."""
        self._meanings[number] = meaning

    def _add(self, value: Any) -> int:
        number = self.number([])
        self.remember(value, number)
        self._within.append(number)
        node, meaning = self._described(value)
        self._within.pop()
        self.nodes[number] = node
        self._meanings[number] = node if meaning is None else meaning
        return number

    def _described(self, value: Any) -> tuple[Any, Any]:
        """The node of a value, and what it means for the hash where that is something else."""
        from fanfold.source import functions

        kind = type(value)  # never `isinstance`, which asks the object itself
        if kind is FunctionType:
            return functions.describe(self, value)
        if issubclass(kind, type):
            return self._class(value)
        if issubclass(kind, ModuleType):
            return functions.describe_module(self, value), None
        if kind is CellType:
            try:
                return ["cell", self.ref(value.cell_contents)], None
            except ValueError:  # nothing in it yet
                return ["cell", None], None
        from fanfold.source import instances

        secret = "pydantic.types" in sys.modules and is_secret(value)  # most jobs need not ask the registry
        return instances.describe_secret(self, value) if secret else (instances.describe(self, value), None)

    def _class(self, made: type) -> tuple[Any, Any]:
        if type(made) is type and vars(builtins).get(made.__name__) is made:
            return ["import", "builtins", made.__name__], None
        from fanfold.source import classes

        node = classes.describe(self, made)
        return node, classes.meaning(node)

    def can_travel(self, value: Any) -> bool:
        """Whether a value can travel; nothing of it does where it cannot."""
        count, known = len(self.nodes), len(self._memo)
        spaces = [{k: dict(v) if isinstance(v, dict) else v for k, v in space.items()} for space in self.spaces]
        kept = dict(self.needs), dict(self.state_shapes), list(self._lanes), list(self.after)
        uses, steps = list(self._uses), list(self._steps)
        kept_too = set(self._entered), list(self._within), set(self._met_again)
        try:
            self.ref(value)
        except (CaptureError, RecursionError):
            del self.nodes[count:], self._meanings[count:], self._met_in[count:]
            while len(self._memo) > known:
                self._memo.popitem()
            del self.spaces[len(spaces) :]
            for space, before in zip(self.spaces, spaces, strict=True):
                _restore(space, before)
            self._spaces = {key: n for key, n in self._spaces.items() if n < len(spaces)}
            self.needs, self.state_shapes, self._lanes, self.after = kept
            self._uses, self._steps = uses, steps
            self._entered, self._within, self._met_again = kept_too
            for each in self.layouts.values():
                each.groups = {names: one for names, one in each.groups.items() if one[0] < count}
            return False
        return True

    # Where things are used, for errors

    @contextmanager
    def used(self, usage: UseSite, name: str) -> Iterator[None]:
        """Say in errors that what follows is used in that place under that name."""
        self._uses.append((usage, name))
        steps, self._steps = self._steps, []
        yield
        self._steps = steps
        self._uses.pop()

    def last_use(self) -> tuple[UseSite | None, str]:
        """Which use was being looked into last, and the name that it has there."""
        return self._uses[-1] if self._uses else (None, "")

    def refuse(self, value: Any, why: str = "") -> Exception:
        """The error for a value that cannot travel, by the name, file and line that use it."""
        usage, name = self.last_use()
        return refusals.cannot_travel(usage, name, value, "".join(self._steps), why)

    # Which lane each thing takes, for `explain`

    def note_left(self, text: str, why: str) -> None:
        """Note what stays behind of what is being described: file, line, what it is, and why."""
        usage, name = self.last_use()
        if usage is not None:
            self.left.append((usage.path, usage.line_of(name), text, why))

    def note_lane(self, lane: str, name: str, what: str, size: int = 0, where: str = "") -> None:
        """Note by which lane what is being described travels."""
        self._lanes.append((self._within[-1], (lane, name, what, size, where)))

    def lanes(self) -> list[Lane]:
        """What travels by which lane, now that all has been captured.

        What turned out to be a module's own goes by name, and nothing of it that nothing else refers to.
        """
        reached = self._reached()
        said: list[Lane] = []
        for number, (lane, name, what, size, where) in self._lanes:
            if number in reached and number not in self._of_modules:
                if number != _OUTSIDE and self._met_in[number] in self._of_modules:
                    name = self._names_of(number, name)[0]  # noqa: PLW2901
                said.append((lane, name, what, size, where))
        for number, (module, name) in self._of_modules.items():
            said += [("name", own, f"{module}.{name}", 0, "") for own in self._names_of(number, name)]
        return said

    def _names_of(self, number: int, known_as: str) -> list[str]:
        """The names that the code which travels has for a node; what it is known as where it has none."""
        of_code = (space.get("globals", {}).items() for space in self.spaces)
        return [name for names in of_code for name, ref in names if ref == number] or [known_as]

    def _reached(self) -> set[int]:
        below: dict[int, list[int]] = {}
        for number, within in (*enumerate(self._met_in), *self._met_again):
            below.setdefault(within, []).append(number)
        reached, left = {_OUTSIDE}, [_OUTSIDE]
        while left:
            within = left.pop()
            new = set(below.get(within, ())) - reached if within not in self._of_modules else set()
            reached |= new
            left += new
        return reached

    # Texts and modules

    def keep(self, found: Located) -> int:
        """Have the text travel in which a function stands; its number among the texts."""
        self.mentions.update(_identifiers(found.node))
        self.nodes_kept.append(found.node)
        return self.kept.add(found.source, found.node)

    def keep_node(self, source: Source, node: ast.AST) -> int:
        """The same of any statement."""
        self.mentions.update(identifiers(node))
        self.nodes_kept.append(node)
        return self.kept.add(source, node)

    def space(self, namespace: dict[str, Any], make: Callable[[], dict[str, Any]]) -> int:
        """The number of a module's namespace; `make` says what there is to say of a new one."""
        if id(namespace) not in self._spaces:
            self._alive.append(namespace)
            self._spaces[id(namespace)] = len(self.spaces)
            self.spaces.append(make())
        return self._spaces[id(namespace)]

    def enters(self, space: Ref, node: ast.AST) -> bool:
        """Whether code looks into a module for the first time: a module may be a variable of its own."""
        is_new = (space, id(node)) not in self._entered
        self._entered.add((space, id(node)))
        return is_new

    def repeats(self, namespace: dict[str, Any], name: str) -> bool:
        """Whether a namespace only repeats a loaded module: that of a function which cloudpickle has made again."""
        own = {n: value for n, value in namespace.items() if not (n.startswith("__") and n.endswith("__"))}
        known = vars(sys.modules[name])
        return all(known.get(n, namespace) is value for n, value in own.items())

    def take_subclasses(self) -> list[Ref]:
        """Subclasses that only their bases know, where code asks for them (`Base.__subclasses__()`)."""
        found: list[Ref] = []
        while "__subclasses__" in self.mentions:
            classes = [c for c in self._alive if isinstance(c, type) and not is_library(c.__module__)]
            below: set[Any] = set().union(*(type.__subclasses__(each) for each in classes))
            new = sorted((c for c in below if not self.knows(c)), key=lambda c: (c.__module__, c.__qualname__))
            if not new:
                break
            found += [self.ref(each) for each in new]
        return found

    def all_needs(self) -> tuple[tuple[str, str, str], ...]:
        """What travels as it is, and the versions that it needs: what, package, version."""
        found = []
        for (package, what), version in self.needs.items():
            known = version or _version(package)
            if known:
                name = package if version else known[0]
                found.append((what, name, version or known[1]))
        return tuple(sorted(set(found)))

    # All of it

    def document(self, root: Ref, more: dict[str, Any]) -> str:
        """The graph as text."""
        document = {
            "root": root,
            "nodes": self.nodes,
            "spaces": self.spaces,
            "after": self.after,
            "effects": self.effects,
            "settings": self.settings,
            "filled": self.filled,
            **more,
        }
        document |= {"python": python_here(), "state_shapes": self.state_shapes}
        return _written({k: v for k, v in document.items() if v or k == "root"})

    def meaning(self, root: Ref) -> str:
        """What the graph means, whatever its files and lines: the hash of it."""
        globals_ = [space.get("of") or space["globals"] for space in self.spaces]
        set_here = [each for each in (self.settings, self.filled) if each]
        text = _written([root, self._meanings, globals_, self.after, *set_here])
        return sha256(text.encode()).hexdigest()


def _restore(space: dict[str, Any], before: dict[str, Any]) -> None:
    """Have a space be what it was, and each dict in it the one that it was: somebody may be filling it."""
    for key in space.keys() - before.keys():
        del space[key]
    for key, value in before.items():
        if isinstance(value, dict):
            space[key].clear()
            space[key].update(value)
        else:
            space[key] = value


_known: dict[int, tuple[ast.AST, frozenset[str]]] = {}


def _identifiers(node: ast.AST) -> frozenset[str]:
    """Every name in a node, looked for once."""
    if id(node) not in _known:
        if len(_known) > 4096:
            _known.clear()
        _known[id(node)] = (node, frozenset(identifiers(node)))
    return _known[id(node)][1]


@lru_cache(maxsize=64)
def _version(module: str) -> tuple[str, str] | None:
    """The package that brings a module along, and its version."""
    from importlib.metadata import PackageNotFoundError, packages_distributions, version

    try:
        return module, version(module)
    except PackageNotFoundError:
        names = packages_distributions().get(module, ())
        return (names[0], version(names[0])) if names else None
