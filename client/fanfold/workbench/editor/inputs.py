"""Many inputs for one job, out of a text or a file: read by the process that submits them, never by the page.

A text is one input a line (a value for the first parameter, or an object in JSON), or `range(...)`. A file is CSV,
Parquet, JSON lines, GeoJSON, GeoPackage or GeoParquet: each row is one input, its columns the parameters.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fanfold.errors import InputError

#: What files of inputs may end in.
SUFFIXES = (".csv", ".parquet", ".jsonl", ".ndjson", ".geojson", ".gpkg", ".geoparquet", ".txt")
_NOTHING = InputError("There are no inputs.", next_step="write one a line, or choose a file.")


def inputs_of(path: Path, name: str, others: dict[str, Any], first: str) -> Any:
    """The inputs in a file that was sent as `name` ("" for what was typed). Raises `InputError`.

    `others` are arguments that stand in the form; what an input says itself goes before them.
    """
    suffix = Path(name).suffix.lower()
    if not name or suffix in (".txt", ".jsonl", ".ndjson"):
        return list(_lines(path, others, first))
    if suffix not in SUFFIXES:
        raise InputError(f"{name} cannot be read as inputs.", next_step=f"choose a file of {', '.join(SUFFIXES)}.")
    rows = _rows(path, name, suffix)
    if not rows:
        raise InputError(f"{name} has no rows.", next_step="choose another file.")
    return [{**others, **row} for row in rows]


def _lines(path: Path, others: dict[str, Any], first: str) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="replace") as file:
        start = file.read(200)
        whole = _range(start) if len(start) < 200 else None
        if whole is not None:
            yield from ({first: value, **others} for value in whole)
            return
        file.seek(0)
        count = 0
        for number, text in enumerate(file, start=1):
            line = text.strip()
            if line.startswith("{"):
                yield {**others, **_object(number, line)}
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
    """`range(10)`, `range(0, 10, 2)` and the like; None for anything else."""
    with suppress(SyntaxError, ValueError, TypeError):
        call = ast.parse(text.strip(), mode="eval").body
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "range":
            return range(*(ast.literal_eval(argument) for argument in call.args))
    return None


def _rows(path: Path, name: str, suffix: str) -> list[dict[str, Any]]:
    from fanfold.inputs import read

    try:
        return list(read(_frame(path, suffix)))
    except FileNotFoundError:
        raise
    except ImportError as error:
        raise InputError(f"{name} needs {error.name}, which is not installed.", next_step="install it.") from error
    except (ValueError, OSError, KeyError, RuntimeError) as error:
        raise InputError(f"{name} cannot be read: {error}", next_step="look at the file.") from error


def _frame(path: Path, suffix: str) -> Any:
    if suffix == ".csv":
        import pandas as pd

        return pd.read_csv(path)
    if suffix in (".geojson", ".gpkg"):
        import geopandas

        return geopandas.read_file(path)
    if suffix in (".parquet", ".geoparquet"):
        from pyarrow import parquet

        if b"geo" in (parquet.read_schema(path).metadata or {}):
            import geopandas

            return geopandas.read_parquet(path)
        return parquet.read_table(path).to_pandas()
    raise ValueError(suffix)
