"""Inputs and parameters as they are given on the command line."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO

from fanfold.errors import InputError


def inputs_from(values: Sequence[str], file: str | None, numbers: str | None) -> Iterable[Any]:
    """The inputs of a job, from exactly one of: values, a file, a range. Raises `InputError`."""
    if sum([bool(values), file is not None, numbers is not None]) != 1:
        raise InputError(
            "Inputs come from one place: values, --inputs or --range.",
            next_step="give exactly one: `a b c`, `--inputs days.csv` or `--range 0:100`.",
        )
    if file is not None:
        return _from_file(file)
    return values if numbers is None else _range(numbers)


def parameters_from(pairs: Sequence[str]) -> dict[str, str]:
    """Parameters given as `name=value`. Raises `InputError`."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"{pair!r} is no parameter.", next_step="write name=value, such as day=2013-01-01.")
        if name in found:
            raise InputError(f"{name} is given twice.", next_step="give each parameter once.")
        found[name] = value
    return found


def _range(text: str) -> range:
    parts = text.split(":")
    try:
        bounds = [int(part) for part in parts]
        numbers = range(*bounds)
    except (ValueError, TypeError):
        raise InputError(
            f"--range {text} is no range.", next_step="write start:stop or start:stop:step, such as 0:100 or 0:100:5."
        ) from None
    if not numbers:
        raise InputError(f"--range {text} is empty.", next_step="the stop itself is not included.")
    return numbers


def _from_file(file: str) -> Iterator[Any]:
    path = Path(file)
    reader = _json_lines if file == "-" else _READERS.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            f"{file}: inputs are not read from {path.suffix or 'files without a suffix'}.",
            next_step=f"give one of {', '.join(_READERS)}, or - for JSON lines from stdin.",
        )
    if file != "-" and not path.is_file():
        raise InputError(f"There is no file {file}.", next_step="give the file that holds the inputs.")
    return _read_or_explain(file, reader)


def _read_or_explain(file: str, reader: Callable[[str], Iterator[Any]]) -> Iterator[Any]:
    count = 0
    try:
        for one in reader(file):
            count += 1
            yield one
    except (OSError, UnicodeError, csv.Error) as error:
        raise InputError(f"{_name_of(file)} cannot be read: {error}.", next_step="look at the file.") from error
    if not count:
        raise InputError(
            f"{_name_of(file)} holds no inputs.", next_step="put at least one there, below the header where it has one."
        )


def _name_of(file: str) -> str:
    return "stdin" if file == "-" else file


def _open(file: str) -> Any:
    if file == "-":
        return nullcontext(sys.stdin)
    return open(file, encoding="utf-8-sig", newline="")


def _csv(file: str) -> Iterator[dict[str, str]]:
    """A row is an input, a column a parameter; every cell is text, for the UDF's annotations to make something of."""
    text: TextIO
    with _open(file) as text:
        rows = csv.DictReader(text, delimiter="\t" if file.lower().endswith(".tsv") else ",", strict=True)
        _refuse_twice(file, rows.fieldnames or ())
        for row in rows:
            if None in row or None in row.values():
                raise InputError(
                    f"{file}:{rows.line_num}: the row has not as many cells as the header has names.",
                    next_step="fix the line, or quote the cell that holds a separator.",
                )
            yield row


def _refuse_twice(file: str, names: Sequence[str]) -> None:
    """Raises `InputError` for a name that two columns have: a row would keep the last of them alone."""
    for place, name in enumerate(names):
        if name in names[:place]:
            raise InputError(f"{file} has two columns {name!r}.", next_step="drop or rename one of them.")


def _json_lines(file: str) -> Iterator[Any]:
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


def _parquet(file: str) -> Iterator[dict[str, Any]]:
    """A row is an input, a column a parameter."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(file) as parquet:
            _refuse_twice(file, parquet.schema_arrow.names)
            for batch in parquet.iter_batches():
                yield from batch.to_pylist()
    except pyarrow.ArrowException as error:
        raise InputError(f"{file} is not Parquet that can be read: {error}.", next_step="look at the file.") from error


_READERS: dict[str, Callable[[str], Iterator[Any]]] = {
    ".csv": _csv,
    ".tsv": _csv,
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".parquet": _parquet,
}
