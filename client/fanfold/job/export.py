"""A collected frame as a file that other programs read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.core.plain_json import cell, rows
from fanfold.errors import CodecError, InputError

if TYPE_CHECKING:
    import pandas as pd

_ROWS_AT_A_TIME = 10_000
_to_json = json.JSONEncoder(separators=(",", ":")).encode


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Arrays, lists, frames and the like stand in their cells as JSON: pandas would write their text, cut short."""
    import pandas as pd

    whole = frame.copy(deep=False)
    for place, kind in enumerate(frame.dtypes):
        if pd.api.types.is_object_dtype(kind):
            cells = [cell(value) for value in frame.iloc[:, place]]
            whole.isetitem(place, pd.Series(cells, dtype=object).to_numpy())
    whole.to_csv(path, index=False)


def _write_json_lines(frame: pd.DataFrame, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for start in range(0, len(frame), _ROWS_AT_A_TIME):
            for row in rows(frame.iloc[start : start + _ROWS_AT_A_TIME]):
                file.write(f"{_to_json(row)}\n")


_WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".parquet": lambda frame, path: frame.to_parquet(path, index=False),
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
}


def check_target(path: Path) -> None:
    """Raises `InputError` for a file that could not be written, before anything is waited for."""
    if path.suffix not in _WRITERS:
        raise InputError(f"{path}: no format goes by that suffix.", next_step=f"end it in {', '.join(_WRITERS)}.")
    if not path.absolute().parent.is_dir():
        raise InputError(f"There is no directory {path.parent}.", next_step="make it, or write elsewhere.")


def write_frame(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Write a frame, whole or not at all, and return it as it was written.

    Raises `CodecError` where the format has no room for its values, and `InputError` where it cannot be written.
    """
    flat = without_index(frame)
    half_written = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        _WRITERS[path.suffix](flat, half_written)
        half_written.replace(path)
    except (ValueError, TypeError, NotImplementedError, OverflowError) as error:
        raise CodecError(
            f"{path.suffix} cannot hold this frame: {error}.",
            next_step="write another format, .jsonl or .csv, or have the UDF return columns of one type each.",
        ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}.", next_step="write elsewhere.") from error
    finally:
        half_written.unlink(missing_ok=True)
    return flat


def without_index(frame: pd.DataFrame) -> pd.DataFrame:
    """The arguments, and what else is in the index, as leading columns.

    A level without a name is called `row`. A level whose name is a column's already is left out where both hold the
    same, and is otherwise called `arg_` and its name.
    """
    flat = frame.reset_index(drop=True)
    taken = set(map(str, flat.columns))
    place = 0
    for level in range(frame.index.nlevels):
        values = frame.index.get_level_values(level)
        name = "row" if values.name is None else str(values.name)
        if name in flat.columns and list(values) == list(flat[name]):
            continue
        while name in taken:
            name = f"arg_{name}"
        taken.add(name)
        flat.insert(place, name, values)
        place += 1
    return flat
