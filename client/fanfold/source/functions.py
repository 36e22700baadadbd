"""Functions as the objects that are there: their code by its place in a text, and what they hold as values.

What a statement did when it was executed (decorators, defaults, the arguments of decorators) is not done again.
"""

from __future__ import annotations

import ast
import builtins
import copy
import linecache
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from opcode import EXTENDED_ARG, opmap
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from fanfold.codec.classes import OLDER_NAMES
from fanfold.contract.records import NamedTuple
from fanfold.source import refusals
from fanfold.source.load import IN_MEMORY
from fanfold.source.modules import (
    Imported,
    called_imports,
    has_name,
    has_udf,
    imports_in,
    is_library,
    is_of_library,
    is_project_path,
    is_put_into_builtins,
    is_replaced,
    module_name,
    module_of,
    udf_function,
)
from fanfold.source.rebuild import AWAIT_AT_TOP, FUTURES, Step, inner_codes
from fanfold.source.texts import (
    ASKING_BY_TEXT,
    Source,
    UseSite,
    annotation_names,
    compiled,
    docstring,
    first_line,
    may_be_edited,
    parse,
    read,
    shown_path,
    tree_hash,
)

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

Path = tuple[Step, ...]
AnyFunction = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


class Located(NamedTuple):
    """A function's code in a text: the steps that lead to it, and its node in the tree."""

    source: Source
    path: Path
    node: AnyFunction
    futures: int

    @property
    def line(self) -> int:
        """The first line, decorators included."""
        return self.node.lineno if isinstance(self.node, ast.Lambda) else first_line(self.node)


class Unlocated(NamedTuple):
    """Why a code stands nowhere: its file has another by now (`path`), or Python has not kept its text."""

    path: str = ""


def locate(function: FunctionType) -> Located | Unlocated:
    """Where the code of a function stands, proved by compiling the text: a text that only looks right is not taken."""
    code, namespace = function.__code__, function.__globals__
    path = code.co_filename
    seen = set()
    is_file = os.path.exists(path)
    if not is_file and isinstance(namespace.get("__file__"), str):
        from fanfold.source.executed import in_own_file

        if found := in_own_file(code, namespace):
            return found
    for text in _texts(code, namespace, is_file=is_file):
        if text in seen:
            continue
        seen.add(text)
        try:
            found = in_text(code, parse(path, text), namespace)
        except SyntaxError:
            continue
        if found:
            return found
    return Unlocated(path if is_file and is_compiled_as_it_stands(namespace) else "")


def _texts(code: CodeType, namespace: dict[str, Any], *, is_file: bool) -> Iterator[str]:
    """Texts that may hold the code, the likeliest first."""
    path = code.co_filename
    if is_file:
        # The file itself, for `linecache` holds only a part of it where a bundle of it has been loaded.
        with suppress(OSError, SyntaxError, UnicodeError):
            yield read(path)
        yield "".join((linecache.cache.get(path) or (0, None, []))[2])  # type: ignore[misc]  # as it was before an edit
        return
    yield "".join(linecache.getlines(path, namespace))
    from fanfold.source.unkept import candidates

    yield from candidates(code)


def in_text(code: CodeType, source: Source, namespace: dict[str, Any]) -> Located | None:
    """Where a text has a code; None where it has not."""
    flags = code.co_flags & FUTURES
    with suppress(SyntaxError):  # it has a tree, and cannot be compiled
        for index in _indexes(source, flags, namespace):
            known = [each for each in index.get(code.co_name, ()) if is_same(each.code, code)]
            # An edit elsewhere in the file moves a function, and leaves it what it was.
            known.sort(key=lambda each: abs(each.code.co_firstlineno - code.co_firstlineno))
            for each in known:
                if node := _node(source, each.path[-1], code):
                    return Located(source, each.path, node, flags)
    return None


def _indexes(source: Source, flags: int, namespace: dict[str, Any]) -> Iterator[dict[str, list[_Known]]]:
    yield _index(source, flags)
    if is_typed(source.path):
        from fanfold.source.unkept import cell_index

        yield cell_index(source, flags, _by_name)
    if type(_loader(namespace)).__name__ == "AssertionRewritingHook":
        from fanfold.source.unkept import rewritten_index

        yield rewritten_index(source, _by_name)


#: How the names of typed texts begin.
_INTERACTIVE = ("<ipython-input", "<python-input", "<stdin", "<string>")


def texts_beside(sources: Iterable[Source], namespace: dict[str, Any]) -> list[Source]:
    """The texts that share a namespace with some: a file stands alone, a notebook's cells share theirs."""
    known = list(sources)
    path = namespace.get("__file__")
    if found := [source for source in known if source.path == path]:
        return found
    if not (typed := [source for source in known if is_typed(source.path)]):
        return [source for source in known if is_project_path(source.path)]
    from fanfold.source.unkept import typed_texts

    for name, text in typed_texts():
        with suppress(SyntaxError):
            found += [parse(name, text)] if is_typed(name) else []
    return [*found, *(source for source in typed if source not in found)]


def is_typed(path: str) -> bool:
    """Whether a text was typed in, and no file."""
    return path.startswith(_INTERACTIVE) or f"{os.sep}ipykernel_" in path


class _Known(NamedTuple):
    code: CodeType
    path: Path


@lru_cache(maxsize=1024)
def _index(source: Source, flags: int) -> dict[str, list[_Known]]:
    """All code of a text, by name."""
    return _by_name(compiled(source.text, source.path, flags | AWAIT_AT_TOP))


def _by_name(module: CodeType) -> dict[str, list[_Known]]:
    found: dict[str, list[_Known]] = defaultdict(list)

    def note(codes: Iterable[tuple[Step, CodeType]], above: Path) -> None:
        for step, code in codes:
            found[code.co_name].append(_Known(code, (*above, step)))
            note(inner_codes(code), (*above, step))

    note(inner_codes(module), ())
    return found


@lru_cache(maxsize=1024)
def _nodes(source: Source) -> dict[tuple[str, int], list[AnyFunction]]:
    """The functions of a tree, by name and first line."""
    found: dict[tuple[str, int], list[AnyFunction]] = defaultdict(list)
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Lambda):
            found["<lambda>", node.lineno].append(node)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found[node.name, first_line(node)].append(node)
    return found


def _node(source: Source, step: Step, code: CodeType) -> AnyFunction | None:
    """The node of the code that a step leads to; of several lambdas in a line, by their places or parameters."""
    name, line, nth = step
    nodes = _nodes(source).get((name, line), [])
    fitting = [node for node in nodes if _fits(node, code)]
    is_alone = len(fitting) < 2 or sys.version_info < (3, 11) or line != code.co_firstlineno
    spots = [p for p in ([] if is_alone else code.co_positions()) if None not in p and (p[0] != p[1] or p[2] != p[3])]
    if spots:  # 3.12.1 has none for `lambda: 1`
        first, last = min((p[0], p[2]) for p in spots), max((p[1], p[3]) for p in spots)
        placed = [n for n in fitting if _start(n) <= first and last <= _end(n)]
        return (sorted(placed, key=lambda n: (_end(n), [-x for x in _start(n)])) or fitting)[0]
    return fitting[min(nth, len(fitting) - 1)] if fitting else None


def _start(node: AnyFunction) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _end(node: AnyFunction) -> tuple[int, int]:
    return node.end_lineno or 0, node.end_col_offset or 0


def _fits(node: AnyFunction, code: CodeType) -> bool:
    spec = node.args
    every = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *filter(None, (spec.vararg, spec.kwarg))]
    # Within a class, `__x` is compiled as `_Class__x`.
    return all(a.arg == b or b.endswith(a.arg) for a, b in zip(every, code.co_varnames, strict=False))


def _loader(namespace: dict[str, Any]) -> Any:
    spec = namespace.get("__spec__")
    return namespace.get("__loader__") if spec is None else getattr(spec, "loader", None)


def is_compiled_as_it_stands(namespace: dict[str, Any]) -> bool:
    """Whether Python's own loader has loaded the module, or it is a script: others compile what they have rewritten."""
    loader = _loader(namespace)
    name = f"{type(loader).__module__}.{type(loader).__name__}"
    return loader is None or name == "_frozen_importlib_external.SourceFileLoader"


def is_same(one: CodeType, other: CodeType) -> bool:
    """Whether two codes do the same, wherever in their lines they stand."""
    if one is other:
        return True
    if (one.co_code, one.co_names, one.co_varnames) != (other.co_code, other.co_names, other.co_varnames):
        return False
    if (one.co_freevars, one.co_cellvars, one.co_flags) != (other.co_freevars, other.co_cellvars, other.co_flags):
        return False
    same = len(one.co_consts) == len(other.co_consts)
    return same and all(map(_same_constant, one.co_consts, other.co_consts))


def _same_constant(one: Any, other: Any) -> bool:
    if isinstance(one, CodeType) and isinstance(other, CodeType):
        return is_same(one, other)
    if isinstance(one, tuple) and isinstance(other, tuple) and len(one) == len(other):
        return all(map(_same_constant, one, other))
    # A set is printed in the order it was made in.
    return type(one) is type(other) and (repr(one) == repr(other) or (isinstance(one, frozenset) and one == other))


#: The module sets these itself wherever it is loaded.
_MODULE_ATTRIBUTES = {*"__name__ __file__ __doc__ __package__ __spec__ __loader__ __path__ __builtins__".split()}
_GLOBAL_OPERATIONS = {
    code for name, code in opmap.items() if "GLOBAL" in name or name in ("LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
}
_SHIFTED = opmap["LOAD_GLOBAL"] if sys.version_info >= (3, 11) else -1


def describe(graph: Graph, function: FunctionType) -> tuple[Any, Any]:
    """The node of a function, and what it means."""
    namespace = function.__globals__
    module = module_name(namespace)
    own = str(function.__module__)
    if is_of_library(function) and is_library(own) and has_name(function, own, function.__qualname__):
        return by_name(graph, function.__module__, function.__qualname__), None
    is_whole = module_of(namespace) is not None and namespace is not graph.home and module != "__main__"
    is_named = has_name(function, module, function.__qualname__) or has_udf(function, module, function.__qualname__)
    if is_whole and is_named and function.__code__.co_filename.startswith("<"):
        from fanfold.source.executed import is_from_elsewhere

        is_named = not is_from_elsewhere(function)
    if is_whole and is_named and not is_library(module, namespace):
        return by_name(graph, module, function.__qualname__), None
    found = locate(function)
    if isinstance(found, Located):
        number = graph.keep(found)
        graph.kept.belongs_to(found.source, module)
        code: list[Any] = ["text", number, bool(found.futures), [list(step) for step in found.path]]
        usage = UseSite(found.source.path, found.node, function.__name__)
        meaning = meaning_of(found.node)
        for imported in _imports(found.node, _package(namespace)):
            graph.project.require(imported, found.source.path)
    elif found.path and is_compiled_as_it_stands(namespace) and may_be_edited(found.path, function.__name__):
        raise refusals.stale(function)
    else:
        from fanfold.source.unkept import as_it_is

        code, meaning = as_it_is(graph, function)
        usage = UseSite(
            function.__code__.co_filename, ast.Pass(lineno=function.__code__.co_firstlineno), function.__name__
        )
    parts = _parts(graph, function, usage, is_whole=is_whole)
    lane, size = ("source", 0) if code[0] == "text" else ("compiled", len(code[1]))
    graph.note_lane(lane, function.__qualname__, "a function", size, f"{shown_path(usage.path)}:{usage.line}")
    return ["function", {"code": code, **parts}], _meaning(parts, meaning)


def _meaning(parts: dict[str, Any], code: str) -> Any:
    left_out = ("qualname", "module", "space", "name")
    return ["function", code, {k: v for k, v in parts.items() if k not in left_out}]


def _parts(graph: Graph, function: FunctionType, usage: UseSite, *, is_whole: bool) -> dict[str, Any]:
    parts: dict[str, Any] = {"name": function.__name__}
    if function.__qualname__ != function.__name__:
        parts["qualname"] = function.__qualname__
    namespace = function.__globals__
    if function.__module__ != namespace.get("__name__"):
        parts["module"] = function.__module__
    cells = sorted(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    if cells:
        parts["cells"] = {name: _used(graph, usage, name, cell) for name, cell in cells}
    _hold(graph, function, usage, parts)
    parts["space"] = number = _space(graph, namespace, is_whole=is_whole)
    if "of" not in graph.spaces[number]:
        take_globals(graph, number, namespace, _globals_of(graph, function, usage), usage)
        if "." not in function.__qualname__ and _is_under(namespace, function):
            graph.spaces[number]["names"].setdefault(function.__qualname__, graph.ref(function))
    return parts


def _is_under(namespace: dict[str, Any], function: FunctionType) -> bool:
    held = namespace.get(function.__qualname__)
    return held is function or udf_function(held) is function


def _hold(graph: Graph, function: FunctionType, usage: UseSite, parts: dict[str, Any]) -> None:
    """What a function holds besides its code."""
    if defaults := function.__defaults__:
        spec = function.__code__.co_varnames[: function.__code__.co_argcount]
        for name, value in zip(spec[-len(defaults) :], defaults, strict=True):
            _used(graph, usage, f"{function.__name__}.{name}", value)
        parts["__defaults__"] = _used(graph, usage, f"{function.__name__}.__defaults__", defaults)
    if named := dict(function.__kwdefaults__ or {}):
        for name, value in named.items():
            _used(graph, usage, f"{function.__name__}.{name}", value)
        parts["__kwdefaults__"] = _used(graph, usage, f"{function.__name__}.__kwdefaults__", named)
    if annotations := _annotations(function):
        parts["__annotations__"] = graph.annotations(annotations)
    if function.__doc__ != docstring(function.__code__):
        parts["__doc__"] = graph.ref(function.__doc__)
    if parameters := getattr(function, "__type_params__", ()):
        parts["__type_params__"] = graph.ref(parameters)
    if own := function.__dict__:
        parts["attributes"] = [[n, _used(graph, usage, f"{function.__name__}.{n}", v)] for n, v in own.items()]


def _annotations(function: FunctionType) -> dict[str, Any]:
    try:
        return dict(function.__annotations__)
    except Exception:  # noqa: BLE001 - from 3.14 on they are evaluated now, and may name what is not there
        from fanfold.source.unevaluated import annotations_as_far

        return annotations_as_far(function)


def _used(graph: Graph, usage: UseSite, name: str, value: Any) -> Any:
    with graph.used(usage, name):
        return graph.ref(value)


# Modules and their globals


def space_of(graph: Graph, namespace: dict[str, Any]) -> int:
    """The number of a module's namespace, as `describe` has it for the functions of that module."""
    is_whole = module_of(namespace) is not None and namespace is not graph.home
    return _space(graph, namespace, is_whole=is_whole and namespace.get("__name__") != "__main__")


def _space(graph: Graph, namespace: dict[str, Any], *, is_whole: bool) -> int:
    """The number of a function's globals: those of a module that is imported where it runs, or only what is used."""
    module = module_name(namespace) if "__name__" in namespace else None
    if is_whole or is_library(str(module), namespace):
        if is_whole and not is_library(str(module), namespace):
            graph.project.require(Imported(str(module), (), 1), str(namespace.get("__file__")))
        else:
            graph.project.imports.add(str(module).partition(".")[0])
        return graph.space(namespace, lambda: {"of": module})
    is_copy = module != "__main__" and module in sys.modules and _copies(graph, namespace, str(module))
    is_beside = is_copy or is_library(str(module))
    if is_beside and graph.repeats(namespace, str(module)):
        if is_copy:
            graph.project.require(Imported(str(module), (), 1), str(namespace.get("__file__")))
        else:
            graph.project.imports.add(str(module).partition(".")[0])
        return graph.space(namespace, lambda: {"of": module})

    def new() -> dict[str, Any]:
        name = str(module or "__main__")
        is_first = not is_beside and all(space.get("key") != name for space in graph.spaces)
        space = {"name": name, "key": name if is_first else f"{name}·{len(graph.spaces)}"}
        space["package"] = _package(namespace)
        # A `__main__` with a `__file__` would be run again by every process that multiprocessing spawns.
        if name != "__main__" and isinstance(namespace.get("__file__"), str):
            space["file"] = namespace["__file__"]
        beside = {"beside": True} if is_beside else {}
        return {**space, **beside, "globals": {}, "names": {}}

    return graph.space(namespace, new)


def _copies(graph: Graph, namespace: dict[str, Any], module: str) -> bool:
    if vars(sys.modules[module]) is namespace or namespace is graph.home:
        return False
    from fanfold.source.executed import is_copy

    return is_copy(namespace, module)


def _package(namespace: dict[str, Any]) -> str:
    name = str(namespace.get("__name__", "__main__"))
    return str(namespace.get("__package__") or (name if "__path__" in namespace else name.rpartition(".")[0]))


def take_globals(graph: Graph, number: int, namespace: dict[str, Any], names: frozenset[str], usage: UseSite) -> None:
    """Have the globals travel that code uses."""
    space = graph.spaces[number]
    if "__file__" in names and isinstance(namespace.get("__file__"), str):
        space["file"] = namespace["__file__"]
    known = space["globals"]
    for name in sorted(names):
        if name == "__doc__" or (name not in namespace and is_put_into_builtins(name)):
            value = namespace.get(name, vars(builtins)[name])
            known[name] = _used(graph, usage, name, value)
        elif name in namespace and name not in _MODULE_ATTRIBUTES:
            value = namespace[name]
            if issubclass(type(value), ModuleType):
                known[name] = _take_module(graph, value, usage, name)
            elif name not in known:
                known[name] = _variable(graph, namespace, name, value) or _used(graph, usage, name, value)


def _variable(graph: Graph, namespace: dict[str, Any], name: str, value: Any) -> int | None:
    """The node of a global that is a variable of the environment, whose value is not to travel; None for another."""
    file = namespace.get("__file__")
    if type(value) is not str or not isinstance(file, str) or value not in os.environ.values():
        return None
    text = "".join(linecache.getlines(file))
    if "environ" not in text and "getenv" not in text:
        return None
    from fanfold.source.environ import variable_behind

    try:
        node = variable_behind(parse(file, text), name, value)
    except SyntaxError:
        return None
    return None if node is None else graph.number(node, meaning=[*node, value])


def _globals_of(graph: Graph, function: FunctionType, usage: UseSite) -> frozenset[str]:
    names = global_names(function.__code__)
    if isinstance(usage.node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        names |= _annotated(usage.node, bool(function.__code__.co_flags & _POSTPONED))
    if not ASKING_BY_TEXT.isdisjoint(all_names(function.__code__)):
        from fanfold.source.reflection import asked_for

        names |= asked_for(graph, function)
    return names


_POSTPONED = annotations.compiler_flag


@lru_cache(maxsize=4096)
def _annotated(node: AnyFunction, unevaluated: bool) -> frozenset[str]:
    return frozenset(annotation_names(node, unevaluated=unevaluated))


@lru_cache(maxsize=4096)
def _imports(node: AnyFunction, package: str) -> list[Imported]:
    return [*imports_in(node, package), *called_imports(node, package)]


@lru_cache(maxsize=4096)
def global_names(code: CodeType) -> frozenset[str]:
    """The names that a code, and any within it, reads or sets in its module."""
    names = {code.co_names[index] for index in _global_indexes(code)}
    # pytest's rewriting of assertions uses names such as `@pytest_ar`, which no text can use, and text is what travels.
    names = {name for name in names if not name.startswith("@")}
    inner = (global_names(const) for const in code.co_consts if isinstance(const, CodeType))
    return frozenset(names).union(*inner)


def _global_indexes(code: CodeType) -> Iterator[int]:
    above = 0
    raw = code.co_code
    for operation, argument in zip(raw[::2], raw[1::2], strict=True):
        argument |= above  # noqa: PLW2901
        above = argument << 8 if operation == EXTENDED_ARG else 0
        if operation in _GLOBAL_OPERATIONS:
            yield argument >> 1 if operation == _SHIFTED else argument


def all_names(code: CodeType) -> frozenset[str]:
    """The names of a code, attributes included."""
    inner = (all_names(const) for const in code.co_consts if isinstance(const, CodeType))
    return frozenset(code.co_names).union(*inner)


def _take_module(graph: Graph, module: ModuleType, usage: UseSite, name: str) -> Any:
    names = frozenset(_attributes_of(usage.node, name))
    with graph.used(usage, name):
        ref = graph.ref(module)
    _take_replaced(graph, module, names, usage)
    node = graph.nodes[ref]
    if node[0] == "import":
        for below in _submodules(module, names):
            if below not in node[3]:
                node[3].append(below)
                graph.project.require(Imported(below, (), usage.line_of(name)), usage.path)
    elif node[0] == "space" and graph.enters(ref, usage.node):
        asked = {"__getattr__"} & vars(module).keys()  # of a name that is none of its own it gives one
        take_globals(graph, node[1], vars(module), names | asked, usage)
    return ref


def _attributes_of(node: ast.AST, name: str) -> Iterator[str]:
    """The names that stand in code as attributes of anything, and by which a module's submodules are meant."""
    for each in ast.walk(node):
        if isinstance(each, ast.Attribute):
            yield each.attr
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            yield each.value
    yield name


def _submodules(module: ModuleType, names: frozenset[str]) -> Iterator[str]:
    for name in sorted(names) if hasattr(module, "__path__") else ():
        below = vars(module).get(name)
        if isinstance(below, ModuleType) and sys.modules.get(f"{module.__name__}.{name}") is below:
            yield below.__name__
            yield from _submodules(below, names)


def _take_replaced(graph: Graph, module: ModuleType, names: frozenset[str], usage: UseSite) -> None:
    """What somebody has put in the place of a library's own functions travels with its user."""
    if not is_library(module.__name__, vars(module)):
        return
    for name in sorted(names):
        value = vars(module).get(name)
        if value is not None and is_replaced(value) and not any(a[:2] == (module.__name__, name) for a in graph.after):
            graph.after.append((module.__name__, name, _used(graph, usage, f"{module.__name__}.{name}", value)))


def describe_module(graph: Graph, module: ModuleType) -> Any:
    """The node of a module: by name, or its members where it is only in memory."""
    name = module.__name__
    if vars(module) is graph.home or (name == "__main__" and sys.modules.get(name) is module):
        return ["space", _space(graph, vars(module), is_whole=False)]
    if sys.modules.get(name) is module and (is_library(name, vars(module)) or _has_file(module)):
        return [*by_name(graph, name, ""), []]
    members = [(k, v) for k, v in vars(module).items() if k not in _MODULE_ATTRIBUTES]
    return ["module", name, [[k, graph.ref(v, f".{k}")] for k, v in members]]


def _has_file(module: ModuleType) -> bool:
    """Whether a module was found somewhere, other than one that a run has for a function of it alone."""
    spec = getattr(module, "__spec__", None)
    return spec is not None and getattr(spec, "loader_state", None) != IN_MEMORY


def by_name(graph: Graph, module: str, name: str) -> list[Any]:
    """The node of what a module has under a name."""
    module, name = OLDER_NAMES.get((module, name), (module, name))
    if module != "builtins":
        graph.project.require(Imported(module, (name.partition(".")[0],) if name else (), 1), "")
    return ["import", module, name]


@lru_cache(maxsize=4096)
def meaning_of(node: AnyFunction) -> str:
    """The hash of a function's own syntax: without its decorators and defaults, which are values by now."""
    bare = copy.copy(node)
    bare.args = copy.copy(node.args)
    bare.args.defaults = []
    bare.args.kw_defaults = [None for _ in node.args.kw_defaults]
    if not isinstance(bare, ast.Lambda):
        bare.decorator_list = []
    return tree_hash(bare)
