"""All results of a job as one table, paged, sorted and filtered here, and the shapes in it as numbers for a map."""

from __future__ import annotations

import json
import math
import operator
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from decimal import Decimal
from types import NoneType
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from fanfold.api.submit import get_job
from fanfold.contract.records import NamedTuple
from fanfold.core import EXACT_IN_FLOATS
from fanfold.core.fold import JobState
from fanfold.core.models import GOOD
from fanfold.errors import InputError
from fanfold.job.export import without_index
from fanfold.job.unread import UnreadResult, collect_readable
from fanfold.workbench.previews import as_text

if TYPE_CHECKING:
    import pandas as pd

#: Bytes of results that are put into a table; beyond that they are downloaded.
_MOST_BYTES = 256 << 20
#: Jobs whose table is held.
_HELD = 2
_CELL = 200
#: Corners that are sent to a browser as they are; of more, those go that a screen could not show apart.
_CORNERS = 3_000_000
#: How many parts of the map's width two corners may be apart and look like one.
_FINEST = 8_000
_COMPARED = re.compile(r"^\s*(.+?)\s*(<=|>=|!=|==|=|<|>)\s*(.+?)\s*$")
_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "==": operator.eq,
    "=": operator.eq,
    "<": operator.lt,
    ">": operator.gt,
}
_COLOURS = 256
#: Cells of a row that are told of a shape on the map.
CELLS_IN_SHORT = 12


class TableColumn(NamedTuple):
    """A column of the table: its name, and whether it holds numbers, times, text (or anything else), or shapes."""

    name: str
    kind: str


class Collected:
    """The results of a job that has ended, with each run's arguments as leading columns."""

    def __init__(self, frame: pd.DataFrame, unread: Sequence[UnreadResult] = ()) -> None:
        """`unread`: of which the frame has only why they could not be read."""
        self.frame, self.unread = without_index(frame), unread
        self.columns = [
            TableColumn(str(name), _kind_of(self.frame.iloc[:, place])) for place, name in enumerate(self.frame.columns)
        ]
        self._lock = threading.Lock()
        self._ordered: tuple[tuple[object, ...], Any] = ((), None)

    def page(
        self, part: tuple[int, int], *, sort: str, descending: bool, words: str, columns: tuple[int, int]
    ) -> dict[str, Any]:
        """Some rows in some order, of those columns, and how many there are that fit the words.

        Raises `InputError` for a bad filter.
        """
        places = self._places(sort, descending, words)
        return {"rows": self.rows(places[slice(*part)], columns), "count": len(places)}

    def rows(self, places: Any, columns: tuple[int, int]) -> list[dict[str, Any]]:
        """These rows, the cells of those columns by the column's number."""
        rows: list[dict[str, Any]] = [{"row": int(place)} for place in places]
        for n in range(columns[0], min(columns[1], len(self.columns))):
            for row, value in zip(rows, self.frame.iloc[:, n].take(places), strict=True):
                row[f"c{n}"] = _cell(value)
        return rows

    def _places(self, sort: str, descending: bool, words: str) -> Any:
        """The rows' places; the last answer is kept, for a table is read page by page."""
        asked = (sort, descending, words)
        with self._lock:
            known, places = self._ordered
            if known != asked:
                places = self._sorted(self._fitting(words), sort, descending)
                self._ordered = (asked, places)
            return places

    def _fitting(self, words: str) -> Any:
        import numpy as np

        fits = np.ones(len(self.frame), dtype=bool)
        for part in filter(None, map(str.strip, words.split(" and "))):
            fits &= self._fits(part)
        return np.flatnonzero(fits)

    def _fits(self, words: str) -> Any:
        """Which rows fit `column > 3`, `column = text`, or hold these words in any column."""
        import numpy as np

        found = _COMPARED.match(words)
        place = None if found is None else self._named(found[1])
        if found is not None and place is not None:
            column, wanted = self.frame.iloc[:, place], found[3].strip("\"'")
            return _compared(column, self.columns[place].kind, found[2], wanted)
        fits = np.zeros(len(self.frame), dtype=bool)
        for n, (_, kind) in enumerate(self.columns):
            if kind != "shape":
                texts = _texts(self.frame.iloc[:, n])
                fits |= texts.str.contains(words, case=False, regex=False).to_numpy(dtype=bool)
        if found is not None and not fits.any():
            names = ", ".join(column.name for column in self.columns[:CELLS_IN_SHORT])
            raise InputError(
                f"No column is called {found[1]!r}, and no cell has these words.", next_step=f"compare one of {names}."
            )
        return fits

    def _named(self, name: str) -> int | None:
        return next((n for n, column in enumerate(self.columns) if column.name == name.strip()), None)

    def _sorted(self, places: Any, sort: str, descending: bool) -> Any:
        number = int(sort[1:]) if re.fullmatch(r"c\d+", sort) else -1
        if not 0 <= number < len(self.columns) or self.columns[number].kind == "shape":
            return places[::-1] if descending else places
        column = self.frame.iloc[:, number].take(places).reset_index(drop=True)
        try:
            column = column.sort_values(ascending=not descending, kind="stable", na_position="last")
        except Exception:  # noqa: BLE001  of several kinds, which have no order, or of the user's own
            column = _texts(column).sort_values(ascending=not descending, kind="stable")
        return places[column.index.to_numpy()]

    # --- the map ---------------------------------------------------------------------------------------------------

    def shapes(self) -> bytes:
        """The shapes of the geometry column: a line of JSON that says what follows, and then bare numbers.

        Those are x and y of all corners from the lower left on (float32), where each path begins (uint32), its row
        (uint32) and its kind (0 a point, 1 a line, 2 a ring). Raises `InputError` where there are none.
        """
        place = next((n for n, column in enumerate(self.columns) if column.kind == "shape"), None)
        if place is None:
            raise InputError("These results have no shapes.", next_step="return a GeoDataFrame.")
        column = self.frame.iloc[:, place]
        crs = getattr(column, "crs", None)
        return _as_numbers(column.to_numpy(), geographic=bool(getattr(crs, "is_geographic", False)))

    def colours(self, number: int) -> tuple[dict[str, Any], bytes]:
        """For each row a byte to colour it by, 0 to 254 (255: nothing known), and what the bytes mean."""
        import numpy as np
        import pandas as pd

        column = self.frame.iloc[:, number]
        if self.columns[number].kind == "number":
            values = column.astype("float64").to_numpy(dtype="float64", na_value=math.nan)
            known = values[np.isfinite(values)]
            low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
            scaled = (values - low) / ((high - low) or 1.0) * (_COLOURS - 2)
            codes = np.where(np.isfinite(values), scaled, _COLOURS - 1).astype("uint8")
            return {"kind": "number", "low": low, "high": high}, codes.tobytes()
        codes, names = pd.factorize(_texts(column))
        shown = [str(name) for name in names[: _COLOURS - 1]]
        return {"kind": "text", "names": shown, "more": max(0, len(names) - len(shown))}, np.where(
            (codes >= 0) & (codes < _COLOURS - 1), codes, _COLOURS - 1
        ).astype("uint8").tobytes()


class CollectedJobs:
    """The tables of the jobs whose results are looked at; a thread may wait while another reads the same."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: OrderedDict[tuple[str, int], Collected] = OrderedDict()
        #: One for each table that is being read: who waits for one job's does not hold up who looks at another's.
        self._reading: WeakValueDictionary[tuple[str, int], threading.Lock] = WeakValueDictionary()

    def of(self, job_id: str, engine: str, version: int) -> Collected:
        """The table of a job as of that version of its state.

        Raises `InputError` while the job runs and where the table is too large, or what `collect_readable` raises.
        """
        key = (job_id, version)
        with self._lock:
            reading = self._reading.setdefault(key, threading.Lock())
        with reading:
            found = self._held.get(key) or _collected(job_id, engine)
            with self._lock:
                self._held[key] = found
                self._held.move_to_end(key)
                while len(self._held) > _HELD:
                    self._held.popitem(last=False)
            return found


def _collected(job_id: str, engine: str) -> Collected:
    job = get_job(job_id, engine=engine)
    _ = job.status  # reads how it stands
    check_ended(job.state)
    _check_size(job.state)
    return Collected(*collect_readable(job))


def check_ended(state: JobState) -> None:
    """Raises `InputError` where a job has no results to look at, or not all of them yet."""
    if not state.done:
        raise InputError("The job still runs.", next_step="its results stand here when it has ended.")
    if not any(state.counts()[status] for status in GOOD):
        raise InputError("No run has given a result.", next_step="look at its errors.")


def _check_size(state: JobState) -> None:
    size = sum(output.size for index in state.indexes(*GOOD) if (output := state.output(index)) is not None)
    if size > _MOST_BYTES:
        raise InputError(
            f"The results have {size / (1 << 20):,.0f} MB, too much for a table here.",
            next_step="download them, or use job.collect(to=...).",
        )


def _kind_of(column: pd.Series[Any]) -> str:
    from pandas.api import types

    if column.dtype.name == "geometry":
        return "shape"
    kind = column.dtype
    if types.is_datetime64_any_dtype(kind):
        return "time"
    return "number" if types.is_numeric_dtype(kind) and not types.is_bool_dtype(kind) else "text"


#: How people write that a cell has no value.
_MISSING = ("nan", "none", "null", "nat")


def _compared(column: pd.Series[Any], kind: str, operation: str, wanted: str) -> Any:
    """Which cells of a column compare so. Raises `InputError` where a number is compared with what is none."""
    import numpy as np

    compare = _COMPARISONS[operation]
    if kind in ("number", "time") and wanted.lower() in _MISSING and operation in ("=", "==", "!="):
        missing = column.isna()
        return (~missing if operation == "!=" else missing).to_numpy(dtype=bool)
    if kind != "number" and not _are_numbers(column):
        return compare(_texts(column), wanted).to_numpy(dtype=bool)
    number, is_other = _number(wanted, str(column.name)), operation == "!="  # as a cell without a value always is
    if column.dtype.kind == "O":  # Python's own, of any size
        found = (compare(value, number) if value is not None else is_other for value in column)
        return np.fromiter(map(bool, found), dtype=bool, count=len(column))
    if column.dtype.kind not in "iu" or not isinstance(number, int):  # whole numbers are not all among the floats
        column = column.astype("float64")
    return compare(column, number).to_numpy(dtype=bool, na_value=is_other)


def _texts(column: pd.Series[Any]) -> pd.Series[Any]:
    """A column's cells as text, also where one of them has none."""
    try:
        return column.astype(str)
    except Exception:  # noqa: BLE001  the user's own types, and what they do when they are looked at
        return column.astype(object).map(_cell).astype(str)


def _are_numbers(column: pd.Series[Any]) -> bool:
    """Whether a column of Python's objects has numbers alone, as those do that are too large for numpy's."""
    return column.dtype.kind == "O" and all(
        isinstance(value, (int, float, Decimal, NoneType)) and not isinstance(value, bool) for value in column
    )


def _number(text: str, name: str) -> int | float:
    plain = text.replace(",", "").replace("_", "")
    try:
        return int(plain) if re.fullmatch(r"[-+]?\d{1,400}", plain) else float(plain)
    except ValueError:
        raise InputError(f"{name} is compared with a number, not with {text!r}.", next_step="write a number.") from None


def _cell(value: Any) -> Any:
    """A cell as a browser shows it: numbers as they are, all else as text in short."""
    if isinstance(value, bool):
        return str(value)
    if (isinstance(value, int) and abs(value) < EXACT_IN_FLOATS) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return _cell(value.item())
    if hasattr(value, "geom_type"):
        return str(value.geom_type)
    try:
        text = value if isinstance(value, str) else as_text(value)
    except Exception as error:  # noqa: BLE001  the user's own types, and what they do when they are looked at
        text = f"{type(value).__name__} ({type(error).__name__})"
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"


def _as_numbers(geometries: Any, *, geographic: bool) -> bytes:
    import numpy as np
    import shapely

    there = ~(shapely.is_missing(geometries) | shapely.is_empty(geometries))
    rows = np.flatnonzero(there & np.isfinite(shapely.bounds(geometries)).all(axis=1))
    shapes = geometries[rows]
    if not len(shapes):
        raise InputError("These results have no shapes.", next_step="return a GeoDataFrame.")
    bounds = shapely.total_bounds(shapes)
    count = int(shapely.get_num_coordinates(shapes).sum())
    finest = float(max(bounds[2] - bounds[0], bounds[3] - bounds[1])) / _FINEST if count > _CORNERS else 0.0
    if finest:
        shapes = shapely.simplify(shapes, finest, preserve_topology=False)
    corners, starts, owners, kinds = _paths(shapes)
    header = {
        "rows": len(geometries),
        "shapes": len(rows),
        "paths": len(starts),
        "corners": len(corners),
        "x": float(bounds[0]),
        "y": float(bounds[1]),
        "width": float(bounds[2] - bounds[0]),
        "height": float(bounds[3] - bounds[1]),
        "geographic": geographic,
        "left_out": max(0, count - len(corners)),
        "nowhere": int(there.sum()) - len(rows),
    }
    head = json.dumps(header).encode()
    head += b" " * (-(len(head) + 1) % 4) + b"\n"  # what follows begins at a multiple of four
    near = (corners - bounds[:2]).astype("<f4")
    return b"".join([head, near.tobytes(), starts.tobytes(), rows[owners].astype("<u4").tobytes(), kinds.tobytes()])


def _paths(shapes: Any) -> tuple[Any, Any, Any, Any]:
    """All corners, where each path of them begins, which shape it is of, and its kind."""
    import numpy as np
    import shapely

    parts, owners = shapely.get_parts(shapes, return_index=True)
    while np.isin(shapely.get_type_id(parts), (4, 5, 6, 7)).any():  # collections may hold others
        parts, inner = shapely.get_parts(parts, return_index=True)
        owners = owners[inner]
    types = shapely.get_type_id(parts)
    rings, of = shapely.get_rings(parts[types == 3], return_index=True)
    lines = np.isin(types, (1, 2))
    pieces = [(rings, owners[types == 3][of], 2), (parts[lines], owners[lines], 1)]
    pieces.append((parts[types == 0], owners[types == 0], 0))
    paths = np.concatenate([one for one, _, _ in pieces])
    corners, path_of = shapely.get_coordinates(paths, return_index=True)
    sizes = np.bincount(path_of, minlength=len(paths))
    starts = (np.cumsum(sizes) - sizes).astype("<u4")
    kinds = np.concatenate([np.full(len(one), kind, dtype="uint8") for one, _, kind in pieces])
    return corners, starts, np.concatenate([of for _, of, _ in pieces]), kinds
