"""The paths in the cells of frames and arrays, so that they count as those elsewhere in arguments do.

The bytes of a frame are stored apart, and nobody would open them to see. `{"$naming":[paths, frame]}` is the frame,
with each `Path` as such and with texts where a column's first looks like a place; `codec.paths` finds them there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from os import PathLike
from typing import Any

#: A folder before it, or an ending behind: what the first of a column of paths has.
_LIKE_A_PATH = re.compile(r"[^\n]{0,300}(/|\.[A-Za-z]\w{1,7}\Z)")


def with_paths(value: Any, reference: Any) -> Any:
    """The reference to a frame or an array, and beside it the paths that it names, if any."""
    named = [path for column in _columns(value) for path in _named_in(column)]
    return {"$naming": [named, reference]} if named else reference


def _columns(value: Any) -> Iterator[Iterable[Any]]:
    """Those whose cells may be paths."""
    package = type(value).__module__.partition(".")[0]
    if package == "numpy":
        return iter([value.ravel().tolist()] if value.dtype.kind == "U" else [])
    if package == "polars":
        return _of_polars(value)
    if package == "pyarrow":
        return _of_arrow(value)
    return _of_pandas(value)


def _of_pandas(value: Any) -> Iterator[Iterable[Any]]:
    columns = [value.iloc[:, place] for place in range(value.shape[1])] if value.ndim == 2 else [value]
    if hasattr(value, "index"):
        columns += [value.index.get_level_values(level) for level in range(value.index.nlevels)]
    for column in columns:
        if column.dtype.name == "category":
            yield column.unique().tolist()
        elif column.dtype.name in ("object", "str", "string"):
            yield column.tolist()


def _of_polars(value: Any) -> Iterator[Iterable[Any]]:
    for column in value.get_columns() if hasattr(value, "get_columns") else [value]:
        if str(column.dtype) in ("String", "Categorical", "Object"):
            yield column.to_list()


def _of_arrow(table: Any) -> Iterator[Iterable[Any]]:
    for column, field in zip(table.columns, table.schema, strict=True):
        if str(field.type) in ("string", "large_string", "string_view"):
            yield column.to_pylist()


def _named_in(cells: Iterable[Any]) -> Iterator[Any]:
    """The paths of one column, each once."""
    flat = [one for cell in cells for one in (cell if isinstance(cell, (list, tuple)) else (cell,))]
    texts = [one for one in flat if isinstance(one, str)]
    if texts and _LIKE_A_PATH.match(texts[0]):
        yield from dict.fromkeys(texts)
    for path in dict.fromkeys(one for one in flat if isinstance(one, PathLike)):
        yield {"$path": ["Path", str(path)]}
