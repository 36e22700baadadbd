"""A value as bytes with its codec, and what to say of a value that no codec knows."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from fanfold.codec.registry import missing, package_of
from fanfold.contract.records import NamedTuple
from fanfold.errors import CodecError, FanfoldError

_LENGTH = struct.Struct("<Q")


class Encoded(NamedTuple):
    """A value's bytes, and the versioned codec that reads them, such as `json/1`."""

    codec: str
    data: bytes


def join_parts(parts: Sequence[bytes]) -> bytes:
    """One body of all `parts`, each after its length (8 bytes, little-endian)."""
    pieces: list[bytes] = []
    for part in parts:
        pieces += (_LENGTH.pack(len(part)), part)
    return b"".join(pieces)


def split_parts(data: bytes) -> list[bytes]:
    """The parts that `join_parts` joined. Raises `CodecError` where the body was cut short."""
    parts, at = [], 0
    while at < len(data):
        start = at + _LENGTH.size
        if start > len(data):
            raise damaged("parts/1", "it ends within a length")
        at = start + _LENGTH.unpack_from(data, at)[0]
        if at > len(data):
            raise damaged("parts/1", f"a part should end at byte {at:,}, the data ends at {len(data):,}")
        parts.append(bytes(data[start:at]))
    return parts


def text_of(codec: str, data: bytes) -> bytes:
    """The JSON of an encoded value: all of it, or what stands before the arrays and frames in it; empty where none."""
    if codec == "json/1":
        return data
    return first_part(lambda start, stop: data[start:stop]) if codec == "parts/1" else b""


def first_part(read: Callable[[int, int], bytes]) -> bytes:
    """The first of the parts in a body of which `read` gives the bytes from one place to another."""
    head = bytes(read(0, _LENGTH.size))
    return bytes(read(_LENGTH.size, _LENGTH.size + _LENGTH.unpack(head)[0])) if len(head) == _LENGTH.size else b""


class Damaged(ValueError):
    """The nodes are none that a writer has written."""


def damaged(codec: str, reason: object) -> CodecError:
    """The error for bytes that `codec` cannot read."""
    return CodecError(
        f"These bytes do not decode as {codec}: {reason}.",
        next_step="the stored value is damaged or cut short: `job.verify()` names it, a new submit makes it anew.",
    )


def unreadable(codec: str, error: Exception) -> FanfoldError:
    """The error for bytes of which reading has failed with another one: a package is missing, or they are damaged."""
    return missing(error) if isinstance(error, ImportError) else damaged(codec, error)


# What to say of a value that no codec knows.

#: What to return instead, by a class anywhere in the value's ancestry, or by the package that it comes from.
_INSTEAD = {
    "sqlite3.Connection": "the path of its database, and connect where you need it",
    "duckdb.DuckDBPyConnection": "the path of its database, and connect where you need it",
    "duckdb.DuckDBPyRelation": "its rows: `relation.df()` or `relation.arrow()`",
    "sqlite3.Cursor": "its rows: `cursor.fetchall()`",
    "pandas.DataFrame": "a plain frame: `pandas.DataFrame(value)`",
    "numpy.MaskedArray": "`value.filled(...)`, or `value.data` and `value.mask` apart",
    "numpy.ndarray": "a plain array: `numpy.asarray(value)`",
    "enum.Enum": "its `.value` or `.name`",
    "pydantic.BaseModel": "`value.model_dump()`",
    "builtins.dict": "`dict(value)`",
    "builtins.list": "`list(value)`",
    "builtins.str": "`str(value)`",
    "builtins.int": "`int(value)`",
    "builtins.float": "`float(value)`",
    "builtins.generator": "`list(value)`",
    "collections.deque": "`list(value)`",
    "builtins.BaseException": "`str(value)`, or raise it",
    "builtins.memoryview": "`bytes(value)`",
    "builtins.dict_keys": "`list(value)`",
    "builtins.dict_values": "`list(value)`",
    "builtins.dict_items": "`dict(value)`",
    "io.StringIO": "what it holds: `value.getvalue()`",
    "io.BytesIO": "what it holds: `value.getvalue()`",
    "io.IOBase": "what it holds (`.read()`), or its path",
    "typing.IO": "what it holds (`.read()`), or its path",
    "posix.DirEntry": "its path: `entry.path`",
    "nt.DirEntry": "its path: `entry.path`",
    "builtins.Environment": "the path of its folder (`environment.path()`), and open it where it is used",  # lmdb's
    "deltalake": "its place (`table.table_uri`), and open it where it is used",
    "h5py.HLObject": "what was read: `dataset[:]`, or the file's path",
    "netCDF4.Dataset": "what was read, such as `variable[:]`, or the file's path",
    "fiona.Collection": "its features: `list(collection)`, or the file's path",
    "polars.LazyFrame": "`value.collect()`",
    "fanfold.Job": "its results: `list(job)`, or `job.results()`; to give one run all, pass `job.grouped()` as inputs",
    "matplotlib.Figure": "a picture's bytes: `figure.savefig(buffer)` into an `io.BytesIO()`, then `buffer.getvalue()`",
    "xarray": "`value.to_dataframe()`, or write it with `.to_netcdf(path)` or `.to_zarr(path)` and return the path",
    "rasterio.MemoryFile": "its bytes: `file.read()`, and open them where they are used",
    "shapely.PreparedGeometry": "its shape, `value.context`, and prepare it where it is used",
    "rasterio.DatasetBase": "what was read: `dataset.read()` and `dataset.profile`, or the file's path",
    "dask": "what it comes to: `value.compute()`",
    "botocore": "what it gave",
    "torch": "`value.numpy()`",
    "tensorflow": "`value.numpy()`",
    "scipy": "`value.toarray()`, or its arrays in a dict",
    "pyarrow": "a table: `pyarrow.table({'column': value})`, or `pyarrow.Table.from_batches([batch])`",
}


#: What is never encoded, though it may say how it pickles: a handle on something, or a plan that was not carried out.
NEVER_ENCODED = (
    "builtins.generator", "io.IOBase", "matplotlib.Figure", "rasterio.DatasetBase",
    "builtins.module", "builtins.memoryview", "threading.Thread", "subprocess.Popen", "concurrent.Future",
    "asyncio.Future", "typing.IO", "socket.socket", "sqlite3.Connection", "sqlite3.Cursor", "duckdb.DuckDBPyConnection",
    "duckdb.DuckDBPyRelation", "h5py.HLObject", "netCDF4.Dataset", "fiona.Collection",
    "fanfold.Job",
)  # fmt: skip


#: What travels towards a run only: a plan that the run carries out, or a handle that is made anew there.
_TOWARDS_A_RUN = (
    "dask.Array", "dask.Bag", "dask.Delayed", "dask.FrameBase", "dask.DataFrame", "polars.LazyFrame",
    "botocore.BaseClient",
)  # fmt: skip


def never_encoded(annotation: Any, *, of_result: bool = False) -> str | None:
    """What to return instead of a class, or a generator, that no codec takes; None where one may take it."""
    from collections.abc import Iterator
    from types import NoneType, UnionType
    from typing import Annotated, Union, get_args, get_origin

    kind = get_origin(annotation) or annotation
    if kind is Annotated:
        return never_encoded(get_args(annotation)[0], of_result=of_result)
    if kind in (Union, UnionType):  # a result that is never anything but None is no result
        told = [never_encoded(one, of_result=of_result) for one in get_args(annotation) if one is not NoneType]
        return told[0] if told and all(told) else None
    if kind in (list, dict, tuple, set, frozenset):  # what holds one that cannot be kept cannot be kept
        return next(filter(None, (never_encoded(one, of_result=of_result) for one in get_args(annotation))), None)
    if not isinstance(kind, type):
        return None
    if issubclass(kind, Iterator) and kind.__module__ == "collections.abc":
        return _INSTEAD["builtins.generator"]
    refused = {*NEVER_ENCODED, *(_TOWARDS_A_RUN if of_result else ())}
    return _instead_of(kind) if refused & {place_of(each) for each in kind.__mro__} else None


def place_of(kind: type) -> str:
    """A class as the tables here write it: its top-level package and its name."""
    package = package_of(kind)
    if not package.startswith("__"):
        package = package.removeprefix("_")  # `_io`, `_duckdb`: where what is public was written
    return f"{package}.{kind.__qualname__.lstrip('_')}"


def refuse(value: Any, where: str) -> CodecError:
    """The error for `value`, found at `where`: its type, its place, and what to return instead."""
    kind = type(value)
    instead = _instead(value)
    verb = "return" if where == "result" or where.startswith(("result[", "result.")) else "pass"
    pickled = "" if hasattr(value, "__next__") else '; or opt in to pickle with `@fanfold.udf(serializer="pickle")`'
    return CodecError(
        f"{where} is a {kind.__module__}.{kind.__qualname__}, which has no codec.",
        next_step=f"return {instead}{pickled}.",  # no iterator can be pickled
        instead=f"{verb} {instead}",
    )


def _instead(value: Any) -> str:
    if hasattr(value, "_asdict") and isinstance(value, tuple):
        return "`tuple(value)` or `value._asdict()`"
    if hasattr(value, "__dataclass_fields__"):
        return "`dataclasses.asdict(value)`"
    return _instead_of(type(value))


def _instead_of(kind: type) -> str:
    for place in map(place_of, kind.__mro__):
        instead = _INSTEAD.get(place) or _INSTEAD.get(place.partition(".")[0])
        if instead:
            return instead
    return "plain data: numbers, text, lists, dicts, frames or arrays"


def cannot_take_apart(thing: Any, where: str) -> CodecError:
    """The error for a class or function that an object at `where` needs and that no name leads to."""
    name = getattr(thing, "__qualname__", repr(thing))
    what = "class" if isinstance(thing, type) else "function"
    own = name.rpartition(".")[2]
    how = "write the lambda as a function with a name (`def`)" if own == "<lambda>" else f"define `{own}`"
    opt_in = '; or opt in to pickle with `@fanfold.udf(serializer="pickle")`' if where.startswith("result") else ""
    return CodecError(
        f"{where} needs the {what} {name}, which cannot be found by its name where the value is read.",
        next_step=f"{how} at the top level of a module, or use plain data in its place{opt_in}.",
        instead=f"define the {what} at the top level of a module",
    )
