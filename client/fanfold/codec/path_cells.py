"""The paths in the cells of frames and arrays, so that they count as those elsewhere in arguments do.

The bytes of a frame are stored apart, and nobody would open them to see. `{"$naming":[paths, frame]}` is the frame,
with each `Path` as such, and with its texts: all of them where the argument is one of `depends_on`, otherwise those
of a column that begins with places, which may be paths of a file system beside it. `codec.paths` finds them there.
So is an argument whose annotation takes a path or its text, with all texts in it.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from os import PathLike
from typing import Any

#: A folder before it, or an ending behind: what one of the first of a column of paths has.
_LIKE_A_PATH = re.compile(r"[^\n]{0,300}(/|\.[A-Za-z]\w{1,9}\Z)")
#: So many of a column's texts are looked at: some may say that there is no file.
_FIRST_TEXTS = 20
#: What is in the name of each type of polars and Arrow whose values may be paths, at whatever depth.
_OF_POLARS, _OF_ARROW = ("String", "Categorical", "Enum", "Object"), ("string", "binary")


class TextsArePaths:
    """A `put_blob` for what `depends_on` names: all texts in the cells of its frames and arrays are noted."""

    texts_are_paths = True

    def __init__(self, put_blob: Callable[[str, bytes], object]) -> None:
        self._put_blob = put_blob
        self.put_pieces = getattr(put_blob, "put_pieces", None)

    def __call__(self, sha256: str, data: bytes) -> object:
        """Put it where the other would."""
        return self._put_blob(sha256, data)


def with_paths(value: Any, reference: Any, *, all_texts: bool) -> Any:
    """The reference to a frame or an array, and beside it the paths that it names, if any."""
    named = [path for column in _columns(value) for path in _named_in(column, all_texts)]
    return {"$naming": [named, reference]} if named else reference


def with_texts_as_paths(encoded: str) -> str:
    """An encoded value, and beside it its texts that may be paths of this machine or of S3."""
    from fanfold.codec.paths import LONGEST_PATH, NamedPath, texts_in

    texts = [one for one in dict.fromkeys(texts_in(json.loads(encoded))) if 0 < len(one) < LONGEST_PATH]
    looked_at = [one for one in texts if not (named := NamedPath(one)).is_far or named.is_in_s3]
    paths = json.dumps([{"$path": ["Path", one]} for one in looked_at])
    return f'{{"$naming":[{paths},{encoded}]}}' if looked_at else encoded


def _columns(value: Any) -> Iterator[Iterable[Any]]:
    """Those whose cells may be paths."""
    package = type(value).__module__.partition(".")[0]
    if package == "numpy":
        return iter([value.ravel().tolist()] if value.dtype.kind in "USV" else [])
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
        name = column.dtype.name
        if name == "category":
            yield column.unique().tolist()
        elif name in ("object", "str", "string") or (name.endswith("[pyarrow]") and _has(name, _OF_ARROW)):
            yield column.tolist()


def _of_polars(value: Any) -> Iterator[Iterable[Any]]:
    for column in value.get_columns() if hasattr(value, "get_columns") else [value]:
        if _has(str(column.dtype), _OF_POLARS):
            yield column.to_list()


def _of_arrow(value: Any) -> Iterator[Iterable[Any]]:
    for column in value.columns if hasattr(value, "columns") else [value]:
        if _has(str(column.type), _OF_ARROW):
            yield column.to_pylist()


def _has(name: str, types: Iterable[str]) -> bool:
    return any(one in name for one in types)


def _named_in(cells: Iterable[Any], all_texts: bool) -> Iterator[Any]:
    """The paths of one column, each once."""
    flat = list(_flat(cells))
    texts = dict.fromkeys(one for one in flat if isinstance(one, str))
    if all_texts:
        yield from texts
        yield from dict.fromkeys(os.fsdecode(one) for one in flat if isinstance(one, bytes))
    elif any(_LIKE_A_PATH.match(text) for text in list(texts)[:_FIRST_TEXTS]):
        yield from texts
    for path in dict.fromkeys(one for one in flat if isinstance(one, PathLike)):
        yield {"$path": ["Path", str(path)]}


def _flat(cells: Iterable[Any]) -> Iterator[Any]:
    """What the cells hold, that in lists, arrays and dicts within them too."""
    for cell in cells:
        if isinstance(cell, (str, bytes, int, float, PathLike)) or cell is None:
            yield cell
        elif isinstance(cell, dict):
            yield from _flat(cell.values())
        elif isinstance(cell, (list, tuple, set, frozenset)):
            yield from _flat(cell)
        elif hasattr(cell, "ndim") and hasattr(cell, "tolist"):
            yield from _flat([cell.tolist()])
