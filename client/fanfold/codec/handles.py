"""Where the files lie that an object of a library opens by itself: a dataset, a store, a file, a file system.

Such an object names its files as text, and a change of them has to be seen by it. What leads where nobody can look (a
bucket of another service, an archive, a page) is named as well: "I cannot tell" is never "it is the same".
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from typing import Any

from fanfold.codec.classes import origin
from fanfold.codec.encoded import place_of
from fanfold.codec.paths import FILE, FOLDER, LOCAL, LONGEST_PATH, S3, SYSTEM, address_of, is_store

#: What is read of a folder by an object of these may be any part of it.
_READERS = frozenset(
    "zarr obstore fsspec s3fs pyarrow dask xarray rioxarray lance deltalake icechunk kerchunk virtualizarr intake"
    " datasets torchvision webdataset mailbox".split()
)
#: Classes of the standard library that open what they hold as text; any of an installed package's may.
_OPENING = ("zipfile", "mailbox")


#: What holds its place in bytes of its own, and leads to what is newest there: nobody can look.
_UNREADABLE = {"icechunk.Repository": "icechunk://a repository", "icechunk.Storage": "icechunk://a repository"}


def noted_paths(values: Iterable[Any], named: Any, beside: Any = ()) -> list[list[str]]:
    """The paths that objects open by themselves, each as its kind and its text, each once.

    `named` is what was written of them: in it every text stands that they hold; `beside` what stands beside them.
    """
    may_open, is_whole = False, False
    systems: set[str] = set()
    found: set[tuple[str, str]] = set()
    of_systems: dict[type, str] = {}
    for value in values:
        kind = type(value)
        if issubclass(kind, type):
            continue
        if kind not in of_systems:
            of_systems[kind] = _whose_system(kind)
        if of_systems[kind] or _opens_files(kind):
            may_open = True
            is_whole = is_whole or str(kind.__module__).partition(".")[0] in _READERS
            systems.update(_of_fsspec(value) if of_systems[kind] == "fsspec" else ())
            systems.update(_of_arrow(value) if of_systems[kind] == "pyarrow" else ())
            found.update(_of_lazy_frame(value) if place_of(kind) == "polars.LazyFrame" else _of_store(value))
        if place_of(kind) in _UNREADABLE:
            found.add((FOLDER, _UNREADABLE[place_of(kind)]))
        if (path := _path_of(value)) is not None:
            found.add((FILE, path))
    if may_open:
        noted = FOLDER if is_whole else FILE
        found.update((noted, text) for text in _texts(named) if _leads_somewhere(text, from_here=is_whole))
    for system in systems - {LOCAL}:
        texts = (*_texts(named), *_texts(beside))
        found.update((FOLDER, address) for text in texts if (address := address_of(system, text)))
    found.update((SYSTEM, system) for system in systems)
    return [list(one) for one in sorted(found)]


def _opens_files(kind: type) -> bool:
    """Whether an object of a class may open what it holds as text: one of an installed package, and few others."""
    module = str(kind.__module__)
    return module.partition(".")[0] in _OPENING or (module != "builtins" and origin(module) == "installed")


def _leads_somewhere(text: str, *, from_here: bool) -> bool:
    """Whether a text is a path from the root or into S3, or `from_here` one from this folder that is there.

    A word may be the name of a folder by chance, but for one that is a store.
    """
    if text.startswith((LOCAL, S3)):
        return len(text) > 1
    return from_here and (os.path.isfile(text) or (os.path.isdir(text) and ("/" in text or is_store(text))))


def _texts(nodes: Any) -> Iterator[str]:
    waiting = list(nodes)
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            if len(part) < LONGEST_PATH and part.isprintable():
                yield part
        elif isinstance(part, list):
            waiting += part
        elif isinstance(part, dict) and "$path" in part:  # which a store of Zarr has
            waiting += part["$path"][-1:]


def _path_of(value: Any) -> str | None:
    """What an object that stands for a file calls it: `os.PathLike` of any class, and those that lead into S3."""
    kind = type(value)
    if not (hasattr(kind, "__fspath__") or str(kind.__module__).startswith("upath.")):
        return None
    try:
        text = str(value)
        if "://" not in text:  # cloudpathlib's would download the file
            text = os.fspath(value)
    except Exception:  # noqa: BLE001 - of the user's own class
        return None
    return text.removeprefix("file://") if isinstance(text, str) else None


# File systems: what stands before a path of theirs.


def _whose_system(kind: type) -> str:
    """The package whose file systems a class belongs to; none for what is none."""
    places = set(map(place_of, kind.__mro__))
    return "fsspec" if "fsspec.AbstractFileSystem" in places else "pyarrow" if "pyarrow.FileSystem" in places else ""


def _of_fsspec(system: Any) -> Iterator[str]:
    inner = getattr(system, "fs", None)
    if inner is not None and hasattr(inner, "protocol"):  # a folder of it, or a cache before it
        yield from _of_fsspec(inner)
        return
    names = [system.protocol] if isinstance(system.protocol, str) else list(system.protocol)
    if set(names) & {"file", "local"}:
        yield LOCAL
    elif set(names) & {"s3", "s3a"}:
        options = getattr(system, "storage_options", {})
        given = options.get("endpoint_url") or (options.get("client_kwargs") or {}).get("endpoint_url")
        yield _s3_at(given or "")
    elif names != ["abstract"]:
        yield f"{names[0]}://"


def _of_arrow(system: Any) -> Iterator[str]:
    name = system.type_name
    if name == "s3":
        given = system.__reduce__()[1][0]
        yield _s3_at(given.get("endpoint_override") or "", given.get("scheme") or "https")
    elif name == "local":
        yield LOCAL
    elif name != "subtree" and not name.startswith("py::"):  # of these two the system within is another part
        yield f"{name}://"


def _s3_at(endpoint: str, scheme: str = "https") -> str:
    """What stands before a path in S3; another where it is not the S3 that boto3 finds."""
    if not endpoint:
        return S3
    endpoint = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
    names = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    found = next((os.environ[name] for name in names if os.environ.get(name)), "")
    if endpoint.rstrip("/") == found.rstrip("/") or endpoint.rstrip("/").endswith(".amazonaws.com"):
        return S3
    return f"{endpoint.rstrip('/')}/"


# Stores: what of a bucket they are.


def _of_store(value: Any) -> Iterator[tuple[str, str]]:
    """What one part of a file system leads to: a folder of fsspec's, a store of obstore, or of Zarr's that holds one.

    Zarr pickles the latter, so that no text of it is seen.
    """
    if "fsspec.DirFileSystem" in map(place_of, type(value).__mro__) and hasattr(value, "fs"):
        yield from ((FOLDER, f"{system}{str(value.path).lstrip('/')}") for system in _of_fsspec(value.fs))
        return
    is_held = not str(type(value).__module__).startswith("obstore.")
    store = _held_store(value) if is_held else value
    if store is None or not type(store).__module__.startswith("obstore."):
        return
    root, prefix = _root_of(store), str(getattr(store, "prefix", None) or "").lstrip("/")
    # Without a folder of its own, a store is as wide as its bucket: what is asked of it stands beside it as text.
    yield (FOLDER, f"{root}{prefix}") if prefix or (is_held and root != LOCAL) else (SYSTEM, root)


def _held_store(value: Any) -> Any:
    try:
        return getattr(value, "store", None)
    except Exception:  # noqa: BLE001 - a lazy object, which is nothing yet: flask's `request`, Django's `settings`
        return None


def _root_of(store: Any) -> str:
    name = type(store).__name__
    if name == "LocalStore":
        return LOCAL
    if name == "S3Store":
        config = store.config
        bucket = config.get("bucket") or config.get("bucket_name") or ""
        return f"{_s3_at(config.get('endpoint') or config.get('endpoint_url') or '')}{bucket}/"
    return f"{name.removesuffix('Store').lower()}://"


# Lazy frames of polars: a plan in bytes of msgpack, in which a file's path is a text like others.

_PLACE = re.compile(rb"(?:[\xa2-\xbf]|\xd9.|\xda..)(?=/|\w{2,6}://)", re.DOTALL)
_GLOB = re.compile(r"[*?\[]")


def _of_lazy_frame(frame: Any) -> Iterator[tuple[str, str]]:
    """What a lazy frame scans: each file; of a pattern the folder before it; what Python code scans, nobody knows."""
    plan = frame.__getstate__()
    paths = list(_places(plan)) if isinstance(plan, bytes) else []
    scans = plan.count(b"\xa7sources") + plan.count(b"PythonScan") if isinstance(plan, bytes) else 1
    for path in paths:
        first = _GLOB.search(path)
        yield FOLDER, path[: path.rindex("/", 0, first.start()) + 1] if first else path
    if len(paths) < scans:
        yield FOLDER, "polars://a lazy frame"


def _places(plan: bytes) -> Iterator[str]:
    """The texts in msgpack that begin as paths do."""
    for found in _PLACE.finditer(plan):
        head = found.group()
        size = head[0] & 0x1F if len(head) == 1 else int.from_bytes(head[1:], "big")
        text = plan[found.end() : found.end() + size].decode(errors="replace")
        if len(text) == size > 1 and text.isprintable():
            yield text.removeprefix("file://")
