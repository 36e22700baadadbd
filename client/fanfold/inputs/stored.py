"""Inputs that lie in files, here or in S3: the files themselves, or the rows in them."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from io import TextIOWrapper
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any, TextIO

from fanfold.codec.s3_stamps import keys_below, s3_file
from fanfold.errors import InputError

_S3 = "s3://"
_SPECIAL = re.compile(r"[*?\[]")


class StoredFiles:
    """The files that a pattern matches, sorted: listed when they are asked for, each time anew.

    Those of this machine are a `Path` each, and so count for the cache by what they are; those in S3 are texts.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def __iter__(self) -> Iterator[Any]:
        """Raises `InputError` where the pattern matches nothing, or cannot be listed."""
        count = 0
        for one in objects_like(self.pattern) if self.pattern.startswith(_S3) else _paths(self.pattern):
            count += 1
            yield one
        if not count:
            raise InputError(
                f"No file matches {self.pattern!r}.",
                next_step="look at the spelling: * stands for any text within a name, ** for any folders.",
            )

    @property
    def is_of_s3(self) -> bool:
        """Whether it lies in S3, where others can list it too."""
        return self.pattern.startswith(_S3)

    def __repr__(self) -> str:
        return f"fanfold.files({self.pattern!r})"


class StoredRows:
    """The rows of all files that a pattern matches, one after the other: read as they are asked for."""

    def __init__(self, pattern: str, columns: Sequence[str]) -> None:
        self.pattern = pattern
        self._columns = tuple(columns)

    def __iter__(self) -> Iterator[Any]:
        """Raises `InputError` for a file that holds no rows, or not those columns, or cannot be read."""
        return _some(self.pattern, self._rows())  # some parts of many may be empty

    def _rows(self) -> Iterator[Any]:
        for file in map(str, StoredFiles(self.pattern)):
            for row in _rows_of(file, self._columns):
                yield row if not self._columns else self._chosen(file, row)

    def _chosen(self, file: str, row: Any) -> dict[str, Any]:
        missing = [name for name in self._columns if not isinstance(row, dict) or name not in row]
        if missing:
            raise InputError(
                f"{file} has no column {missing[0]!r}.", next_step="name columns that each of the files has."
            )
        return {name: row[name] for name in self._columns}

    def __repr__(self) -> str:
        return f"fanfold.rows({self.pattern!r})"


def files(pattern: str | Path) -> StoredFiles:
    """Files as inputs, one a run: `submit(udf, fanfold.files("s3://bucket/scenes/**/*.tif"))`.

    A path of this machine or an s3:// address. `*` and `?` stand for text within a name, `**` for any folders; a folder
    (or what ends with a slash) for all files below it. Nothing is opened here: each run gets a path. Raises
    `InputError`, when it is submitted, where nothing matches.
    """
    return StoredFiles(str(pattern))


def rows(pattern: str | Path, *, columns: Sequence[str] = ()) -> StoredRows:
    """Rows of files as inputs, one a run, their columns its arguments: `submit(udf, fanfold.rows("parts-*.parquet"))`.

    Parquet, CSV, TSV, JSON lines, GeoParquet, GeoPackage and GeoJSON, of this machine or in S3, and patterns as for
    `files`; a geometry is one of shapely. `columns` are those that the UDF takes; of Parquet files no others are read.
    Rows are read as they are submitted and never all at once. Raises `InputError` for what is no such file.
    """
    return StoredRows(str(pattern), columns)


def is_pattern(text: str) -> bool:
    """Whether a text stands for other files than that of its name."""
    return text.startswith(_S3) or bool(_SPECIAL.search(text) and not Path(text).exists())


def suffix_of(file: str) -> str:
    """What says how a file is read, in small letters."""
    return PurePosixPath(file).suffix.lower()


def _paths(pattern: str) -> Iterator[Path]:
    from glob import escape  # few jobs have their inputs in files

    from fanfold.core.matches import matches

    place = Path(pattern).expanduser()
    pattern = str(place)
    if place.is_dir():  # whose name is no pattern, whatever brackets and stars it has
        pattern = str(Path(escape(pattern), "**"))
    elif place.exists():
        yield place
        return
    yield from sorted(path for path in map(Path, matches(pattern)) if path.is_file())


def objects_like(address: str, s3: Any = None) -> Iterator[str]:
    """The objects of S3 that a pattern matches, sorted; `s3` is who lists them."""
    bucket, _, pattern = address.removeprefix(_S3).partition("/")
    special = _SPECIAL.search(pattern)
    if special is None and pattern and not pattern.endswith("/"):
        yield from (f"{_S3}{bucket}/{key}" for key in keys_below(bucket, pattern, s3) if key == pattern)
        return
    prefix = pattern[: special.start()] if special else pattern
    matches = _matcher(pattern) if special else re.compile(".*", re.DOTALL)
    for key in keys_below(bucket, prefix, s3):
        if not key.endswith("/") and matches.fullmatch(key):
            yield f"{_S3}{bucket}/{key}"


_PARTS = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _matcher(pattern: str) -> re.Pattern[str]:
    """What matches as `glob` does: a star stays within a name."""
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[[^\]]+\])", pattern)
    text = "".join(_PARTS.get(part) or (part if part.startswith("[") else re.escape(part)) for part in parts)
    return re.compile(text.replace("[!", "[^"), re.DOTALL)


# Rows of one file.


def read_rows(file: str) -> Iterator[Any]:
    """The rows of one file, in which there must be some; `-` is JSON lines from stdin. Raises `InputError`."""
    return _some(_name_of(file), _rows_of(file, ()))


def _some(place: str, reading: Iterator[Any]) -> Iterator[Any]:
    count = 0
    for one in reading:
        count += 1
        yield one
    if not count:
        raise InputError(
            f"{place} holds no inputs.", next_step="put at least one there, below the header where it has one."
        )


def _rows_of(file: str, columns: Sequence[str]) -> Iterator[Any]:
    reader = _json_lines if file == "-" else READERS.get(suffix_of(file))
    if reader is None:
        raise InputError(
            f"{file}: inputs are not read from {suffix_of(file) or 'files without a suffix'}.",
            next_step=f"give one of {', '.join(READERS)}, or - for JSON lines from stdin.",
        )
    return _explained(file, reader(file, columns))


def _explained(file: str, reading: Iterator[Any]) -> Iterator[Any]:
    try:
        yield from reading
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"{_name_of(file)} cannot be read: {error}.", next_step="look at the file.") from error


def _name_of(file: str) -> str:
    return "stdin" if file == "-" else file


def _open(file: str) -> Any:
    if file == "-":
        return nullcontext(sys.stdin)
    if file.startswith(_S3):
        return TextIOWrapper(s3_file(file), encoding="utf-8-sig", newline="")
    return open(file, encoding="utf-8-sig", newline="")


def _csv(file: str, _: Sequence[str]) -> Iterator[dict[str, str]]:
    """A row is an input, a column a parameter; every cell is text, for the UDF's annotations to make something of."""
    text: TextIO
    with _open(file) as text:
        header = next(iter(text), "")
        delimiter = "\t" if file.lower().endswith(".tsv") else _delimiter(header)
        rows = csv.DictReader(chain([header], text), delimiter=delimiter, strict=True)
        _refuse_twice(file, rows.fieldnames or ())
        for row in rows:
            if None in row or None in row.values():
                raise InputError(
                    f"{file}:{rows.line_num}: the row has not as many cells as the header has names.",
                    next_step="fix the line, or quote the cell that holds a separator.",
                )
            yield row


def _delimiter(header: str) -> str:
    """A comma; where the header has none but in quotes, the semicolon of spreadsheets in much of Europe, or a tab."""
    bare = re.sub(r'"[^"]*"', "", header)
    return next((one for one in (",", ";", "\t") if one in bare), ",")


def _refuse_twice(file: str, names: Sequence[str]) -> None:
    """Raises `InputError` for a name that two columns have: a row would keep the last of them alone."""
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InputError(f"{file} has two columns {name!r}.", next_step="drop or rename one of them.")


def _json_lines(file: str, _: Sequence[str]) -> Iterator[Any]:
    """A line is an input: an object is keyword arguments, anything else goes to the first parameter."""
    text: TextIO
    with _open(file) as text:
        for number, line in enumerate(text, start=1):
            if not line.strip():
                continue
            try:
                yield json.loads(line)
            except ValueError as error:
                why = f"column {error.colno}: {error.msg}" if isinstance(error, json.JSONDecodeError) else error
                raise InputError(
                    f"{_name_of(file)}:{number}: the line is not JSON: {why}.",
                    next_step="each line holds one JSON value.",
                ) from None


#: What pandas calls the labels of its rows in a file, where they have no name: they are no parameter.
_NAMELESS_INDEX = re.compile(r"__index_level_\d+__")


def _parquet(file: str, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """A row is an input, a column a parameter; a geometry of GeoParquet is one of shapely."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    from fanfold.inputs.geo_files import geometry_columns, with_geometries

    try:
        with ParquetFile(s3_file(file) if file.startswith(_S3) else file) as parquet:
            _refuse_twice(file, parquet.schema_arrow.names)
            shapes = geometry_columns(file, parquet.schema_arrow.metadata)
            named = [name for name in parquet.schema_arrow.names if not _NAMELESS_INDEX.fullmatch(name)]
            for batch in parquet.iter_batches(columns=list(columns) or named):
                yield from with_geometries(file, batch.to_pylist(), shapes) if shapes else batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise InputError(f"{file} is not Parquet that can be read: {error}.", next_step="look at the file.") from error


def _features(file: str, _: Sequence[str]) -> Iterator[Any]:
    """A feature is an input: what it says of itself, and its `geometry`."""
    from fanfold.inputs.geo_files import features

    return features(file)


READERS: dict[str, Callable[[str, Sequence[str]], Iterator[Any]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
    ".geoparquet": _parquet,
    ".geojson": _features,
    ".gpkg": _features,
    ".fgb": _features,
}
