"""Import statements: what they bind, which of them gave a name its value, and how to write one."""

from __future__ import annotations

import ast
import builtins
import os
import site
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec, PathFinder
from importlib.util import find_spec
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from fanfold.contract.records import NamedTuple
from fanfold.source import refusals
from fanfold.source.load import SourceFile, SourceKind
from fanfold.source.texts import (
    Place,
    Source,
    UseSite,
    bound_name,
    bound_names,
    dotted,
    everywhere,
    identifiers,
    parse,
    read,
    top_level,
    tree_hash,
    whole_text,
)

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

_NO_MODULE: Any = object()
#: What imports a module that a text names.
_IMPORTERS = {"import_module", "__import__"}
#: What reads the files beside a package that a text names, which imports it: calls of `importlib.resources`, `pkgutil`.
_READERS = {*"files read_text read_binary open_text open_binary path contents is_resource get_data".split()}
_READERS_OF = {"resources", "importlib_resources", "pkgutil"}
_IMPORT_FAILURES = {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"}


class Imported(NamedTuple):
    """A module that code imports, and the names taken of it.

    `optional` where the code can do without, `guessed` where the module may never be asked for.
    """

    module: str
    names: tuple[str, ...]
    line: int
    optional: bool = False
    guessed: bool = False


def imports_in(node: ast.AST, package: str, *, optional: bool = False) -> Iterator[Imported]:
    """Every import in the node, those for type checkers alone left out."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield Imported(alias.name, (), node.lineno, optional)
    elif isinstance(node, ast.ImportFrom):
        names = tuple(alias.name for alias in node.names)
        yield Imported(absolute_module(node, package), names, node.lineno, optional)
    elif isinstance(node, ast.Try):
        caught = optional or any(map(catches_import_failure, node.handlers))
        for child in _statements(node):
            yield from imports_in(child, package, optional=caught)
    elif isinstance(node, ast.If) and (dotted(node.test) or ("",))[-1] == "TYPE_CHECKING":
        for child in node.orelse:
            yield from imports_in(child, package, optional=optional)
    else:
        for child in _statements(node):
            yield from imports_in(child, package, optional=optional)


def called_imports(node: ast.AST, package: str) -> Iterator[Imported]:
    """The modules that calls name: `import_module("plugins.csv")`, `import_module(".csv", "plugins")`.

    Where the name is made of something, all modules that are loaded by now of the package that the call starts from.
    """
    for call in ast.walk(node):
        if not (isinstance(call, ast.Call) and call.args):
            continue
        called = (dotted(call.func) or ("",))[-1]
        if called not in _IMPORTERS:
            yield from _read_by(called, call, package)
            continue
        start = _given_package(call, package) if called == "import_module" else package
        name = _text(call.args[0])
        if name is not None and not (name.startswith(".") and start is None):
            level = len(name) - len(name.lstrip("."))
            yield Imported(_from_package(name[level:], level, start or ""), (), call.lineno, optional=True)
            continue
        below = package if start is None else start
        loaded = [each for each in list(sys.modules) if below and each.startswith(f"{below}.")]
        yield from (Imported(each, (), call.lineno, optional=True, guessed=True) for each in sorted(loaded))


def _read_by(called: str, call: ast.Call, package: str) -> Iterator[Imported]:
    """The package whose files a call may read, whatever `importlib.resources` is called there."""
    if called in _READERS:
        name = package if dotted(call.args[0]) in (("__package__",), ("__name__",)) else _text(call.args[0]) or ""
        if all(map(str.isidentifier, name.split("."))):
            yield Imported(name, (), call.lineno, optional=True)


def _given_package(call: ast.Call, package: str) -> str | None:
    """The package that `import_module` starts from; None where the text does not say which."""
    given = call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "package"), None)
    if given is None or (isinstance(given, ast.Name) and given.id in ("__package__", "__name__")):
        return package
    return _text(given)


def _text(expression: ast.expr) -> str | None:
    said = isinstance(expression, ast.Constant) and isinstance(expression.value, str)
    return expression.value if said else None  # type: ignore[attr-defined]


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """What may hold an import: expressions cannot, and are sometimes nested deeper than Python can recurse."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            yield child


def catches_import_failure(handler: ast.ExceptHandler) -> bool:
    """Whether a `try` goes on where something cannot be imported."""
    if handler.type is None:
        return True
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any((dotted(each) or ("",))[-1] in _IMPORT_FAILURES for each in types)


def absolute_module(node: ast.ImportFrom, package: str) -> str:
    """The module that `from ... import` names, seen from `package`."""
    return _from_package(node.module or "", node.level, package)


def _from_package(name: str, level: int, package: str) -> str:
    """The module of a name that `level` dots stand before, seen from `package`: as `importlib` resolves it."""
    if not level:
        return name
    base = package.split(".")
    return ".".join(filter(None, [*base[: len(base) - level + 1], name]))


def target(node: ast.Import | ast.ImportFrom, alias: ast.alias, package: str) -> tuple[str, str]:
    """The module and the attribute that an alias names; no attribute where it names a module by `import`."""
    if isinstance(node, ast.Import):
        return alias.name, ""
    return absolute_module(node, package), alias.name


def imported_object(node: ast.Import | ast.ImportFrom, alias: ast.alias, package: str) -> Any:
    """What the alias is bound to, going by the modules that are loaded."""
    module, attribute = target(node, alias, package)
    if isinstance(node, ast.ImportFrom):
        return attribute_of(module, attribute)
    return sys.modules.get(module if alias.asname else module.partition(".")[0], _NO_MODULE)


def attribute_of(module: str, attribute: str) -> Any:
    """What `from module import attribute` gives, if the module is loaded."""
    try:
        return getattr(sys.modules[module], attribute)
    except Exception:  # noqa: BLE001 - a module's own `__getattr__` may raise anything
        return sys.modules.get(f"{module}.{attribute}", _NO_MODULE)


def asked(value: Any, attribute: str) -> Any:
    """An attribute of a value of the user's, None where it has none: a proxy may raise anything."""
    try:
        return getattr(value, attribute, None)
    except Exception:  # noqa: BLE001 - see above
        return None


_CONSTANTS = frozenset({"None", "True", "False", "Ellipsis", "NotImplemented"})


def is_put_into_builtins(name: str) -> bool:
    """Whether a name is somebody's own in `builtins`, which a worker has as Python makes it."""
    if name.startswith("_") or name in _CONSTANTS or name not in vars(builtins):
        return False
    value = vars(builtins)[name]
    module = getattr(value, "__module__", None)
    if isinstance(module, str):
        return not is_library(module)
    return type(value).__module__ == "builtins" or not is_library(type(value).__module__)


# Which decorators are Fanfold's own: they stay here, and count for nothing in the code hash.

_MISSING: Any = object()

Lookup = Callable[[str], Any]


def udf_function(value: Any) -> Any:
    """The function that a UDF object wraps; None for anything that is no UDF."""
    wrapped = asked(value, "__fanfold_udf__")
    # An object that answers to every name (a mock, a proxy) is no UDF; one around a cached or jitted function is.
    return wrapped if isinstance(wrapped, FunctionType) or hasattr(wrapped, "__wrapped__") else None


def unwrapped(value: Any) -> Any:
    """What `functools.wraps` says is inside; the value itself where it says nothing."""
    try:
        if not callable(value) or not hasattr(value, "__wrapped__"):
            return value
        from inspect import unwrap

        return unwrap(value)
    except Exception:  # noqa: BLE001 - a proxy may raise anything, and a circle does
        return value


def udf_decorators(node: ast.AST, lookup: Lookup) -> tuple[ast.expr, ...]:
    """Those of a definition's decorators that are `fanfold.udf`, by whatever name."""
    return tuple(each for each in getattr(node, "decorator_list", ()) if _is_udf(each, lookup))


def _is_udf(decorator: ast.expr, lookup: Lookup) -> bool:
    value = _value_of(decorator.func if isinstance(decorator, ast.Call) else decorator, lookup)
    return getattr(value, "__fanfold_decorator__", None) is True


def _value_of(expression: ast.expr, lookup: Lookup) -> Any:
    chain = dotted(expression)
    value = lookup(chain[0]) if chain else None
    for attribute in (chain or ("",))[1:]:
        value = getattr(value, attribute, None)
    return value


def looked_up(namespace: Mapping[str, Any], places: Iterable[Place], package: str) -> Lookup:
    """Finds a name's value in a namespace, or by a statement in `places`: an import, `name = fanfold.udf(...)`."""

    def lookup(name: str) -> Any:
        value = namespace.get(name, getattr(builtins, name, _MISSING))
        return stated(name) if value is _MISSING else value

    def stated(name: str) -> Any:
        for node in (place.node for place in places):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                for alias in node.names:
                    if bound_name(node, alias) == name:
                        return imported_object(node, alias, package)
            elif isinstance(node, ast.Assign) and name in bound_names(node) and isinstance(node.value, ast.Call):
                return _called(node.value, lambda other: None if other == name else lookup(other))
        return None

    return lookup


def _called(call: ast.Call, lookup: Lookup) -> Any:
    """The `fanfold.udf` that an expression calls; None where it calls something else."""
    return _value_of(call.func, lookup) if _is_udf(call, lookup) else None


# The user's own modules: found by where their files lie, and shipped whole with all of theirs that they import.

#: What a module's text says is read once, however often it is submitted: a project may have many long ones.
_once = lru_cache(maxsize=1024)


class _Located(NamedTuple):
    """Where a module is: its file ("" for a namespace package), and where its submodules are, if it is a package."""

    path: str
    below: list[str] | None


class _Text(NamedTuple):
    """The text of a module, and which decorators of its definitions stay behind."""

    source: Source
    ours: dict[Place, tuple[ast.expr, ...]]


class Project:
    """Collects what captured code imports: modules of the project as files, of others only the names."""

    def __init__(self) -> None:
        self.files: dict[str, SourceFile] = {}
        #: Top-level modules that must be installed where the code runs.
        self.imports: set[str] = set()
        #: Every module of others that code imports, whether it can do without or not.
        self.libraries: set[str] = set()
        self.parts: set[tuple[str, ...]] = set()
        self._located: dict[str, _Located | None] = {}
        self._texts: dict[str, _Text] = {}
        self._settled: set[str] = set()
        #: By module, what its text leaves to the bundle: the codec's text, by key.
        self._given: dict[str, dict[str, str]] = {}
        #: By module, the names that these are the values of.
        self._held: dict[str, frozenset[str]] = {}
        #: The files of packages, zipped, as the codec's text; None until they are packed.
        self._packed: dict[str, str] | None = None
        self._reads_files = False
        #: Packages whose files are too many to travel.
        self.left_files: list[str] = []

    def require(self, imported: Imported, importer: str) -> None:
        """Take in a module and the modules it needs. `importer` is the file that imports it, for errors.

        Raises `CaptureError` where a module of the project is not Python source.
        """
        pending = [(imported, importer)]
        while pending:
            wanted, path = pending.pop()
            for name in self._modules(wanted):
                where = f"{path}:{wanted.line}: " if path else ""
                for each in self._add(name, where):
                    # What a guess needs is a guess as well: the code is not refused for what it may never import.
                    needed = each._replace(optional=True, guessed=True) if wanted.guessed else each
                    pending.append((needed, self.files[name].path))

    def _modules(self, imported: Imported) -> Iterator[str]:
        """The project's modules that one import loads: packages first, then names that are submodules."""
        top = imported.module.partition(".")[0]
        if top in ("", "__main__", "__future__"):
            return
        self._reads_files |= bool(_READERS_OF.intersection((*imported.module.split("."), *imported.names)))
        if not self._is_ours(top):
            self.libraries.add(imported.module)
            if not imported.optional:
                self.imports.add(top)
            return
        parts = imported.module.split(".")
        for count in range(1, len(parts) + 1):
            yield ".".join(parts[:count])
        yield from (f"{imported.module}.{name}" for name in imported.names)

    def _is_ours(self, top: str) -> bool:
        located = self._locate(top)
        if located is None or top == "fanfold":
            return False
        return any(map(is_project_path, [located.path] if located.path else located.below or []))

    def _add(self, name: str, where: str) -> list[Imported]:
        located = None if name in self.files else self._locate(name)
        if located is None or not (located.path == "" or is_project_path(located.path)):
            return []
        if not located.path:
            self.files[name] = SourceFile(name, f"<namespace {name}>", "", "namespace")
            self.parts.add(("namespace", name))
            return []
        if not located.path.endswith(tuple(SOURCE_SUFFIXES)):
            raise refusals.no_python_source(name, located.path, where)
        try:
            return self._add_file(name, located)
        except (OSError, SyntaxError, UnicodeError) as error:
            raise refusals.unreadable(name, located.path, where, error) from error

    def _add_file(self, name: str, located: _Located) -> list[Imported]:
        source = parse(located.path, read(located.path))
        kind: SourceKind = "module" if located.below is None else "package"
        package = name if kind == "package" else name.rpartition(".")[0]
        namespace = getattr(sys.modules.get(name), "__dict__", {})
        lookup = looked_up(namespace, list(top_level(source)), package)
        ours = {place: found for place in _decorated(source) if (found := udf_decorators(place.node, lookup))}
        self._texts[name] = _Text(source, ours)
        # Inside a run a call of a UDF is a plain call, and the hash must not know the decorator.
        text = whole_text(source, ours) if ours else source.text
        self.files[name] = SourceFile(name, located.path, text, kind)
        self.parts.add(("module", name, _module_hash(source, tuple(d for ds in ours.values() for d in ds))))
        return _all_imports(source, package)

    def settle(self, graph: Graph) -> dict[str, Any]:
        """Have travel what loaded modules hold by now and their files would not give again where they run.

        Of what nobody mentions nothing need be known. Raises `CaptureError` where a file has changed since it was
        loaded, or a value cannot travel.
        """
        if not self._texts and not self._reads_files:
            return {"given": {}, "loaded": [], "files": None, "paths": []}
        from fanfold.source import shared
        from fanfold.source.drift import changes, held_paths

        while waiting := [name for name in self._texts if name not in self._settled and self._is_loaded(name)]:
            everything = frozenset(self.mentioned(graph))
            for name in waiting:
                mentioned = everything | shared.names_in(graph, name)
                self._settled.add(name)
                text = self._texts[name]
                found = changes(graph, text.source, vars(sys.modules[name]), mentioned, graph.mentions)
                for dotted_name, value in found.after:
                    self._set_after(graph, name, dotted_name, value)
                if found.values:
                    whole = whole_text(text.source, text.ours, found.given) + "".join(found.lines)
                    self.files[name] = self.files[name]._replace(text=whole)
                    self._given[name] = found.values
                    self._held[name] = frozenset(found.held)
                    self.parts |= {("held", f"{name}:{key}", value) for key, value in found.values.items()}
        loaded = [name for name in self._texts if self._is_loaded(name)]
        no_names: frozenset[str] = frozenset()
        shared.join(graph, [shared.Module(n, self._texts[n].source, self._held.get(n, no_names)) for n in loaded])
        if self._reads_files and self._packed is None:
            from fanfold.source.package_files import pack_all

            tops = sorted(name for name, each in self.files.items() if each.kind != "module" and "." not in name)
            self._packed, hashes, self.left_files = pack_all({top: self._below(top) for top in tops}, graph)
            self.parts |= {("files", *each) for each in hashes}
        given: dict[str, Any] = {"given": self._given, "loaded": sorted(loaded) if self._given else []}
        return {**given, "files": self._packed, "paths": loaded and held_paths(loaded, self.mentioned(graph))}

    def mentioned(self, graph: Graph) -> set[str]:
        """What the code of the UDF and of the modules mentions, those included that it will only import as it runs."""
        return graph.mentions.union(*(mentions(text.source) for text in self._texts.values()))

    def _set_after(self, graph: Graph, module: str, name: str, value: Any) -> None:
        """Have a value set once a module has been executed, in each module that has it under a name of its own."""
        from fanfold.source.removed import GONE

        with graph.used(UseSite(self.files[module].path, ast.Pass(lineno=1), module), name):
            ref = None if value is GONE else graph.ref(value)
        graph.after.append((module, name, ref))
        for other in self._texts if isinstance(ref, int) and "." not in name else ():
            if other != module and self._is_loaded(other):
                held = [own for own, each in vars(sys.modules[other]).items() if each is value]
                graph.after += [(other, own, ref) for own in held]

    def _is_loaded(self, name: str) -> bool:
        return _is_loaded_from(name, self._texts[name].source.path)

    def _locate(self, name: str) -> _Located | None:
        if name not in self._located:
            self._located[name] = self._loaded(name) or self._on_path(name)
        return self._located[name]

    def _loaded(self, name: str) -> _Located | None:
        module = sys.modules.get(name)
        if module is None:
            return None
        below = getattr(module, "__path__", None)
        path = getattr(module, "__file__", None)
        if not path and below is None:  # built in
            return None
        return _Located(path or "", None if below is None else list(below))

    def _on_path(self, name: str) -> _Located | None:
        """Where an import would find it. Nothing is imported for the answer, not even a parent package."""
        parent = name.rpartition(".")[0]
        try:
            spec = PathFinder.find_spec(name, self._below(parent)) if parent else find_spec(name)
        except (ImportError, ValueError):
            return None
        return _located(spec) if spec else None

    def _below(self, parent: str) -> Sequence[str]:
        located = self._locate(parent)
        return (located and located.below) or []


@_once
def _decorated(source: Source) -> list[Place]:
    """Every definition that has a decorator."""
    return [place for place in everywhere(source) if getattr(place.node, "decorator_list", None)]


@_once
def _all_imports(source: Source, package: str) -> list[Imported]:
    """Every import in the text."""
    return [*imports_in(source.tree, package), *called_imports(source.tree, package)]


@_once
def _module_hash(source: Source, without: tuple[ast.expr, ...]) -> str:
    """The hash of the whole, with some decorators left out."""
    return tree_hash(source.tree, without)


@_once
def mentions(source: Source) -> frozenset[str]:
    """Every name that the text mentions."""
    return frozenset(identifiers(source.tree))


def _is_loaded_from(name: str, path: str) -> bool:
    return getattr(sys.modules.get(name), "__file__", None) == path


def _located(spec: ModuleSpec) -> _Located | None:
    below = spec.submodule_search_locations
    if not spec.has_location and below is None:
        return None
    return _Located(spec.origin or "" if spec.has_location else "", None if below is None else list(below))


@lru_cache(maxsize=4096)
def is_project_path(path: str) -> bool:
    """Whether a file is the user's: neither the standard library's, nor installed, nor Fanfold's."""
    real = os.path.realpath(path)
    if {"site-packages", "dist-packages"}.intersection(real.split(os.sep)):
        return False
    return not any(real == root or real.startswith(root + os.sep) for root in _installed_roots())


@lru_cache(maxsize=1)
def _installed_roots() -> tuple[str, ...]:
    # What `sysconfig` says of them beyond this is named site-packages, and to ask it takes 2 ms.
    roots = [os.path.dirname(os.__file__), *site.getsitepackages(), site.getusersitepackages()]
    fanfold = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return tuple({os.path.realpath(root) for root in [*roots, fanfold] if root})


# What has a name of its own: the things of installed packages and of the standard library, which are imported.


def module_of(namespace: dict[str, Any]) -> ModuleType | None:
    """The imported module that has this namespace; None where an import would give another, or none."""
    module = sys.modules.get(module_name(namespace))
    return module if getattr(module, "__dict__", None) is namespace else None


def module_name(namespace: dict[str, Any]) -> str:
    """The name under which a namespace is imported, which some modules of Python's own do not give as `__name__`."""
    name = str(namespace.get("__name__"))
    spec = getattr(namespace.get("__spec__"), "name", name)
    if spec != name and getattr(sys.modules.get(spec), "__dict__", None) is namespace:
        return str(spec)
    return name


def is_library(name: str, namespace: dict[str, Any] | None = None) -> bool:
    """Whether a module is the standard library's or an installed package's."""
    module = sys.modules.get(name)
    if name == "__main__" or module is None:
        return False
    if namespace is not None and getattr(module, "__dict__", None) is not namespace:
        return False
    path = getattr(module, "__file__", None)
    if path:
        return not is_project_path(path)
    spec = getattr(module, "__spec__", None)
    if getattr(spec, "origin", None) in ("built-in", "frozen"):
        return True
    below = list(getattr(module, "__path__", ()))  # a namespace package
    return bool(below) and not any(map(is_project_path, below))


def has_name(value: Any, module: Any, name: Any) -> bool:
    """Whether `from module import name` gives this very object."""
    if not isinstance(module, str) or not isinstance(name, str):
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except Exception:  # noqa: BLE001 - a module's own `__getattr__` may raise anything
            return False
    return found is value


def has_udf(function: Any, module: str, name: str) -> bool:
    """Whether a module has a UDF of this function under its name: where that runs it is the plain function."""
    held = getattr(sys.modules.get(module), name, None)
    return udf_function(held) is function


def own_name(value: Any, name: str | None = None) -> tuple[str, str] | None:
    """Module and name under which a library has this very object; None where it has it under none."""
    module, name = getattr(value, "__module__", None), name or getattr(value, "__qualname__", None)
    for where in (module, type(value).__module__):
        if isinstance(where, str) and is_library(where) and has_name(value, where, name):
            return where, str(name)
    return None


def held_by(value: Any, module: str) -> str | None:
    """The name under which a library's module holds an object."""
    found = sys.modules.get(module)
    if found is None or not is_library(module):
        return None
    return next((name for name, held in list(vars(found).items()) if held is value), None)


def is_of_library(function: FunctionType) -> bool:
    """Whether a library has made a function: in a module, or by a text of its own in a namespace beside it."""
    namespace = function.__globals__
    return is_library(module_name(namespace), namespace if "__spec__" in namespace else None)


def is_replaced(value: Any) -> bool:
    """Whether a thing that a library's module or class holds is not of any library: somebody has put it there."""
    kind = type(value)  # not what it says of itself, as a mock and a lazy object do
    if issubclass(kind, FunctionType):
        return not is_of_library(value)
    where = str((value if issubclass(kind, type) else kind).__module__)
    if issubclass(kind, (BuiltinFunctionType, ModuleType)) or where.startswith("_cython_"):  # in no file
        return False
    return where == "unittest.mock" or (where in sys.modules and not is_library(where))
