"""The user's own modules: found by where their files lie, and shipped whole with all of theirs that they import."""

from __future__ import annotations

import ast
import os
import site
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec, PathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from fanfold.source import refusals
from fanfold.source.bundle import SourceFile, SourceKind
from fanfold.source.decorators import looked_up, udf_decorators
from fanfold.source.fingerprint import tree_hash
from fanfold.source.imports import Imported, imports_in
from fanfold.source.refusals import Usage
from fanfold.source.render import whole_text
from fanfold.source.syntax import identifiers
from fanfold.source.texts import Place, Source, everywhere, parse, read, top_level

if TYPE_CHECKING:
    from fanfold.source.graph import Graph

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
        self.parts: set[tuple[str, ...]] = set()
        self._located: dict[str, _Located | None] = {}
        self._texts: dict[str, _Text] = {}
        self._settled: set[str] = set()
        #: By module, what its text leaves to the bundle: the codec's text, by key.
        self._given: dict[str, dict[str, str]] = {}

    def require(self, imported: Imported, importer: str) -> None:
        """Take in a module and the modules it needs. `importer` is the file that imports it, for errors.

        Raises `CaptureError` where a module of the project is not Python source.
        """
        pending = [(imported, importer)]
        while pending:
            wanted, path = pending.pop()
            for name in self._modules(wanted):
                where = f"{path}:{wanted.line}"
                pending += [(each, self.files[name].path) for each in self._add(name, where)]

    def _modules(self, imported: Imported) -> Iterator[str]:
        """The project's modules that one import loads: packages first, then names that are submodules."""
        top = imported.module.partition(".")[0]
        if top in ("", "__main__", "__future__"):
            return
        if not self._is_ours(top):
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
        from fanfold.source.replaced import changes

        while waiting := [name for name in self._texts if name not in self._settled and self._is_loaded(name)]:
            every = [self._texts[name] for name in self._texts if self._is_loaded(name)]
            mentioned = frozenset(graph.mentions).union(*(mentions(text.source) for text in every))
            for name in waiting:
                self._settled.add(name)
                text = self._texts[name]
                found = changes(graph, text.source, vars(sys.modules[name]), mentioned, graph.mentions)
                for dotted_name, value in found.after:
                    self._set_after(graph, name, dotted_name, value)
                if found.values:
                    whole = whole_text(text.source, text.ours, found.given) + "".join(found.lines)
                    self.files[name] = self.files[name]._replace(text=whole)
                    self._given[name] = found.values
                    self.parts |= {("held", f"{name}:{key}", value) for key, value in found.values.items()}
        return {"given": self._given}

    def _set_after(self, graph: Graph, module: str, name: str, value: Any) -> None:
        """Have a value set once a module has been executed, in each module that has it under a name of its own."""
        with graph.used(Usage(self.files[module].path, ast.Pass(lineno=1), module), name):
            ref = graph.ref(value)
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
    return list(imports_in(source.tree, package))


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
    places = sysconfig.get_paths()
    roots = [places[key] for key in ("stdlib", "platstdlib", "purelib", "platlib")]
    roots += [*site.getsitepackages(), site.getusersitepackages()]
    fanfold = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return tuple({os.path.realpath(root) for root in [*roots, fanfold] if root})
