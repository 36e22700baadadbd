"""The user's own modules: found by where their files lie, and shipped whole with all of theirs that they import."""

from __future__ import annotations

import ast
import os
import site
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec, PathFinder
from importlib.util import find_spec
from typing import NamedTuple

from fanfold.source import reading, refusals
from fanfold.source.blank import whole_text
from fanfold.source.bundle import SourceFile, SourceKind
from fanfold.source.decorators import looked_up, udf_decorators
from fanfold.source.expression import PutBlob
from fanfold.source.imports import Imported
from fanfold.source.origin import Place, Source, parse, read
from fanfold.source.settled import settled


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
        #: What modules hold that their files would not give again: as the codec's text, by `module:name`.
        self.values: dict[str, str] = {}
        self._located: dict[str, _Located | None] = {}
        self._texts: dict[str, _Text] = {}

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
        lookup = looked_up(namespace, reading.statements(source), package)
        ours = {place: found for place in reading.decorated(source) if (found := udf_decorators(place.node, lookup))}
        self._texts[name] = _Text(source, ours)
        # Inside a run a call of a UDF is a plain call, and the hash must not know the decorator.
        text = whole_text(source, ours) if ours else source.text
        self.files[name] = SourceFile(name, located.path, text, kind)
        self.parts.add(("module", name, reading.module_hash(source, tuple(d for ds in ours.values() for d in ds))))
        return reading.all_imports(source, package)

    def settle(self, mentioned: AbstractSet[str], put_blob: PutBlob) -> None:
        """Have values travel where a loaded module holds something else by now than its file would give where it runs.

        `mentioned` are the names in what uses the project: of what nobody mentions nothing need be known. Raises
        `CaptureError` where a file has changed since it was loaded, or a value cannot travel.
        """
        loaded = {name: text for name, text in self._texts.items() if _is_loaded_from(name, text.source.path)}
        everywhere = frozenset(mentioned).union(*(reading.mentions(text.source) for text in loaded.values()))
        for name, text in loaded.items():
            namespace = vars(sys.modules[name])
            reading.check_functions(text.source, namespace)
            found = settled(text.source, namespace, put_blob, mentioned=everywhere, directly=mentioned)
            if found.values:
                whole = whole_text(text.source, text.ours, found.given) + "".join(found.afterwards)
                self.files[name] = self.files[name]._replace(text=whole)
                self.values |= {f"{name}:{key}": value for key, value in found.values.items()}
                self.parts |= {("held", f"{name}:{key}", value) for key, value in found.values.items()}

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
