"""A job's results as a file that the page gives out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.errors import CodecError
from fanfold.job import Job
from fanfold.job.export import MOSAICS, without_index, write_frame
from fanfold.job.unread import UnreadResult, unread_results

if TYPE_CHECKING:
    import pandas as pd


def write_download(job: Job, path: Path) -> None:
    """Write what the runs have given into a file of the kind that its name says.

    Raises `CodecError` where that kind has no room for it.
    """
    try:
        if path.suffix in MOSAICS:
            job.collect(path, ignore_exceptions=True, verbose=False)
            return
        frame = job.collect(ignore_exceptions=True, verbose=False)
    except CodecError as error:
        if unread := unread_results(job):
            raise _unread_error(unread) from error
        raise
    write_frame(_for_spreadsheets(frame) if path.suffix == ".csv" else frame, path)


def _unread_error(unread: list[UnreadResult]) -> CodecError:
    more = f", and {len(unread) - 1:,} more" if len(unread) > 1 else ""
    return CodecError(
        f"The result of run {unread[0].run} cannot be read{more}: {unread[0].why}",
        next_step="the job's table has the others, and `job[0].result()` reads one of them; or run it again.",
    )


#: What makes a spreadsheet take a cell for a formula.
_FORMULA = re.compile(r"[=+@\t\r-]")
_NUMBER = re.compile(r"[+-]?\d[\d.,]*(?:[eE][+-]?\d+)?%?")


def _for_spreadsheets(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame as CSV that a spreadsheet opens as it is: no text of a UDF's becomes a formula, and letters stay whole.

    The first name begins with the mark that says UTF-8.
    """
    safe = without_index(frame)
    for place, kind in enumerate(safe.dtypes):
        if kind.name in ("object", "str", "string"):
            safe.isetitem(place, safe.iloc[:, place].map(_harmless).array)
    names = [_harmless(str(name)) for name in safe.columns]
    marked = [f"\ufeff{names[0]}", *names[1:]]
    return safe.set_axis(marked, axis=1).set_index(marked[0])


def _harmless(cell: Any) -> Any:
    """Text that would be a formula, with the apostrophe that spreadsheets hide before it."""
    is_formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell
