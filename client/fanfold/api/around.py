"""What an executor's calls need around them: their pickles name modules, and a worker has these as their files say.

What a module of the project holds by now, what was put in the place of a library's own functions, and statements at the
top of a script that set a library up go along. Nothing is looked for that no call of the executor refers to.
"""

from __future__ import annotations

import ast
import linecache
import logging
import pickle
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from types import CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import Any

from fanfold.api.pickling import Modules, Notes
from fanfold.contract.records import NamedTuple
from fanfold.errors import CaptureError
from fanfold.execution.worker.session import Change, SetupStatement, Stamp, WorkerState, stamp_of
from fanfold.source.capture import bound_within, executed_parts, line_now, setup_statements
from fanfold.source.drift import changes, has_settings
from fanfold.source.environ import say_which_calls_stay
from fanfold.source.filled import as_now, state_of
from fanfold.source.functions import Located, all_names, global_names, locate, texts_beside
from fanfold.source.modules import (
    has_name,
    is_library,
    is_project_path,
    mentions,
    unwrapped,
)
from fanfold.source.patched import patched_in, patches_of, put_into_builtins, removed_by_chain
from fanfold.source.refusals import EditedSince
from fanfold.source.removed import GONE
from fanfold.source.set_here import as_far, calls_that_stay, module_of, set_here
from fanfold.source.texts import Source, dotted, names_in, parse, read
from fanfold.source.unkept import file_of

_log = logging.getLogger("fanfold.executor")

_ATOMS = frozenset({str, int, float, bool, type(None), bytes, complex})
_UNCHANGING = frozenset({*_ATOMS, tuple, frozenset, FunctionType})
_CONTAINERS = frozenset({list, dict, tuple, set, frozenset})
_WRAPPERS = (staticmethod, classmethod, property)
#: A larger container counts as a table that a module can load again: it is known by its length.
_LARGE = 10_000
#: So many states of the submitting process are remembered with what they send.
_MOST_KNOWN = 16


class Around:
    """Says for each call what it is to find in its worker."""

    def __init__(self, modules: Modules) -> None:
        self._modules = modules
        self._known: dict[tuple[Any, ...], tuple[list[Any], bytes]] = {}
        self._setups = _Setups()
        #: Containers of libraries that were sent once, by module and name: workers have what these held.
        self._filled: set[tuple[str, str]] = set()
        self._left: set[str] = set()

    def of(self, notes: Notes) -> bytes:
        """A pickled `WorkerState` for a call whose pickle refers to that; empty where there is nothing to say.

        Raises `CaptureError` where something that the call uses itself is other than its file says, and cannot be
        pickled; `Edited` where a module's file has another text by now than the one that was loaded.
        """
        names = frozenset[str]().union(*(all_names(function.__code__) for function in notes.functions))
        seen = _Look()
        modules = _reach(notes.modules | {n for n in names if n in sys.modules}, self._modules, seen)
        patches = [patch for function in notes.functions for patch in _patches(function)]
        scripts = self._setups.scripts(notes)
        statements = self._setups.of(notes, names, scripts)
        texts = [(source, namespace) for namespace, sources in scripts for source in sources]
        libraries = self._libraries(notes, names, modules, statements, texts)
        if not modules and not patches and not statements and not libraries:
            return b""
        for *_, value in patches:
            seen.take(value)
        for module, mentioned in _uses_of_libraries(modules):
            seen.note(vars(module)[name] for name in mentioned & vars(module).keys())
        for statement in statements:
            seen.take([*statement.names.values(), *statement.given])
        key = (names, tuple(sorted(modules.items())), tuple(seen.ids), tuple(s.text for s in statements), libraries)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            known = self._known[key] = seen.alive, self._made(modules, names, patches, statements, libraries)
        return known[1]

    def _libraries(
        self,
        notes: Notes,
        names: frozenset[str],
        modules: dict[str, Stamp],
        statements: list[SetupStatement],
        scripts: list[tuple[Source, dict[str, Any]]],
    ) -> bytes:
        """How the libraries stand that a call uses; nothing where they are as a worker imports them."""
        used, mentioned = notes.modules | (names & sys.modules.keys()), set(names)
        for name, stamp in modules.items():
            used |= {module_of(value) for value in list(vars(sys.modules[name]).values()) if _is_of_a_module(value)}
            mentioned |= _mentioned(str(sys.modules[name].__file__), stamp)
        touched = (value for s in statements for value in s.names.values())

        def knows(kind: Any) -> bool:
            is_there = kind.__module__ in notes.modules and has_name(kind, kind.__module__, kind.__qualname__)
            return is_there or any(each is kind for each in notes.classes)

        settings, filled = set_here(used, mentioned, touched, knows, [*scripts, *_texts_of_modules(modules)])
        calls = calls_that_stay(scripts, used, filled)
        say_which_calls_stay(f"line {line}: {text}" for _, line, text in calls)
        filled += as_now(self._filled - {each[:2] for each in filled})
        self._filled |= {each[:2] for each in filled}
        if not settings and not filled:
            return b""
        return self._modules.dumps(as_far(settings, filled, self._modules.can_pickle, self._leave), new_locks=True)

    def _leave(self, name: str) -> None:
        """Say once what stays behind of how libraries stand."""
        if name not in self._left:
            self._left.add(name)
            _log.warning("%s stays behind, in this process: it cannot be pickled", name)

    def _made(
        self,
        modules: dict[str, Stamp],
        names: frozenset[str],
        patches: list[Change],
        statements: list[SetupStatement],
        libraries: bytes,
    ) -> bytes:
        found = [*_changes(modules, names, self._modules), *patches]
        for module, mentioned in _uses_of_libraries(modules):
            if is_library(module.__name__):
                found += patched_in(module, mentioned, set())
        for name, stamp in modules.items():
            source = _source_of(str(sys.modules[name].__file__), stamp)
            found += removed_by_chain(vars(sys.modules[name]), source.tree) if source else ()
        forced = frozenset(id(inner) for module, name, value in found for inner in _of_that_name(module, name, value))
        found = [each for each in found if self._is_named_or_goes(each, names)]
        try:
            changed = self._modules.dumps(found, forced=forced, new_locks=True) if found else b""
        except Exception as error:  # the user's own __reduce__
            raise self._refused(found, forced, error) from error
        executed = tuple(filter(None, map(self._pickled, statements)))
        return pickle.dumps(tuple(WorkerState(modules, changed or pickle.dumps([]), executed, libraries)))

    def _is_named_or_goes(self, change: Change, names: frozenset[str]) -> bool:
        """Whether code names what has changed in a library's class, or it can be pickled: else it stays behind."""
        module, name, value = change
        owner, _, member = name.rpartition(".")
        if not owner or member in names or is_of_project(module) or self._modules.can_pickle(value):
            return True
        self._leave(f"{module}.{name}")
        return False

    def _pickled(self, statement: SetupStatement) -> bytes:
        """A statement with what it reads; nothing where that belongs to this process, as a file that is open."""
        try:
            return self._modules.dumps(tuple(statement), new_locks=True)
        except Exception as error:  # noqa: BLE001  the user's own __reduce__
            _log.warning(
                "%s: `%s` stays behind, in this process: %s", statement.path, statement.text.split("\n")[0], error
            )
            return b""

    def _refused(self, found: list[Change], forced: frozenset[int], error: Exception) -> CaptureError:
        for module, name, value in found:
            try:
                self._modules.dumps(value, forced=forced, new_locks=True)
            except Exception as own:  # noqa: BLE001  the user's own __reduce__
                return _cannot_go(module, name, value, own)
        return _cannot_go(found[0][0], found[0][1], found[0][2], error)


class Edited(Exception):
    """Modules go by value: their files, or those of modules that they use, have another text by now."""


def _cannot_go(module: str, name: str, value: Any, error: Exception) -> CaptureError:
    return CaptureError(
        f"{module}.{name} has become a {type(value).__qualname__}, which its file does not say, and it cannot be "
        f"pickled ({type(error).__name__}: {error}).",
        next_step=f"let the file say what {module}.{name} is, or pass what the call needs of it as an argument.",
    )


# Which modules, and what state they are in


class _Look:
    """Ids of all that modules hold, and the objects, so that none of these ids is another's later."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.alive: list[Any] = []
        self.near: set[str] = set()
        self._seen: set[int] = set()

    def note(self, values: Iterable[Any]) -> None:
        """Note objects, and nothing within them."""
        noted = list(values)
        self.ids += map(id, noted)
        self.alive += noted

    def take(self, value: Any) -> None:
        """Note an object and what may be changed within it."""
        self.ids.append(id(value))
        self.alive.append(value)
        kind = type(value)
        if kind in _ATOMS or id(value) in self._seen:
            return
        self._seen.add(id(value))
        if kind is ModuleType:
            self.near.add(value.__name__)
        elif kind in _CONTAINERS:
            self._take_container(value)
        elif kind is FunctionType:
            self._take_function(value)
        elif issubclass(kind, type):
            if is_of_project(value.__module__):
                self.near.add(value.__module__)
                self._take_all(vars(value).values())
        elif issubclass(kind, _WRAPPERS):
            self._take_all(_wrapped_by(value))
        elif is_of_project(kind.__module__) or has_settings(value):
            self.near.add(kind.__module__)
            self._take_all(state_of(value).values())

    def _take_container(self, value: Any) -> None:
        self.ids.append(len(value))
        if len(value) <= _LARGE:
            self._take_all(value.keys() if type(value) is dict else value)
            if type(value) is dict:
                self._take_all(value.values())

    def _take_function(self, function: FunctionType) -> None:
        if is_of_project(function.__module__):
            self.near.add(function.__module__)
            self.note((function.__code__, function.__defaults__, function.__kwdefaults__))
            self._take_all([*(function.__defaults__ or ()), *function.__dict__.values()])

    def _take_all(self, values: Iterable[Any]) -> None:
        for value in list(values):
            self.take(value)


def _wrapped_by(value: Any) -> list[Any]:
    """The function that a `staticmethod`, `classmethod` or `property` wraps; of anything else nothing is asked."""
    if issubclass(type(value), property):
        return [value.fget]
    return [value.__func__] if issubclass(type(value), _WRAPPERS) else []


def is_of_project(name: Any) -> bool:
    """Whether a module is one of the project's files, and no script."""
    module = sys.modules.get(name) if isinstance(name, str) and name != "__main__" else None
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and file.endswith(".py") and is_project_path(file)


def _reach(start: Iterable[str], by_value: Modules, seen: _Look) -> dict[str, Stamp]:
    """The project's modules that these lead to, and the states of their files; `seen` notes what they hold."""
    found: dict[str, Stamp] = {}
    waiting = [name for name in start if is_of_project(name)]
    while waiting:
        name = waiting.pop()
        stamp = None if name in found or by_value.goes_by_value(name) else stamp_of(str(sys.modules[name].__file__))
        if stamp is None:
            continue
        found[name] = stamp
        seen.near = set()
        for attribute, value in list(vars(sys.modules[name]).items()):
            if not attribute.startswith("__"):
                seen.take(value)
        parents = {name.rpartition(".")[0]}
        waiting += [each for each in seen.near | parents if each not in found and is_of_project(each)]
    return found


# What they hold that importing them does not give


class _Everything(frozenset[str]):
    """As if some code mentioned every name."""

    def isdisjoint(self, _: object) -> bool:
        return False

    def __contains__(self, _: object) -> bool:
        return True


_EVERYTHING: frozenset[str] = _Everything()


def _changes(modules: Iterable[str], names: frozenset[str], pickler: Modules) -> list[Change]:
    graph: Any = SimpleNamespace(put_blob=lambda *_: None, can_travel=pickler.can_pickle)
    found: list[Change] = []
    edited = set()
    for name in modules:
        module = sys.modules[name]
        try:
            source = parse(str(module.__file__), read(str(module.__file__)))
            own = changes(graph, source, vars(module), _EVERYTHING, names)
        except (SyntaxError, UnicodeError, EditedSince):
            edited.add(name)
            continue
        found += _resolved(name, module, [*own.held.items(), *own.after])
    if edited:
        pickler.edited |= _users_of(edited, modules)
        raise Edited
    return [*found, *_aliases(modules, found)]


def _users_of(edited: set[str], modules: Iterable[str]) -> set[str]:
    """Those that were edited, and all that refer to them: where they ran by name they would find the new text."""
    users = dict.fromkeys(modules, frozenset[str]())
    for name in users:
        seen = _Look()
        for value in list(vars(sys.modules[name]).values()):
            seen.take(value)
        users[name] = frozenset(seen.near)
    found = set(edited)
    while more := {name for name, near in users.items() if name not in found and near & found}:
        found |= more
    return found


def _resolved(name: str, module: ModuleType, found: list[tuple[str, Any]]) -> Iterator[Change]:
    """Each with the attribute that has to be set: of a parameter's default, its function's `__defaults__`."""
    for where, value in found:
        *path, last = where.split(".")
        owner: Any = module
        for part in path:
            owner = getattr(owner, part, None)
        above = ".".join(path)
        if value is GONE:
            yield name, where, value
            continue
        if last in getattr(owner, "_member_map_", ()):
            continue  # nobody can set a member of an Enum
        function = unwrapped(owner)
        if isinstance(function, FunctionType) and last not in vars(owner):
            if function is owner:
                yield name, f"{above}.__defaults__", function.__defaults__
                yield name, f"{above}.__kwdefaults__", function.__kwdefaults__
        elif isinstance(owner, type) and last.startswith("__") and not last.endswith("__"):
            yield name, f"{above}._{owner.__name__.lstrip('_')}{last}", value
        else:
            yield name, where, value


def _aliases(modules: Iterable[str], found: list[Change]) -> Iterator[Change]:
    """Other names of objects that are sent: one object stays one."""
    values = {id(value) for *_, value in found if type(value) not in _UNCHANGING and not issubclass(type(value), type)}
    said = {(module, name) for module, name, _ in found}
    for module in modules:
        for name, value in list(vars(sys.modules[module]).items()):
            if id(value) in values and (module, name) not in said:
                yield module, name, value


def _of_that_name(module: str, dotted: str, value: Any) -> Iterator[Any]:
    """The function within a change that its own name leads to: what is there now, and not in its file."""
    for inner in (value, *_wrapped_by(value)):
        if type(inner) is FunctionType and inner.__module__ == module and has_name(value, module, dotted):
            yield inner


# What was put in the place of a library's own


def _patches(function: FunctionType) -> Iterator[Change]:
    names = all_names(function.__code__)
    held = [function.__globals__.get(name) for name in global_names(function.__code__)]
    for value in (*held, *_contents(function)):
        if type(value) is ModuleType and is_library(value.__name__):
            yield from patched_in(value, names, set())
    for name in names & sys.modules.keys():
        yield from patches_of(name, names)
    yield from removed_by_chain(function.__globals__, _node_of(function))
    yield from put_into_builtins(function.__globals__, _node_of(function))


def _node_of(function: FunctionType) -> ast.AST:
    """The syntax of a function; an empty one where there is no text of it."""
    code = function.__code__
    if code not in _nodes:
        found = locate(function)
        if len(_nodes) >= _MOST_KNOWN:
            _nodes.clear()
        _nodes[code] = found.node if isinstance(found, Located) else ast.Pass()
    return _nodes[code]


_nodes: dict[CodeType, ast.AST] = {}


def _contents(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # nothing in it yet
            yield cell.cell_contents


@lru_cache(maxsize=256)
def _source_of(file: str, _stamp: Stamp) -> Source | None:
    try:
        return parse(file, read(file))
    except (OSError, SyntaxError, UnicodeError):
        return None


def _is_of_a_module(value: Any) -> bool:
    """Whether it is a module, a function or a class, which are asked without any code of theirs being run."""
    return type(value) in (ModuleType, FunctionType) or issubclass(type(value), type)


def _texts_of_modules(modules: dict[str, Stamp]) -> Iterator[tuple[Source, dict[str, Any]]]:
    """The texts of the project's modules, with their names."""
    for name, stamp in modules.items():
        if (source := _source_of(str(sys.modules[name].__file__), stamp)) is not None:
            yield source, vars(sys.modules[name])


def _mentioned(file: str, stamp: Stamp) -> frozenset[str]:
    """Every name that a file mentions."""
    source = _source_of(file, stamp)
    return frozenset() if source is None else mentions(source)


def _uses_of_libraries(modules: dict[str, Stamp]) -> Iterator[tuple[ModuleType, frozenset[str]]]:
    """Modules of libraries that the project's modules hold, and what these mention."""
    for name, stamp in modules.items():
        module = sys.modules[name]
        for value in list(vars(module).values()):
            if type(value) is ModuleType and not is_of_project(value.__name__):
                yield value, _mentioned(str(module.__file__), stamp)


# SetupStatements that set a library up


class _Candidate(NamedTuple):
    source: Source
    node: ast.stmt


class _Setups:
    """Statements at the top of scripts and in cells, whose functions go by value: no worker executes these files."""

    def __init__(self) -> None:
        self._sources: dict[tuple[int, Any], list[Source]] = {}
        self._known: dict[tuple[Any, ...], list[_Candidate]] = {}

    def scripts(self, notes: Notes) -> list[tuple[dict[str, Any], list[Source]]]:
        """The scripts and cells that functions stand in: their names, and their texts."""
        found = {id(function.__globals__): function for function in notes.functions}.values()
        return [(each.__globals__, self._beside(each)) for each in found if not _is_of_library(each.__globals__)]

    def of(
        self, notes: Notes, names: frozenset[str], scripts: list[tuple[dict[str, Any], list[Source]]]
    ) -> list[SetupStatement]:
        """Those that concern what a call uses."""
        found: list[SetupStatement] = []
        for namespace, sources in scripts:
            used = frozenset(name.partition(".")[0] for name in notes.modules | (names & sys.modules.keys()))
            project = SimpleNamespace(imports=used)
            graph: Any = SimpleNamespace(project=project, spaces=[{"globals": names}], mentions=names)
            for candidate in self._candidates(graph, sources, namespace, used):
                found += _statements(graph, candidate, namespace)
        return found

    def _beside(self, function: FunctionType) -> list[Source]:
        namespace = function.__globals__
        file = file_of(namespace)
        state = stamp_of(file) if file else len(linecache.cache) + len(getattr(linecache, "_interactive_cache", ()))
        key = (id(namespace), state)
        if key not in self._sources:
            self._sources[key] = _texts_of(function, file)
        return self._sources[key]

    def _candidates(
        self, graph: Any, sources: list[Source], namespace: dict[str, Any], used: frozenset[str]
    ) -> list[_Candidate]:
        key = (*map(id, sources), used, line_now(namespace))
        if key not in self._known:
            found = [
                (source, node, why) for source in sources for node, why in setup_statements(graph, source, namespace)
            ]
            if "sqlalchemy" in sys.modules:
                from fanfold.source.libraries.mapped import statements_of

                theirs = statements_of(namespace)  # executed with the classes that they map
                found = [each for each in found if id(each[1]) not in theirs]
            for source, node, why in found:
                if why:
                    _log.info("%s:%d stays behind: %s", source.path, node.lineno, why)
            # Workers have the caller's variables as they are.
            apart = [
                (source, node) for source, node, why in found if not (why or ast.unparse(node).startswith("os.environ"))
            ]
            self._known[key] = [_Candidate(source, node) for source, node in apart]
        return self._known[key]


def _is_of_library(namespace: dict[str, Any]) -> bool:
    return is_library(str(namespace.get("__name__")), namespace)


def _texts_of(function: FunctionType, file: str | None) -> list[Source]:
    if file:
        try:
            return [parse(file, read(file))]
        except (OSError, SyntaxError, UnicodeError):
            return []
    found = locate(function)
    return texts_beside([found.source], function.__globals__) if isinstance(found, Located) else []


def _statements(graph: Any, candidate: _Candidate, namespace: dict[str, Any]) -> Iterator[SetupStatement]:
    source, node = candidate
    for part, given in executed_parts(graph, node, namespace):
        names = {name: namespace[name] for name in names_in([part]) - bound_within(part) if name in namespace}
        names |= {below: sys.modules[below] for below in _submodules(part, names)}
        yield SetupStatement(ast.unparse(part), source.path, names, given)


def _submodules(part: ast.AST, names: dict[str, Any]) -> set[str]:
    """The modules that a statement reaches through a package, as `logging.config`: to be imported with it."""
    found: set[str] = set()
    for node in ast.walk(part):
        chain = dotted(node) if isinstance(node, ast.Attribute) else None
        root = names.get(chain[0]) if chain else None
        if chain and isinstance(root, ModuleType):
            found |= _modules_on(root, chain[1:])
    return found


def _modules_on(module: ModuleType, chain: tuple[str, ...]) -> set[str]:
    """The modules below a package that an attribute chain goes through."""
    found: set[str] = set()
    current: Any = module
    for attribute in chain if hasattr(module, "__path__") else ():
        below = sys.modules.get(f"{current.__name__}.{attribute}")
        if below is None or getattr(current, attribute, None) is not below:
            break
        found.add(f"{current.__name__}.{attribute}")
        current = below
    return found


# Classes that only their bases know


def unnamed_subclasses(notes: Notes) -> list[type]:
    """Subclasses of classes that a call has with it, where its code asks for them (`Base.__subclasses__()`)."""
    if not any("__subclasses__" in all_names(function.__code__) for function in notes.functions):
        return []
    found: list[type] = []
    waiting = list(notes.classes)
    while waiting:
        every: list[type] = type.__subclasses__(waiting.pop())
        below = [each for each in every if each not in notes.classes]
        found += below
        waiting += below
    return found
