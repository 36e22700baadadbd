"""Running captured source: compiled once, and executed into fresh modules for every run.

A worker imports this on its way to its first run, so nothing costly may be imported here.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

from fanfold.source.bundle import Bundle, SourceFile, is_written
from fanfold.source.prepare import NO_VALUES, GetBlob, compiled, decoded, names_global

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec


def load(bundle: Bundle, *, get_blob: GetBlob | None = None) -> Callable[[], Callable[..., Any]]:
    """Compile a bundle; each call of what is returned runs it in fresh modules and gives the UDF's function.

    `get_blob` finds, by sha256, what the caller of `capture` kept with its `put_blob`. The modules of the previous
    call, of this bundle or another, are taken out of `sys.modules` first. Raises `CaptureError` where the bundle's
    text is no Python to this interpreter, and `CodecError` where a value does not decode.
    """
    return _Program(bundle, get_blob).fresh


def unload() -> None:
    """Put `sys.modules` and `linecache` back to what they were before anything was loaded."""
    if _Finder.program is not None:
        _Finder.program.leave()
        _Finder.program = None


def is_loaded_source(path: str) -> bool:
    """Whether code of that file name comes from the bundle that was loaded last."""
    return _Finder.program is not None and _Finder.program.has(path)


class _Program:
    """One bundle, compiled, and what it displaces in the interpreter while it is the one that runs."""

    def __init__(self, bundle: Bundle, get_blob: GetBlob | None) -> None:
        self._entry = bundle.entry
        self._module = bundle.module
        self._parts = [source for source in bundle.sources if source.kind == "entry"]
        self._codes = [compiled(source) for source in self._parts]
        #: The text that the user would call the module's: the last, unless capture has written that.
        self._own = next((part for part in reversed(self._parts) if not is_written(part)), None)
        self.project = {source.module: source for source in bundle.sources if source.kind != "entry"}
        self._project_codes: dict[str, CodeType] = {}
        self._modules = [*self.project, *([self._module] if self._parts else [])]
        self._lines = {source.path: _linecache_entry(source) for source in bundle.sources}
        self._values = decoded(bundle, get_blob)
        self._constants, self._decoders = self._values.pop("", NO_VALUES)
        self._attributes = self._entry_attributes(bundle.package)
        self._displaced: dict[str, ModuleType] = {}
        self._displaced_lines: dict[str, Any] = {}
        self._stand_ins: list[str] = []

    def _entry_attributes(self, package: str) -> dict[str, Any]:
        attributes: dict[str, Any] = {}
        if self._parts:
            loader = _Loader(self)
            attributes = {"__package__": package, "__loader__": loader}
            if self._module == "__main__":
                attributes["__spec__"] = MainSpec(package, loader)
        # A `__main__` with a `__file__` would be run again by every process that multiprocessing spawns.
        if self._own and (self._module != "__main__" or any(names_global(code, "__file__") for code in self._codes)):
            attributes["__file__"] = self._own.path
        return attributes

    def fresh(self) -> Callable[..., Any]:
        """The UDF's function in modules nobody has used."""
        self._enter()
        if not self._parts:
            __import__(self._module)
            function: Callable[..., Any] = getattr(sys.modules[self._module], self._entry)
            return function
        module = sys.modules[self._module] = ModuleType(self._module)
        namespace = module.__dict__
        namespace.update(self._attributes)
        namespace.update(self._constants)
        for name, decode in self._decoders:
            namespace[name] = decode()
        for code in self._codes:
            exec(code, namespace)  # noqa: S102 - the user's own code, captured to be run here
        entry: Callable[..., Any] = namespace[self._entry]
        return entry

    def _enter(self) -> None:
        if _Finder.program is self:
            for name in self._modules:
                sys.modules.pop(name, None)
        else:
            unload()
            _install_finder()
            self._displaced = {name: sys.modules.pop(name) for name in self._modules if name in sys.modules}
            self._stand_ins = self._parents_standing_in() if self._parts else []
            self._displaced_lines = {path: linecache.cache.get(path) for path in self._lines}
            _Finder.program = self
        # Again each time: a run may have cleared the cache.
        linecache.cache.update(self._lines)

    def _parents_standing_in(self) -> list[str]:
        """Have empty packages above the UDF's module where there are no real ones; the names of these.

        Pickle, and so multiprocessing, finds a function by importing its module from the top package down.
        """
        parents = self._module.split(".")[:-1]
        names = [".".join(parents[:depth]) for depth in range(1, len(parents) + 1)]
        if not names or names[0] in sys.modules or names[0] in self.project or _is_installed(names[0]):
            return []
        for name in names:
            sys.modules[name] = stand_in = ModuleType(name)
            stand_in.__path__ = []
        return names

    def leave(self) -> None:
        """Give back what was displaced."""
        for name in (*self._modules, *self._stand_ins):
            sys.modules.pop(name, None)
        sys.modules.update(self._displaced)
        for path, entry in self._displaced_lines.items():
            if entry is None:
                linecache.cache.pop(path, None)
            else:
                linecache.cache[path] = entry

    def has(self, path: str) -> bool:
        """Whether tracebacks show that path for one of the bundle's sources."""
        return path in self._lines

    def project_code(self, name: str) -> CodeType:
        """The code of a project module, compiled when it is first imported."""
        code = self._project_codes.get(name)
        if code is None:
            code = self._project_codes[name] = compiled(self.project[name])
        return code

    def give_values(self, module: ModuleType) -> None:
        """Put into a project module what its text leaves to the bundle."""
        constants, decoders = self._values.get(module.__name__, NO_VALUES)
        vars(module).update(constants)
        for name, decode in decoders:
            setattr(module, name, decode())

    def text(self, name: str) -> str | None:
        """The shipped text of a module, for whoever asks its loader."""
        if name == self._module and self._own is not None:
            return self._own.text
        return self.project[name].text if name in self.project else None


def _is_installed(name: str) -> bool:
    from importlib.machinery import PathFinder

    return PathFinder.find_spec(name) is not None


class MainSpec:
    """The spec of a `__main__`: says to a process that multiprocessing spawns where it finds the same names."""

    name = "fanfold.source.spawned"
    origin = cached = submodule_search_locations = None
    has_location = False

    def __init__(self, package: str = "", loader: _Loader | None = None) -> None:
        self.parent = package
        self.loader = loader


class _Loader:
    """Executes a project module from its shipped text; the shape importlib asks for."""

    def __init__(self, program: _Program) -> None:
        self._program = program

    def create_module(self, spec: ModuleSpec) -> None:
        """None: importlib makes the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code in it."""
        if self._program.project[module.__name__].kind == "namespace":
            _adopt_installed(module)
            return
        self._program.give_values(module)
        exec(self._program.project_code(module.__name__), module.__dict__)  # noqa: S102 - the user's own module

    def get_source(self, name: str) -> str | None:
        """The text, for `inspect` and `linecache`."""
        return self._program.text(name)


def _adopt_installed(namespace: ModuleType) -> None:
    """Give a fresh namespace package the installed submodules that an earlier run has imported."""
    for name, module in list(sys.modules.items()):
        parent, _, own = name.rpartition(".")
        if parent == namespace.__name__:
            setattr(namespace, own, module)


class _Finder:
    """Finds the running bundle's project modules, ahead of any file of the same name."""

    #: Whose modules are in `sys.modules` now.
    program: _Program | None = None

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG003
        """The spec of a project module of the bundle that runs, or None."""
        if cls.program is None or name not in cls.program.project:
            return None
        return _spec(cls.program.project[name], _Loader(cls.program))


def _install_finder() -> None:
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


def _spec(source: SourceFile, loader: _Loader) -> ModuleSpec:
    from importlib.machinery import ModuleSpec, PathFinder

    package = source.kind in ("package", "namespace")
    spec = ModuleSpec(source.module, loader, origin=source.path, is_package=package)  # type: ignore[arg-type]
    spec.has_location = source.kind != "namespace"
    if source.kind == "namespace":
        # Other portions of the namespace may be installed where this runs.
        installed = PathFinder.find_spec(source.module)
        spec.submodule_search_locations = list((installed and installed.submodule_search_locations) or [])
    return spec


def _linecache_entry(source: SourceFile) -> Any:
    # No modification time: `checkcache` then keeps the entry, though the file may not exist here.
    return len(source.text), None, [line + "\n" for line in source.text.split("\n")], source.path
