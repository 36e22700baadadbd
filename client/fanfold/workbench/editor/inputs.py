"""Many inputs for one job, out of a text or a file: read by the process that submits them, never by the page.

A text is one input a line (a value for the first parameter, or an object in JSON), or `range(...)`. A file is CSV,
Parquet, JSON lines, GeoJSON, GeoPackage or GeoParquet: each row is one input, its columns the parameters.
"""

from __future__ import annotations

import ast
import json
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fanfold.errors import InputError
from fanfold.source.texts import tree_of

#: What files of inputs may end in.
SUFFIXES = (".csv", ".tsv", ".parquet", ".jsonl", ".ndjson", ".geojson", ".gpkg", ".fgb", ".geoparquet", ".txt")
#: Characters of the longest text that is looked at as `range(...)`.
_LONGEST_RANGE = 200
_NOTHING = InputError("There are no inputs.", next_step="write one a line, or choose a file.")


def inputs_of(path: Path, name: str, others: dict[str, Any], first: str) -> list[dict[str, Any]]:
    """The inputs in a file that was sent as `name` ("" for what was typed). Raises `InputError`.

    `others` are arguments that stand in the form; what an input says itself goes before them.
    """
    suffix = Path(name).suffix.lower()
    if not name or suffix == ".txt":
        return list(_lines(path, others, first))
    if suffix not in SUFFIXES:
        raise InputError(f"{name} cannot be read as inputs.", next_step=f"choose a file of {', '.join(SUFFIXES)}.")
    return [{**others, **(row if isinstance(row, dict) else {first: row})} for row in _rows(path, name, suffix)]


def _rows(path: Path, name: str, suffix: str) -> list[Any]:
    """The rows as the command line reads them from a file of that kind, which goes by its suffix."""
    from fanfold.inputs.stored import read_rows

    with tempfile.TemporaryDirectory(prefix="fanfold-inputs-") as folder:
        kept = Path(folder) / f"inputs{suffix}"
        kept.symlink_to(path.resolve())
        try:
            return list(read_rows(str(kept)))
        except InputError as error:
            raise InputError(error.message.replace(str(kept), name), next_step=error.next_step) from None
        except ImportError as error:
            raise InputError(f"{name} needs {error.name}, which is not installed.", next_step="install it.") from error


def _lines(path: Path, others: dict[str, Any], first: str) -> Iterator[dict[str, Any]]:
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError as error:
        at = path.read_bytes()[: error.start].count(b"\n") + 1
        raise InputError(f"Line {at} is not text in UTF-8.", next_step="save the file as UTF-8.") from None
    if (whole := _range(text)) is not None:
        yield from ({first: number, **others} for number in whole)
        return
    count = 0
    for place, written in enumerate(text.split("\n"), start=1):
        line = written.strip()
        if line.startswith("{"):
            yield {**others, **_object(place, line)}
        elif line:
            yield {first: line, **others}
        count += bool(line)
    if not count:
        raise _NOTHING


def _object(number: int, line: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise InputError(f"Line {number} is not JSON: {error}.", next_step="fix that line.") from None
    return found


def _range(text: str) -> range | None:
    """`range(10)`, `range(0, 10, 2)` and the like, alone; None for another text. Raises `InputError` for no range."""
    written = text.strip()
    if len(written) > _LONGEST_RANGE or not re.fullmatch(r"range\(.*\)", written):
        return None
    next_step = "write whole numbers, as in range(10) or range(0, 100, 5)."
    try:
        call: Any = tree_of(written, mode="eval").body
        if call.keywords:
            raise InputError(f"{written} is no range: its numbers have no names.", next_step=next_step)
        return range(*map(_whole_number, call.args))
    except (SyntaxError, ValueError, TypeError, AttributeError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise InputError(f"{written} is no range: {reason}.", next_step=next_step) from None


def _whole_number(written: ast.expr) -> int:
    """What an argument of `range` says, `10_000` and `1e6` for as many, and no sum or name."""
    try:
        found = ast.literal_eval(written)
    except ValueError:
        found = None
    if isinstance(found, float) and found.is_integer():
        return int(found)
    if type(found) is not int:
        raise ValueError(f"{ast.unparse(written)} is not a whole number")
    return found
