"""What travels: source texts, the values they need, and a hash of what they mean.

A worker imports this on its way to its first run, so nothing costly may be imported here; `dataclasses` alone would
bring in `inspect`, 15 ms, which is why these are named tuples.
"""

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

FORMAT_VERSION = 1

#: `entry`: a part of the UDF's own module, run in the entry's namespace, in the order given.
#: The others are the project's modules, whole; a `namespace` is a package without an `__init__.py`.
SourceKind = Literal["entry", "module", "package", "namespace"]

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class SourceFile(NamedTuple):
    """One text, with the path that tracebacks show for it.

    `futures` names the `__future__` features in force that the text itself does not ask for: a notebook's cell
    inherits those of the cells before it.
    """

    module: str
    path: str
    text: str
    kind: SourceKind
    futures: tuple[str, ...] = ()


#: How the paths of texts begin that no user has written.
WRITTEN = "<fanfold: "


def is_written(source: SourceFile) -> bool:
    """Whether capture wrote the text itself: imports that it added, names that it gives."""
    return source.path.startswith(WRITTEN)


class Bundle(NamedTuple):
    """A captured UDF. Two captures of one meaning share their `code_hash`, whatever their files and comments.

    `values` holds globals by name, those of a project module as `module:name`, as the codec's text; `imports` the
    top-level modules that must be installed where it runs (the standard library's included); `blobs` what the codec put
    aside, by sha256, unless the caller of `capture` keeps those itself.
    """

    entry: str
    module: str
    sources: tuple[SourceFile, ...]
    code_hash: str
    values: Mapping[str, str] = _EMPTY
    imports: tuple[str, ...] = ()
    blobs: Mapping[str, bytes] = _EMPTY
    #: What the entry's relative imports start from.
    package: str = ""
    #: Parameters that come as plain data, which their annotations make into values (see `inputs.sending`).
    remade: tuple[str, ...] = ()

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
            "sources": [[s.module, s.path, s.text, s.kind, list(s.futures)] for s in self.sources],
            "code_hash": self.code_hash,
            "values": dict(self.values),
            "imports": list(self.imports),
            "blobs": {name: b2a_base64(data, newline=False).decode("ascii") for name, data in self.blobs.items()},
            "remade": list(self.remade),
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode("ascii")

    @classmethod
    def from_bytes(cls, data: bytes) -> "Bundle":
        """The bundle that `to_bytes` wrote. Raises `CaptureError` where a newer Fanfold did, or it is no bundle."""
        document = _parse(data)
        return cls(
            entry=document["entry"],
            module=document["module"],
            package=document["package"],
            sources=tuple(SourceFile(m, p, t, k, tuple(f)) for m, p, t, k, f in document["sources"]),
            code_hash=document["code_hash"],
            values=document["values"],
            imports=tuple(document["imports"]),
            blobs={name: a2b_base64(text) for name, text in document["blobs"].items()},
            remade=tuple(document["remade"]),
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
