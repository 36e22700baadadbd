"""What travels: source texts, the values they need, and a hash of what they mean.

A worker imports this on its way to its first run, so nothing costly may be imported here; `dataclasses` alone would
bring in `inspect`, 15 ms, which is why these are named tuples.
"""

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

FORMAT_VERSION = 2

#: `entry`: the statements of a text that the functions stand in that travel, compiled and not executed.
#: The others are the project's modules, whole; a `namespace` is a package without an `__init__.py`.
SourceKind = Literal["entry", "module", "package", "namespace"]

#: Not `json.dumps`, which may be one that the user has replaced.
_written = json.JSONEncoder(sort_keys=True, separators=(",", ":")).encode

_EMPTY: Mapping[str, Any] = MappingProxyType({})


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

    @property
    def sha256(self) -> str:
        """The hash of the bytes, which is where they are kept: unlike `code_hash` it changes with a comment."""
        import hashlib  # not in a worker

        return hashlib.sha256(self.to_bytes()).hexdigest()

    def to_bytes(self) -> bytes:
        """The bundle as bytes; equal bundles give equal bytes."""
        document = {
            "fanfold_bundle": FORMAT_VERSION,
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
        }
        return _written(document).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Bundle":
        """The bundle that `to_bytes` wrote. Raises `CaptureError` where a newer Fanfold did, or it is no bundle."""
        document = _parse(data)
        return cls(
            entry=document["entry"],
            module=document["module"],
            package=document["package"],
            sources=tuple(SourceFile(*each) for each in document["sources"]),
            code_hash=document["code_hash"],
            graph=document["graph"],
            imports=tuple(document["imports"]),
            blobs={name: a2b_base64(text) for name, text in document["blobs"].items()},
            remade=tuple(document["remade"]),
            needs=tuple((what, package, version) for what, package, version in document["needs"]),
            left_names=tuple(document["left_names"]),
            left_statements=tuple(document["left_statements"]),
        )


def _parse(data: bytes) -> dict[str, Any]:
    from fanfold.errors import CaptureError

    try:
        document = json.loads(data)
        version = document["fanfold_bundle"]
    except (ValueError, TypeError, KeyError) as error:
        raise CaptureError(
            "These bytes are not a captured function.",
            next_step="Submit the UDF again; if it comes back, the store that holds it is damaged.",
        ) from error
    if version != FORMAT_VERSION:
        raise CaptureError(
            f"This function was captured in format {version}; this Fanfold reads format {FORMAT_VERSION}.",
            next_step="Use the same version of Fanfold on both sides (pip install --upgrade fanfold).",
        )
    return dict(document)
