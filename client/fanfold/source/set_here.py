"""What of libraries travels as it stands: their settings, and what somebody has put into their lists and dicts."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

from fanfold.source.filled import Filled, fill, filled_in
from fanfold.source.functions import texts_beside
from fanfold.source.library_settings import EVERYWHERE, Values, changed, have, known_libraries
from fanfold.source.modules import is_project_path
from fanfold.source.set_within import calls_within, set_within
from fanfold.source.texts import Source, parse, read

if TYPE_CHECKING:
    from fanfold.source.graph import Graph
    from fanfold.source.rebuild import Builder


def set_here(
    modules: Iterable[str],
    mentioned: AbstractSet[str],
    touched: Iterable[Any],
    knows: Callable[[Any], bool],
    texts: Iterable[tuple[Source, dict[str, Any]]],
) -> tuple[dict[str, Values], list[Filled]]:
    """How the libraries stand that code uses: settings by library, and what was put into their containers.

    Of libraries that `touched` are of, statements that travel set something: it has what stands now, be it as at first.
    """
    names = frozenset(modules)
    used = {name.partition(".")[0] for name in names} | set(EVERYWHERE)
    found = changed(used)
    for library in (module_of(value).partition(".")[0] for value in touched):
        if library in used and library in known_libraries():
            found.setdefault(library, {})
    filled = {(each.module, each.name, *_key(each)): each for each in filled_in(names, mentioned, knows)}
    for source, namespace in texts:
        for each in set_within(source, namespace, used):
            filled.setdefault((each.module, each.name, *_key(each)), each)
    return dict(sorted(found.items())), list(filled.values())


def _key(filled: Filled) -> tuple[Any, ...]:
    return () if filled.is_whole else tuple(filled.held)


def module_of(value: Any) -> str:
    """The module that a value is, or says it is of; "" where it says none."""
    module = value.__name__ if type(value) is ModuleType else getattr(value, "__module__", None)
    return module if isinstance(module, str) else ""


def as_far(
    settings: dict[str, Values], filled: Iterable[Filled], can_travel: Callable[[Any], bool],
    leave: Callable[[str], None] = lambda _: None,
) -> tuple[dict[str, Values], list[tuple[str, str, Any, bool]]]:  # fmt: skip
    """As much of it as can travel; `leave` is told of what cannot."""
    kept = {name: {k: v for k, v in values.items() if can_travel(v)} for name, values in settings.items()}
    for name, values in settings.items():
        for key in values.keys() - kept[name].keys():
            leave(f"{name}: {key}")
    going: list[tuple[str, str, Any, bool]] = []
    for each in filled:
        if can_travel(each.held):
            going.append((each.module, each.name, each.held, each.is_whole))
        else:
            leave(f"{each.module}.{each.name}")
    return kept, going


def take_what_is_set(graph: Graph, home: dict[str, Any], statements: Iterable[str]) -> None:
    """Have that travel which concerns the libraries that code which travels imports, or every process."""
    own = {value.__name__ for value in list(home.values()) if type(value) is ModuleType}
    own |= {"logging" for value in list(home.values()) if type(value).__module__ == "logging"}
    used = graph.project.libraries | graph.project.imports | (own & _OF_PROCESSES)
    touched = (value for text in statements for value in _read_by(text, home, used))
    path = str(home.get("__file__", ""))
    texts = list(_texts(graph, home))
    stand, held = set_here(used, graph.project.mentioned(graph), touched, graph.knows, texts)
    settings, filled = as_far(
        stand,
        held,
        graph.can_travel,
        lambda name: graph.left.append((path, 1, name, "what it was set to cannot travel")),
    )
    own_texts = [each for each in texts if each[1] is home]  # others are executed where the run is
    graph.left += [(*each, WITHIN) for each in calls_that_stay(own_texts, used, held)]
    graph.settings = [[name, graph.ref(values)] for name, values in settings.items()]
    graph.filled = [[module, name, graph.ref(held), is_whole] for module, name, held, is_whole in filled]


#: Why a call within a function stays behind.
WITHIN = "a call within a function has set it: have it stand at the top of the file"


def calls_that_stay(
    texts: Iterable[tuple[Source, dict[str, Any]]], used: Iterable[str], filled: Iterable[Filled]
) -> Iterator[tuple[str, int, str]]:
    """Calls within functions that have set up a library which is used, and of which nothing is carried.

    Each as its path, its line and its text.
    """
    packages = {name.partition(".")[0] for name in used} - known_libraries()
    carried = list(filled)
    for source, namespace in texts:
        yield from ((source.path, line, text) for line, text in calls_within(source, namespace, packages, carried))


def _texts(graph: Graph, home: dict[str, Any]) -> Iterator[tuple[Source, dict[str, Any]]]:
    """The texts of the UDF's file and of the project's modules that it imports, with their names."""
    yield from ((source, home) for source in texts_beside(graph.kept.sources(), home))
    modules = {value.__name__: value for value in list(home.values()) if type(value) is ModuleType}
    modules |= {name: sys.modules[name] for name in graph.project.files if name in sys.modules}
    for module in modules.values():
        file = getattr(module, "__file__", None)
        if isinstance(file, str) and file.endswith(".py") and is_project_path(file):
            with suppress(OSError, SyntaxError, UnicodeError):
                yield parse(file, read(file)), vars(module)


#: Modules whose settings count where the file imports them, whatever the function does.
_OF_PROCESSES = frozenset({"csv", "mimetypes", "logging"})


def _read_by(text: str, home: dict[str, Any], used: Iterable[str]) -> Iterator[Any]:
    """What a statement sets something on: anything that is used, where it begins with no name of that."""
    root = re.match(r"\w*", text)
    if root is not None and root[0] in home:
        yield home[root[0]]
    else:
        yield from (sys.modules[name] for name in used if name in sys.modules)


def set_as_there(builder: Builder, graph: dict[str, Any]) -> None:
    """Have libraries set up as they are where the job was submitted."""
    for library, values in graph.get("settings", ()):
        have(library, builder.build(values))
    fill([(module, name, builder.build(held), whole) for module, name, held, whole in graph.get("filled", ())])
