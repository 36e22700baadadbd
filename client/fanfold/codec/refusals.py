"""What to say of a value that no codec knows."""

from __future__ import annotations

from typing import Any

from fanfold.errors import CodecError

#: What to return instead, by a class anywhere in the value's ancestry, or by the package that it comes from.
_INSTEAD = {
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
    "io.IOBase": "what it holds (`.read()`), or its path",
    "polars.LazyFrame": "`value.collect()`",
    "matplotlib.Figure": "a picture's bytes: `figure.savefig(buffer)` into an `io.BytesIO()`, then `buffer.getvalue()`",
    "xarray": "`value.to_dataframe()`, or write it with `.to_netcdf(path)` or `.to_zarr(path)` and return the path",
    "torch": "`value.numpy()`",
    "tensorflow": "`value.numpy()`",
    "scipy": "`value.toarray()`, or its arrays in a dict",
    "pyarrow": "a table: `pyarrow.table({'column': value})`, or `pyarrow.Table.from_batches([batch])`",
}


def refuse(value: Any, where: str) -> CodecError:
    """The error for `value`, found at `where`: its type, its place, and what to return instead."""
    kind = type(value)
    instead = _instead(value)
    return CodecError(
        f"{where} is a {kind.__module__}.{kind.__qualname__}, which has no codec.",
        next_step=f'Return {instead}; or opt in to pickle with `@fanfold.udf(serializer="pickle")`.',
        instead=f"pass {instead}",
    )


def _instead(value: Any) -> str:
    if hasattr(value, "_asdict") and isinstance(value, tuple):
        return "`tuple(value)` or `value._asdict()`"
    if hasattr(value, "__dataclass_fields__"):
        return "`dataclasses.asdict(value)`"
    for ancestor in type(value).__mro__:
        package = ancestor.__module__.partition(".")[0]
        package = {"_io": "io"}.get(package, package)
        instead = _INSTEAD.get(f"{package}.{ancestor.__qualname__.lstrip('_')}") or _INSTEAD.get(package)
        if instead:
            return instead
    return "plain data: numbers, text, lists, dicts, frames or arrays"
