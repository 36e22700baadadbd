"""Running a captured UDF: its texts compiled once, its objects and modules made anew whenever that is asked for.

A worker imports this on its way to its first run, so nothing costly may be imported here."""

from __future__ import annotations

import json
import linecache
import os
import sys
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Mapping
from types import CodeType, FunctionType, MappingProxyType, ModuleType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from fanfold import core
from fanfold.contract.records import NamedTuple
from fanfold.core.models import sha256
from fanfold.source.rebuild import (
    AWAIT_AT_TOP,
    FUTURES,
    Builder,
    BundleFolder,
    copied,
    functions_in,
    own_defaults,
    refill,
)

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

# What travels: source texts, the values they need, and a hash of what they mean.

FORMAT_VERSION = 2
#: Of a bundle with an environment: what does not know of these must not run it without.
_FORMAT_WITH_ENVIRONMENT = 3

#: `entry`: the statements of a text that the functions stand in that travel, compiled and not executed.
#: The others are the project's modules, whole; a `namespace` is a package without an `__init__.py`.
SourceKind = Literal["entry", "module", "package", "namespace"]

#: Not `json.dumps`, which may be one that the user has replaced.
_written = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode

_EMPTY: Mapping[str, Any] = MappingProxyType({})

#: The state of a loader whose module is only in memory.
IN_MEMORY = "in memory"


class SourceFile(NamedTuple):
    """One text, with the path that tracebacks show for it."""

    module: str
    path: str
    text: str
    kind: SourceKind


class Bundle(NamedTuple):
    """A captured UDF. Two captures of one meaning share their `code_hash`, whatever their files and comments.

    `graph` says in JSON what the UDF is made of, object by object (see `capture` and `rebuild`); `imports` names the
    top-level modules that must be installed where it runs (the standard library's included); `blobs` has what the codec
    put aside, by sha256, unless the caller of `capture` keeps those itself.
    """

    entry: str
    module: str
    sources: tuple[SourceFile, ...]
    code_hash: str
    graph: str = '{"root":[null],"nodes":[]}'
    imports: tuple[str, ...] = ()
    blobs: Mapping[str, bytes] = _EMPTY
    #: What the entry's relative imports start from.
    package: str = ""
    #: Parameters that come as plain data, which their annotations make into values (see `inputs.sending`).
    remade: tuple[str, ...] = ()
    #: What travels as it is, and the version of Python or of a package that it needs: what, package, version.
    needs: tuple[tuple[str, str, str], ...] = ()
    #: Names that the UDF's module has and that do not travel, for errors of code that names them in strings alone.
    left_names: tuple[str, ...] = ()
    #: Statements at the top of its file that set something up and stay behind, as a reader would name them.
    left_statements: tuple[str, ...] = ()
    #: The lock of the packages that it needs beside those that are there (`environments.lock`); empty for none.
    environment: str = ""

    @property
    def sha256(self) -> str:
        """The hash of the bytes, which is where they are kept: unlike `code_hash` it changes with a comment."""
        return sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The bundle as bytes; equal bundles give equal bytes."""
        document = {
            "fanfold_bundle": _FORMAT_WITH_ENVIRONMENT if self.environment else FORMAT_VERSION,
            "entry": self.entry,
            "module": self.module,
            "package": self.package,
            "sources": [list(source) for source in self.sources],
            "code_hash": self.code_hash,
            "graph": self.graph,
            "imports": list(self.imports),
            "blobs": {name: b2a_base64(data, newline=False).decode("ascii") for name, data in self.blobs.items()},
            "remade": list(self.remade),
            "needs": [list(each) for each in self.needs],
            "left_names": list(self.left_names),
            "left_statements": list(self.left_statements),
            "environment": self.environment,
        }
        return _written(document).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> Bundle:
        """The bundle that `to_bytes` wrote. Raises `CaptureError` where a newer Fanfold did, or it is no bundle."""
        return _parse(data, cls._of)

    @classmethod
    def _of(cls, document: dict[str, Any]) -> Bundle:
        return cls(
            **{name: document[name] for name in ("entry", "module", "package", "code_hash", "graph")},
            sources=tuple(SourceFile(*each) for each in document["sources"]),
            imports=tuple(document["imports"]),
            blobs={name: a2b_base64(text) for name, text in document["blobs"].items()},
            remade=tuple(document["remade"]),
            needs=tuple((what, package, version) for what, package, version in document["needs"]),
            left_names=tuple(document.get("left_names", ())),  # these came later than the format did
            left_statements=tuple(document.get("left_statements", ())),
            environment=document.get("environment", ""),
        )


def environment_of(data: bytes) -> str:
    """The lock of the packages that a bundle, given as its bytes, brings along; empty for none."""
    if b'"environment":"' not in data or b'"environment":""' in data:
        return ""
    return _parse(data, lambda document: str(document.get("environment", "")))


def _parse(data: bytes, read: Callable[[dict[str, Any]], _Read]) -> _Read:
    from fanfold.errors import UPDATE, CaptureError

    try:
        document = json.loads(data)
        version = int(document["fanfold_bundle"])
        if version == (_FORMAT_WITH_ENVIRONMENT if document.get("environment") else FORMAT_VERSION):
            return read(document)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise CaptureError(
            "These bytes are not a captured function.",
            next_step="submit the UDF again; if it comes back, the store that holds it is damaged.",
        ) from error
    newer = version > FORMAT_VERSION
    raise CaptureError(
        f"{'A newer' if newer else 'An older'} Fanfold captured this function, in format {version}; this one reads"
        f" format {FORMAT_VERSION}.",
        next_step=UPDATE if newer else "submit the UDF again: what it has computed stays in its job.",
    )


GetBlob = Callable[[str], bytes]
_Read = TypeVar("_Read")

#: Decoded once and shared by all: nothing can change them.
_IMMUTABLE = (str, int, float, complex, bool, bytes, type(None))


def load(bundle: Bundle, *, get_blob: GetBlob | None = None) -> Callable[[], Callable[..., Any]]:
    """Compile a bundle; each call of what is returned makes its modules and objects anew and gives the UDF.

    `get_blob` finds, by sha256, what the caller of `capture` kept with its `put_blob`. The modules of the previous
    call, of this bundle or another, are taken out of `sys.modules` first. Raises `CaptureError` where the bundle's
    text is no Python to this interpreter or needs another, and `CodecError` where a value does not decode.
    """
    return Program(bundle, get_blob).fresh


def part_of(loaded: Callable[[], Callable[..., Any]], tree: Any) -> Any:
    """The class or function that `Captured.reference` numbered, in the modules that `loaded`, of `load`, made last."""
    program: Program = loaded.__self__  # type: ignore[attr-defined]
    return program.part(tree[0] if isinstance(tree, list) else tree)


def refill_of(loaded: Callable[[], Callable[..., Any]]) -> Callable[[], None] | None:
    """What takes out of functions' defaults what calls have put there; None where nothing can be put there."""
    program: Program = loaded.__self__  # type: ignore[attr-defined]
    defaults = program.own_defaults()
    return (lambda: refill(defaults)) if defaults else None


def unload() -> None:
    """Put `sys.modules` and `linecache` back to what they were before anything was loaded."""
    if _Finder.program is not None:
        _Finder.program.leave()
        _Finder.program = None


def is_loaded_source(path: str) -> bool:
    """Whether code of that file name comes from the bundle that was loaded last."""
    return _Finder.program is not None and _Finder.program.has(path)


def left_behind(error: BaseException, message: str) -> str:
    """What to say to an error that names what exists in the UDF's file and has not travelled; nothing otherwise."""
    if (program := _Finder.program) is None:
        return ""
    from fanfold.source import missing_names

    return missing_names.left_behind(program.bundle, error, message) or missing_names.of_another(program.python, error)


class Program:
    """One bundle, compiled, and what it displaces in the interpreter while it is the one that runs."""

    def __init__(self, bundle: Bundle, get_blob: GetBlob | None) -> None:
        #: What was loaded.
        self.bundle = bundle
        self._get_blob = get_blob
        self._fetched = dict(bundle.blobs)
        self.graph = json.loads(bundle.graph)
        self.python: str = self.graph.get("python", "")  # which captured it
        if bundle.needs or "state_shapes" in self.graph:
            from fanfold.source.needs import check_needs

            check_needs(bundle, self.graph)
        self._codes: dict[tuple[int, bool], CodeType] = {}
        self._statements: dict[str, CodeType] = {}
        self.project = {source.module: source for source in bundle.sources if source.kind != "entry"}
        self._project_codes: dict[str, CodeType] = {}
        self.lines = {source.path: _linecache_entry(source) for source in bundle.sources}
        self._constants: dict[int, Any] = {}
        self._first: dict[int, Any] = {}
        for number, node in enumerate(self.graph["nodes"]):
            self._prepare(number, node)
        self._spaces: dict[str, ModuleType] = {}
        self._modules = [*self.project, *(s["name"] for s in self.graph.get("spaces", ()) if "of" not in s)]
        self._displaced: dict[str, ModuleType] = {}
        self._displaced_lines: dict[str, Any] = {}
        self._stand_ins: list[str] = []
        self._builder: Builder | None = None
        #: Containers that modules have by the bundle, and not by what their text says.
        self._filled: list[Any] = []
        #: Classes that nobody names, and that their bases know.
        self.kept: list[Any] = []

    def _prepare(self, number: int, node: list[Any]) -> None:
        if node[0] == "value":
            value = self._decoded(node[1])
            (self._constants if isinstance(value, _IMMUTABLE) else self._first)[number] = value
        elif node[0] == "function" and node[1]["code"][0] == "text":
            self.code(*node[1]["code"][1:3])

    def _decoded(self, text: str) -> Any:
        from fanfold.codec import decode_json
        from fanfold.codec.registry import is_sealed
        from fanfold.errors import CaptureError, CodecError

        try:
            value = decode_json(text, get_blob=self._blob)
        except CodecError as error:
            if isinstance(error.__cause__, CaptureError):  # it is not the value that is damaged
                raise error.__cause__ from None
            raise
        if is_sealed(value):
            raise CaptureError(
                "The UDF's file holds a secret, which a process that a run spawns cannot open.",
                next_step="hand its value to the process as an argument, or start it by fork.",
            )
        return value

    def _blob(self, name: str) -> bytes:
        if name not in self._fetched:
            if self._get_blob is None:
                from fanfold.source.needs import no_blob

                raise no_blob(self.bundle, name)
            self._fetched[name] = self._get_blob(name)
        return self._fetched[name]

    # What the builder asks for

    def code(self, number: int, postponed: bool) -> CodeType:
        """The code of a text of the bundle."""
        key = (number, postponed)
        if key not in self._codes:
            self._codes[key] = _compiled(self.bundle.sources[number], FUTURES if postponed else 0)
        return self._codes[key]

    def statement(self, parts: dict[str, Any]) -> CodeType:
        """The code of a class's statement."""
        from fanfold.source.statements import statement_code

        key = json.dumps(parts)
        if key not in self._statements:
            source = self.bundle.sources[parts["source"]]
            self._statements[key] = statement_code(source.text, source.path, parts)
        return self._statements[key]

    def setup_code(self, where: list[int], *, is_applied: bool, postponed: bool = False) -> CodeType:
        """The code of a statement at the top of a text, or of what `is_applied` there to an object."""
        from fanfold.source.statements import setup_code

        source, flags = self.bundle.sources[where[0]], FUTURES if postponed else 0
        return setup_code(source.text, source.path, where, is_applied=is_applied, flags=flags)

    def value(self, number: int) -> Any:
        """A value that the codec wrote; nobody else has it, if it can be changed."""
        if number in self._constants:
            return self._constants[number]
        if number in self._first:
            return self._first.pop(number)
        return self._decoded(self.graph["nodes"][number][1])

    def imported(self, module: str, name: str) -> Any:
        """A module, or what it has under a name."""
        if module not in sys.modules:
            __import__(module)
        found: Any = sys.modules[module]
        for part in name.split(".") if name else ():
            found = getattr(found, part)
        return found

    def space(self, space: dict[str, Any]) -> ModuleType:
        """The module whose globals functions have: an imported one, or one with nothing in it but what they use."""
        if "of" in space:
            module: ModuleType = self.imported(space["of"], "")
            return module
        name, key = space["name"], space["key"]
        if key not in self._spaces:
            self._spaces[key] = made = ModuleType(name)
            loader = _Loader(self)
            made.__dict__.update(__package__=space["package"], __loader__=loader, __builtins__=sys.modules["builtins"])
            if "file" in space:
                made.__file__ = space["file"]
            if name == "__main__":
                made.__spec__ = MainSpec(space["package"], loader)  # type: ignore[assignment]
            else:
                made.__spec__ = _spec_of_space(space, loader)
                if made.__spec__.submodule_search_locations is not None:
                    made.__path__ = made.__spec__.submodule_search_locations
            if key == name or (name not in sys.modules and "beside" not in space):
                sys.modules[name] = made
        return self._spaces[key]

    # Runs

    def fresh(self) -> Callable[..., Any]:
        """The UDF, in modules nobody has used."""
        self._enter()
        try:
            return self._fresh()
        except Exception as error:  # noqa: BLE001 - the user's own code may raise anything
            from fanfold.source.needs import raise_as_refusal

            raise_as_refusal(self.bundle, self.python, error, self.has)

    def _fresh(self) -> Callable[..., Any]:
        graph = self.graph
        self._spaces, self._filled = {}, []
        builder = self._builder = Builder(graph, self)
        core.bundled = builder.made
        if not graph.keys().isdisjoint(("effects", "after", "setup", "settings", "filled")):
            from fanfold.source.statements import set_up

            set_up(builder, graph)
        udf: Callable[..., Any] = builder.build(graph["root"])
        self.kept = [builder.build(each) for each in graph.get("subclasses", ())]
        return udf

    def part(self, number: int) -> Any:
        """One thing of the graph, as the UDF itself has it."""
        if self._builder is None or not 0 <= number < len(self.graph["nodes"]):
            raise LookupError(f"this UDF has no part {number}")
        return self._builder.build(number)

    def own_defaults(self) -> list[tuple[Any, Any]]:
        """The defaults that calls may fill, of all functions that are there by now."""
        assert self._builder is not None
        made = list(self._builder.made.values())
        functions = [each for each in made if type(each) is FunctionType]
        for name in self.project:
            if name in sys.modules:
                functions += functions_in(vars(sys.modules[name]))
        return own_defaults(functions, made)

    def _enter(self) -> None:
        if _Finder.program is self:
            for name in self._modules:
                sys.modules.pop(name, None)
        else:
            unload()
            _install_finder()
            self._displaced = {name: sys.modules.pop(name) for name in self._modules if name in sys.modules}
            self._stand_ins = self._parents_standing_in()
            self._displaced_lines = {path: linecache.cache.get(path) for path in self.lines}
            _Finder.program = self
            for name in LOKYS & sys.modules.keys():
                _children_of_loky().tell(sys.modules[name])
        # Again each time: a run may have cleared the cache.
        linecache.cache.update(self.lines)

    def _parents_standing_in(self) -> list[str]:
        """Have empty packages above the UDF's module where there are no real ones; the names of these.

        Pickle, and so multiprocessing, finds a function by importing its module from the top package down.
        """
        parents = self.bundle.module.split(".")[:-1]
        names = [".".join(parents[:depth]) for depth in range(1, len(parents) + 1)]
        if not names or names[0] in sys.modules or names[0] in self.project:
            return []
        from fanfold.source.needs import is_installed

        if is_installed(names[0]):
            return []
        for name in names:
            sys.modules[name] = stand_in = ModuleType(name)
            stand_in.__path__ = []
        return names

    def leave(self) -> None:
        """Give back what was displaced."""
        for name in (*self._modules, *self._stand_ins):
            sys.modules.pop(name, None)
        for path in [p for p, importer in sys.path_importer_cache.items() if type(importer) is BundleFolder]:
            del sys.path_importer_cache[path]
        sys.modules.update(self._displaced)
        for path, entry in self._displaced_lines.items():
            if entry is None:
                linecache.cache.pop(path, None)
            else:
                linecache.cache[path] = entry

    def has(self, path: str) -> bool:
        """Whether tracebacks show that path for one of the bundle's sources."""
        return path in self.lines

    # Modules of the project

    def project_code(self, name: str) -> CodeType:
        """The code of a project module, compiled when it is first imported."""
        if name not in self._project_codes:
            self._project_codes[name] = _compiled(self.project[name], 0)
        return self._project_codes[name]

    def give_values(self, module: ModuleType) -> None:
        """Put into a project module what its text leaves to the bundle."""
        for name, text in self.graph.get("given", {}).get(module.__name__, {}).items():
            value = self._decoded(text)
            setattr(module, name, value)
            if type(value) in (list, dict, set):
                self._filled.append(value)

    def files(self) -> dict[str, Any]:
        """The files beside the project's packages, zipped, by package."""
        return {package: self._decoded(text) for package, text in self.graph.get("files", {}).items()}

    def execute(self, module: ModuleType) -> None:
        """Run a project module's code in it.

        What it puts into containers of other modules (`register(f)`) they have already, if it was loaded where they
        were taken.
        """
        self.give_values(module)
        is_done = module.__name__ in self.graph.get("loaded", ())
        before = [(value, copied(value)) for value in self._filled] if is_done else []
        exec(self.project_code(module.__name__), module.__dict__)  # noqa: S102 - the user's own module
        refill([(value, kept) for value, kept in before if value != kept])

    def text(self, name: str) -> str | None:
        """The shipped text of a module, as its loader gives it."""
        own = [source for source in self.bundle.sources if source.module == name]
        return own[-1].text if own else None


def _compiled(source: SourceFile, flags: int) -> CodeType:
    """The code of a text. Raises `CaptureError` where this Python cannot read it."""
    try:
        return cast("CodeType", compile(source.text, source.path, "exec", flags | AWAIT_AT_TOP, True))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        from fanfold.source.needs import unreadable

        raise unreadable(source.path, error) from error


class MainSpec:
    """The spec of a `__main__`: says to a process that multiprocessing spawns where it finds the same names."""

    name = "fanfold.source.spawned"
    origin = cached = submodule_search_locations = None
    has_location = False

    def __init__(self, package: str = "", loader: _Loader | None = None) -> None:
        self.parent, self.loader = package, loader


class _Loader:
    """Executes a project module from its shipped text; the shape importlib asks for."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def create_module(self, spec: ModuleSpec) -> None:
        """None: importlib makes the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code in it."""
        if self.program.project[module.__name__].kind == "namespace":
            from fanfold.source.needs import adopt_installed

            adopt_installed(module)
            return
        self.program.execute(module)

    def get_data(self, path: str) -> bytes:
        """The bytes of a file beside a module, for `pkgutil`. Raises `OSError` where this machine does not have it."""
        from fanfold.source.package_files import read

        return read(self.program, path)

    def get_resource_reader(self, name: str) -> Any:
        """The files beside a package, for `importlib.resources`."""
        from fanfold.source.package_files import reader

        return reader(self.program, name)

    def get_source(self, name: str) -> str | None:
        """The text, for `inspect` and `linecache`."""
        return self.program.text(name)


class _Finder:
    """Finds the running bundle's project modules, ahead of any file of the same name."""

    #: Whose modules are in `sys.modules` now.
    program: Program | None = None

    @classmethod
    def find_spec(cls, name: str, path: object = None, target: object = None) -> ModuleSpec | None:  # noqa: ARG003
        """The spec of a project module of the bundle that runs, or None."""
        if cls.program is None or name not in cls.program.project:
            return _children_of_loky().spec_of(name, path) if name in LOKYS else None
        return _spec(cls.program.project[name], _Loader(cls.program))


#: The modules of loky's that say what a new process is told.
LOKYS = frozenset({"joblib.externals.loky.backend.spawn", "loky.backend.spawn"})


def _children_of_loky() -> Any:
    from fanfold.source.libraries import loky_children

    return loky_children


def part_spec(name: str) -> ModuleSpec | None:
    """The spec of a module of the bundle that is loaded, or None."""
    return _Finder.find_spec(name)


def _install_finder() -> None:
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


def _spec(source: SourceFile, loader: _Loader) -> ModuleSpec:
    from importlib.machinery import ModuleSpec, PathFinder

    package = source.kind in ("package", "namespace")
    spec = ModuleSpec(source.module, loader, origin=source.path, is_package=package)  # type: ignore[arg-type]
    spec.has_location = source.kind != "namespace"
    if source.kind == "package":
        folder = os.path.dirname(source.path)
        spec.submodule_search_locations = [folder]
        sys.path_importer_cache[folder] = BundleFolder(loader.program.project, source.module)
    if source.kind == "namespace":
        # Other portions of the namespace may be installed where this runs.
        installed = PathFinder.find_spec(source.module)
        spec.submodule_search_locations = list((installed and installed.submodule_search_locations) or [])
    return spec


def _spec_of_space(space: dict[str, Any], loader: _Loader) -> ModuleSpec:
    """The spec of a module that has nothing in it but what functions use: a package where it is one."""
    kind: type[ModuleSpec] = type(sys.__spec__)  # `importlib.machinery` would be imported for its name alone
    file = space.get("file")
    is_package = space["package"] == space["name"]
    spec = kind(space["name"], loader, origin=file, loader_state=IN_MEMORY, is_package=is_package)  # type: ignore[arg-type]
    spec.has_location = file is not None
    if is_package and file is not None:
        folder = os.path.dirname(file)
        spec.submodule_search_locations = [folder]
        sys.path_importer_cache[folder] = BundleFolder(loader.program.project, space["name"])
    return spec


def _linecache_entry(source: SourceFile) -> Any:
    # No modification time: `checkcache` then keeps the entry, though the file may not exist here.
    return len(source.text), None, [line + "\n" for line in source.text.split("\n")], source.path
