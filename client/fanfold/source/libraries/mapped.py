"""What a script makes with SQLAlchemy: mapped classes, their registries and tables, and what is registered with them.

These know each other, so none of them can be taken apart by itself. The statements at the top of the file that make
them travel, all that hang together, and are executed again in their order; the tables they give are compared with those
that are here. What the statements read (functions, constants, types of one's own) travels as everything does.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from types import FunctionType
from typing import TYPE_CHECKING, Any

from fanfold.contract.records import NamedTuple
from fanfold.source import refusals
from fanfold.source.functions import Located, is_typed, locate, space_of, take_globals
from fanfold.source.libraries.mapped_tables import tables_of, version
from fanfold.source.modules import has_name, imports_in, is_library, is_of_library
from fanfold.source.rebound import function_of
from fanfold.source.texts import (
    Source,
    UseSite,
    annotation_names,
    bindings,
    bound_names,
    dotted,
    names_in,
    parse,
    read,
    shown_path,
    top_level,
    tree_hash,
)

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

#: What SQLAlchemy marks a class with that it has mapped to a table, and a base of such.
_MAPPED = frozenset({"_sa_registry", "_sa_class_manager", "__mapper__"})
#: Where its objects are a connection, or data that came by one: no statement of the file says what they are by now.
_LIVE = tuple(
    f"sqlalchemy.{each}" for each in ("engine", "pool", "ext.asyncio", "util", "event")
) + tuple(f"sqlalchemy.orm.{each}" for each in ("session", "scoping", "state", "collections"))  # fmt: skip
#: The calls at the top of a file by which tables and mappers become what they are; all others stay behind.
_AGAIN = frozenset(
    "map_imperatively map_declaratively mapped mapped_as_dataclass configure configure_mappers listen listens_for"
    " append_column append_constraint add_property add_properties update_type_annotation_map compiles".split()
)
#: Calls that register a function with what their arguments name.
_REGISTERS = frozenset({"listen", "listens_for", "compiles"})


def describe(graph: Graph, value: Any) -> Any:
    """The node of what the file has made with SQLAlchemy; None for anything else.

    Raises `CaptureError` where it is a mapped class and there is no telling by which statements.
    """
    is_class = isinstance(value, type)
    if not (_is_of_models(value) if is_class else _is_object(value)):
        return None
    for layout in _layouts(graph, value):
        steps = layout.paths.get(id(value))
        if steps is not None and layout.maps(steps[0][0]):
            number, space = _models(graph, layout, steps[0][0])
            return ["held", number, space, steps]
    if is_class and _MAPPED & vars(value).keys() and not _is_of_whole_module(graph, value):
        raise refusals.mapped(value, *graph.last_use())
    return None


def apart(value: Any) -> type | None:
    """A class that hangs together with what the statements of a script have mapped; None for anything else."""
    if not (_is_of_models(value) if isinstance(value, type) else _is_object(value)):
        return None
    for layout in _layouts(_Apart(), value):
        steps = layout.paths.get(id(value))
        if steps is not None and layout.maps(steps[0][0]):
            names = frozenset().union(*(each.binds for each in layout.group(steps[0][0])))
            found: type = next(made for each in sorted(names) if isinstance(made := layout.namespace[each], type))
            return found
    return None


def statements_of(namespace: dict[str, Any]) -> set[int]:
    """The ids of the statements that make and register what is mapped in a namespace."""
    layout = Layout(namespace, None)
    mapping = (each for name in layout.names if layout.maps(name) for each in layout.group(name))
    return {id(each.node) for each in mapping}


class _Apart:
    """In the place of a graph where there is none."""

    home: dict[str, Any] | None = None

    def __init__(self) -> None:
        self.layouts: dict[int, Layout] = {}


def _is_of_whole_module(graph: Graph, made: type) -> bool:
    """Whether a class goes by its name in a module that is imported where the run is."""
    module = sys.modules.get(made.__module__)
    is_whole = module is not None and made.__module__ != "__main__" and vars(module) is not graph.home
    return is_whole and has_name(made, made.__module__, made.__qualname__)


def _is_object(value: Any) -> bool:
    """Whether a value is an object of SQLAlchemy's that describes tables: a column, a mapper, a query."""
    module = type(value).__module__
    return type(module) is str and module.startswith("sqlalchemy.") and not module.startswith(_LIVE)


def _is_of_models(made: type) -> bool:
    """Whether a class is mapped, a base of such, or made of columns: of one of the user's."""
    if is_library(made.__module__) and (
        has_name(made, made.__module__, made.__qualname__) or "_sa_registry" not in vars(made)
    ):
        return False
    members = vars(made)
    return bool(_MAPPED & members.keys()) or any(_is_object(each) for each in list(members.values()))


def _is_made(value: Any) -> bool:
    """Whether a name stands for something that a statement has made with SQLAlchemy."""
    if isinstance(value, type):
        return _is_of_models(value)
    return _is_object(value) or any(map(_is_object, getattr(value, "__metadata__", ()))) if value is not None else False


# The statements of a file


class _Entry(NamedTuple):
    """A statement, or a decorator of one; what it is applied to; the names it binds, and all that it reads."""

    source: Source
    node: ast.stmt
    part: ast.AST
    applied_to: Any
    binds: frozenset[str]
    reads: frozenset[str]
    #: Whether it counts for whatever is mapped in the file.
    is_for_all: bool


class Layout:
    """The statements of a namespace that make something with SQLAlchemy, and where each object is found by them."""

    def __init__(self, namespace: dict[str, Any], made: Any) -> None:
        self.namespace = namespace
        sources = _sources(namespace, made)
        self.entries = _latest([entry for source in sources for entry in _entries(source, namespace)])
        self.names = frozenset().union(*(each.binds for each in self.entries))
        self._bound = [bindings(top_level(source)) for source in sources]
        self.paths: dict[int, list[Any]] = {}
        for name in sorted(self.names):
            self.paths.setdefault(id(namespace[name]), [[name]])
        for name in sorted(self.names):
            for steps, each in _parts(namespace[name]):
                self.paths.setdefault(id(each), [[name], *steps])
        self._maps: dict[str, bool] = {}
        #: The node of each group of statements, and its space, by the names that it binds.
        self.groups: dict[frozenset[str], tuple[int, int]] = {}

    def group(self, name: str) -> list[_Entry]:
        """The statements that hang together with that which binds a name, in their order."""
        names, chosen = {name}, set[int]()
        while True:
            near = (n for n, e in enumerate(self.entries) if e.is_for_all or not names.isdisjoint(e.binds | e.reads))
            more = set(near) - chosen
            if not more:
                return [self.entries[n] for n in sorted(chosen)]
            chosen |= more
            for n in more:
                names |= self.names & (self.entries[n].binds | self.entries[n].reads)

    def maps(self, name: str) -> bool:
        """Whether a class hangs together with a name: tables and queries alone travel as all objects do."""
        if name not in self._maps:
            names = frozenset().union(*(each.binds for each in self.group(name)))
            self._maps.update(dict.fromkeys(names, any(isinstance(self.namespace[each], type) for each in names)))
        return self._maps[name]

    def places_of(self, name: str) -> list[int]:
        """The lines that bind a name in the text that binds it last."""
        return next(([p.node.lineno for p in each[name]] for each in reversed(self._bound) if name in each), [])


def _layouts(graph: Graph | _Apart, value: Any) -> Iterator[Layout]:
    """The layouts in which a value may be found: of its own module, where that does not travel whole."""
    own = sys.modules.get(value.__module__) if isinstance(value, type) and not is_library(value.__module__) else None
    main = sys.modules.get("__main__")
    if own is not None:
        namespaces = [vars(own)] if vars(own) is graph.home or own is main else []
    else:
        namespaces = [each for each in (graph.home, None if main is None else vars(main)) if each is not None]
    for namespace in namespaces:
        if id(namespace) not in graph.layouts:
            graph.layouts[id(namespace)] = Layout(namespace, value)
        yield graph.layouts[id(namespace)]


def _sources(namespace: dict[str, Any], made: Any) -> list[Source]:
    """The texts of a namespace: its file, or what was typed, in order."""
    from fanfold.source.unkept import file_of, texts_with, typed_texts

    path = file_of(namespace)
    texts = [] if path else [each for each in typed_texts() if is_typed(each[0])]
    if not path:
        texts += texts_with(f"class {made.__name__}" if isinstance(made, type) else "sqlalchemy")
    found: dict[str, Source] = {}
    try:
        if path:
            return [parse(path, read(path))]
        for name, text in texts:
            if text not in found:
                found[text] = parse(name, text)
    except (OSError, SyntaxError, UnicodeError):
        return []
    return list(found.values())


def _latest(entries: list[_Entry]) -> list[_Entry]:
    """Of a statement that stands in several texts, as in cells that were executed again, the one of the last."""
    last: dict[Any, Source] = {}
    kept = []
    for each in reversed(entries):
        if last.setdefault(each.binds or tree_hash(each.part), each.source) is each.source:
            kept.append(each)
    return kept[::-1]


def _entries(source: Source, namespace: dict[str, Any]) -> Iterator[_Entry]:
    for node in source.tree.body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            continue
        names = frozenset(name for name in bound_names(node) if name in namespace)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield from _registering(source, node, namespace)
        elif any(_is_made(namespace[name]) for name in names) and _may_be_done_again(node, names, namespace):
            yield _Entry(source, node, node, None, names, _reads(node), is_for_all=False)
        elif not names and (called := _changes(node, namespace)):
            yield _Entry(source, node, node, None, names, _reads(node), is_for_all=called == _FOR_ALL)


def _may_be_done_again(node: ast.stmt, names: frozenset[str], namespace: dict[str, Any]) -> bool:
    """Whether a statement is executed again: for a table or a query alone no function of the user's is called again."""
    if any(isinstance(namespace[name], type) for name in names):
        return True
    called = (dotted(each.func) for each in ast.walk(node) if isinstance(each, ast.Call))
    found = (_value_of(chain, namespace) for chain in called if chain)
    return not any(isinstance(each, FunctionType) and not is_of_library(each) for each in found)


def _value_of(chain: tuple[str, ...], namespace: dict[str, Any]) -> Any:
    value = namespace.get(chain[0])
    for attribute in chain[1:]:
        value = getattr(value, attribute, None)
    return value


def _registering(source: Source, node: Any, namespace: dict[str, Any]) -> Iterator[_Entry]:
    """The decorators by which a function is registered with what is mapped."""
    for part in node.decorator_list:
        if isinstance(part, ast.Call) and (how := _registered_with(part, namespace)) and node.name in namespace:
            reads = frozenset(names_in([part]))
            yield _Entry(source, node, part, namespace[node.name], frozenset(), reads, is_for_all=how == _FOR_ALL)


#: How far a statement reaches.
_FOR_ALL, _FOR_ONE = "all", "one"


def _changes(node: ast.stmt, namespace: dict[str, Any]) -> str:
    """How far a statement reaches that changes what is mapped; empty for one that does not."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        chain = dotted(node.value.func)
        if chain is None or (chain[-1] not in _AGAIN):
            return ""
        if chain[-1] in _REGISTERS or _module_of(namespace.get(chain[0])).startswith("sqlalchemy"):
            return _registered_with(node.value, namespace)
        return _FOR_ONE if _is_made(namespace.get(chain[0])) else ""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    if isinstance(node, (ast.Assign, ast.AugAssign)) and isinstance(targets[0], (ast.Attribute, ast.Subscript)):
        root: Any = targets[0]
        while isinstance(root, (ast.Attribute, ast.Subscript)):
            root = root.value
        return _FOR_ONE if isinstance(root, ast.Name) and _is_made(namespace.get(root.id)) else ""
    return ""


def _registered_with(called: ast.Call, namespace: dict[str, Any]) -> str:
    """How far a call of SQLAlchemy's own functions reaches; empty where it is none, or for connections and sessions."""
    chain = dotted(called.func)
    if not chain or chain[-1] not in _AGAIN or not _module_of(namespace.get(chain[0])).startswith("sqlalchemy"):
        return ""
    if not called.args:
        return _FOR_ALL  # configure_mappers()
    first = dotted(called.args[0])
    value = _value_of(first, namespace) if first else None
    if _is_made(value):
        return _FOR_ONE
    module = _module_of(value)
    return _FOR_ALL if module.startswith("sqlalchemy") and not module.startswith(_LIVE) else ""


def _module_of(value: Any) -> str:
    module = getattr(value, "__name__" if type(value) is type(sys) else "__module__", None)
    return module if isinstance(module, str) else type(value).__module__


def _reads(node: ast.AST) -> frozenset[str]:
    """Every name that a statement reads, when it is executed or later, also in annotations that are texts."""
    return frozenset(names_in([node]) | annotation_names(node, unevaluated=True))


def _parts(value: Any) -> Iterator[tuple[list[Any], Any]]:
    """What belongs to a class, a registry or a table, with the steps that lead to it."""
    if isinstance(value, type):
        for name, each in list(vars(value).items()):
            if _is_object(each):
                yield [name], each
                yield from (([name, *steps], one) for steps, one in _parts(each))
    elif type(value).__name__ == "registry":
        yield ["metadata"], value.metadata
    elif type(value).__name__ == "Table":
        yield from ((["c", [column.key]], column) for column in value.columns)


# What travels of them


def _models(graph: Graph, layout: Layout, name: str) -> tuple[int, int]:
    """The node of the statements that hang together with a name, and the number of the space they are executed in."""
    known = next((each for names, each in layout.groups.items() if name in names), None)
    if known is not None:
        return known
    entries = layout.group(name)
    names = frozenset().union(*(each.binds for each in entries))
    _refuse_ambiguous(graph, layout, names)
    space = space_of(graph, layout.namespace)
    number = graph.number([])
    layout.groups[names] = number, space
    parts: dict[str, Any] = {"space": space, "entries": [], "postponed": [], "members": [], "names": sorted(names)}
    hashes = [tree_hash(each.part) for each in entries]
    for each in entries:
        parts["entries"].append(_taken(graph, layout, each, names, space))
        if each.source.postpones_annotations and parts["entries"][-1][0][0] not in parts["postponed"]:
            parts["postponed"].append(parts["entries"][-1][0][0])
    made = {each: layout.namespace[each] for each in sorted(names)}
    for bound, value in made.items():
        if isinstance(value, type):
            graph.note_lane("source", value.__qualname__, "a class", 0, value.__module__)
            parts["members"] += [[bound, *one] for one in _members(graph, layout, value, number, space)]
    parts |= {"tables": tables_of(made), "version": version()}
    graph.nodes[number] = ["models", parts]
    graph.give_meaning(
        number, ["models", hashes, [each[1] for each in parts["entries"]], parts["members"], parts["tables"]]
    )
    return number, space


def _refuse_ambiguous(graph: Graph, layout: Layout, names: frozenset[str]) -> None:
    """Raises `CaptureError` where there is no telling which statement has made something."""
    for name in sorted(names):
        lines, value = layout.places_of(name), layout.namespace[name]
        bases = [each for each in getattr(value, "__bases__", ()) if each.__name__ in names]
        if len(lines) > 1:
            raise refusals.mapped_twice(name, f"which of the statements of lines {_listed(lines)}", *graph.last_use())
        for each in bases:
            if layout.namespace[each.__name__] is not each:
                raise refusals.mapped_twice(name, f"which {each.__name__!r}, for there are several,", *graph.last_use())


def _listed(lines: list[int]) -> str:
    return " and ".join(map(str, lines))


def _taken(graph: Graph, layout: Layout, entry: _Entry, names: frozenset[str], space: int) -> list[Any]:
    """Where a statement or decorator is, and what it is applied to; what it reads is taken along."""
    namespace, source, node = layout.namespace, entry.source, entry.node
    usage = UseSite(
        source.path, node, getattr(node, "name", "") or next(iter(sorted(entry.binds)), "the top of the file")
    )
    number = graph.keep_node(source, node)
    graph.kept.belongs_to(source, str(namespace.get("__name__", "__main__")))
    for imported in imports_in(node, str(namespace.get("__package__") or "")):
        graph.project.require(imported, source.path)
    take_globals(graph, space, namespace, entry.reads - names, usage)
    at: Any = entry.part
    graph.executed[id(at)] = (ast.unparse(at).split("\n")[0][:100], f"{shown_path(source.path)}:{at.lineno}")
    given = None
    if entry.applied_to is not None:
        with graph.used(usage, getattr(node, "name", "")):
            given = graph.ref(entry.applied_to)
    return [[number, at.lineno, at.col_offset], given]


def _members(graph: Graph, layout: Layout, made: type, number: int, space: int) -> Iterator[tuple[str, Any]]:
    """What a class has by now and not by its statement; the functions of that are known as what the class has."""
    entry = next((e for e in layout.entries if made.__name__ in e.binds and isinstance(e.node, ast.ClassDef)), None)
    if entry is None:
        return
    usage = UseSite(entry.source.path, entry.node, made.__name__)
    for name, value in list(vars(made).items()):
        function = function_of(value)
        if function is not None:
            if _is_by_statement(function, entry):
                if function is value and not graph.knows(value):
                    graph.remember(value, graph.number(["held", number, space, [[made.__name__], name]]))
                continue
        elif type(value) not in _PLAIN or name.startswith(("__", "_sa_", "model_")) or _holds_objects(value):
            continue
        with graph.used(usage, name):
            yield name, graph.ref(value)


def _holds_objects(value: Any) -> bool:
    inner = [*value, *value.values()] if type(value) is dict else value
    return type(value) in _CONTAINERS and any(map(_is_object, inner))


_CONTAINERS = frozenset({tuple, list, dict, set, frozenset})
_PLAIN = frozenset({str, int, float, bool, bytes, complex, *_CONTAINERS})


def _is_by_statement(function: FunctionType, entry: _Entry) -> bool:
    """Whether a class's function is what its statement, or a library, makes of it."""
    if is_of_library(function):
        return True
    found = locate(function)
    if not isinstance(found, Located):  # what `dataclass` or SQLAlchemy has written
        return function.__code__.co_filename.startswith(("<string>", "<sqlalchemy"))
    within = entry.node.lineno <= found.node.lineno <= (entry.node.end_lineno or 0)
    return found.source is entry.source and within
