"""A collected frame as a file that other programs read."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.core.plain_json import cell, rows
from fanfold.errors import CodecError, InputError
from fanfold.inputs.stored import suffix_of
from fanfold.job.layers import WithoutShapes, of_features, writer_of
from fanfold.job.s3_target import check_address, collect_into_s3, s3_address
from fanfold.job.shapes import is_geographic, is_shape, located, shapes_as
from fanfold.job.tables import mixture_in
from fanfold.job.written import written_whole

if TYPE_CHECKING:
    import pandas as pd

    from fanfold.job.job import Job

_ROWS_AT_A_TIME = 10_000
_to_json = json.JSONEncoder(separators=(",", ":")).encode


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    """Arrays, lists, frames and the like stand in their cells as JSON: pandas would write their text, cut short."""
    import pandas as pd

    whole = shapes_as(frame, "wkt")
    for place, kind in enumerate(whole.dtypes):
        if pd.api.types.is_object_dtype(kind):
            cells = [cell(value) for value in whole.iloc[:, place]]
            whole.isetitem(place, pd.Series(cells, dtype=object).to_numpy())
    whole.to_csv(path, index=False)


def _write_json_lines(frame: pd.DataFrame, path: Path) -> None:
    whole = shapes_as(frame, "wkt")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for start in range(0, len(whole), _ROWS_AT_A_TIME):
            for row in rows(whole.iloc[start : start + _ROWS_AT_A_TIME]):
                file.write(f"{_to_json(row)}\n")


def _write_parquet(frame: pd.DataFrame, path: Path) -> None:
    """GeoParquet where the frame has a geometry; further shapes, such as those of arguments, as WKB."""
    if suffix_of(path.name) == ".geoparquet" or find_spec("geopandas"):
        frame = located(frame)
    for place, kind in enumerate(frame.dtypes):
        if kind.kind == "O" and (mixture := mixture_in(frame.iloc[:, place])):
            raise ValueError(f"column {frame.columns[place]!r} holds {mixture}")
    shapes_as(frame, "wkb").to_parquet(path, index=False)


#: The writer of each format, by the end of a file's name.
_WRITERS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".parquet": _write_parquet,
    ".geoparquet": lambda frame, path: _write_parquet(of_features(frame), path),
    ".csv": _write_csv,
    ".jsonl": _write_json_lines,
    ".gpkg": writer_of("GPKG"),
    ".geojson": writer_of("GeoJSON"),
    ".fgb": writer_of("FlatGeobuf"),
}


def _with_shapes_of_inputs(frame: pd.DataFrame, inputs: Sequence[Any], values: Sequence[Any]) -> pd.DataFrame:
    """The frame with the shapes that the runs were given, where their results have none: numbers by field, say."""
    if not inputs or not isinstance(inputs[0], dict) or is_geographic(located(frame)):
        return frame
    names = [name for name, one in inputs[0].items() if is_shape(one) and all(is_shape(e.get(name)) for e in inputs)]
    sizes = [0 if one is None else len(one) if hasattr(one, "columns") else 1 for one in values]
    runs = [number for number, size in enumerate(sizes) for _ in range(size)]
    if len(runs) != len(frame):  # one row a run, be it of None
        runs = list(range(len(frame))) if len(values) == len(frame) else []
    if not names or names[0] in frame.columns or not runs:
        return frame
    import geopandas

    shapes = geopandas.GeoSeries([inputs[run][names[0]] for run in runs], frame.index)
    together: pd.DataFrame = geopandas.GeoDataFrame(frame.assign(**{names[0]: shapes}), geometry=names[0])
    return together


#: What is written for its shapes.
LAYERS = (".gpkg", ".geojson", ".fgb", ".geoparquet")
#: Rasters that the runs gave, as one file (`job.mosaic`), and datasets of xarray, as one (`job.cube`).
MOSAICS = (".tif", ".tiff")
CUBES = (".zarr", ".nc")
#: A file that names those that the runs wrote (`job.vrt`).
VRT = ".vrt"


def name_of(to: Path) -> str:
    """The place as its user named it: a `Path` of an address has lost a slash."""
    return s3_address(to) or str(to)


def check_target(to: str | os.PathLike[str]) -> None:
    """Raises `InputError` for a file that could not be written, before anything is waited for."""
    path, address = Path(to), s3_address(to)
    if address is None and re.match(r"[a-z0-9]{2,}:/", str(path)):
        raise InputError(
            f"{str(path).replace(':/', '://', 1)}: results are collected into a file of this machine, or into s3://.",
            next_step="collect into a file here and copy it.",
        )
    if suffix_of(path.name) not in (*_WRITERS, *MOSAICS, VRT, *CUBES):
        formats = ", ".join((*_WRITERS, MOSAICS[0], VRT, *CUBES))
        raise InputError(
            f"{address or path}: no format has this ending.",
            next_step=f"end the name with one of {formats}{_by_pandas(suffix_of(path.name))}.",
        )
    if address is not None:
        check_address(address)
        return
    if not path.absolute().parent.is_dir():
        raise InputError(f"There is no directory {path.parent}.", next_step="make it, or write elsewhere.")
    if suffix_of(path.name) == ".zarr":
        from fanfold.job.cube import check_store

        check_store(path)


#: So much of a library's message is told.
_LONGEST = 200
#: How pandas writes the collected frame in formats that are no ending here.
_PANDAS = {
    ".json": "reset_index().to_json",
    ".tsv": "to_csv",
    ".xlsx": "to_excel",
    ".pkl": "to_pickle",
    **dict.fromkeys((".feather", ".arrow", ".ipc"), "reset_index().to_feather"),
}


def _by_pandas(suffix: str) -> str:
    return f", or have pandas write it: job.collect().{_PANDAS[suffix]}(...)" if suffix in _PANDAS else ""


def collect_into(
    job: Job,
    to: Path,
    fold: Callable[[], tuple[pd.DataFrame, Sequence[Any], list[Any]]],
    *,
    ignore_exceptions: bool,
    progress: bool | None,
) -> pd.DataFrame:
    """Write a job's results as the ending says, and return them; `fold` makes a frame of them, with its parts."""

    def write(path: Path) -> pd.DataFrame:
        suffix = suffix_of(path.name)
        if suffix in (*MOSAICS, VRT):
            from fanfold.job import mosaic, vrt

            collect = vrt.collect_vrt if suffix == VRT else mosaic.collect_mosaic
            return collect(job, path, ignore_exceptions, progress)
        frame, inputs, values = fold()
        if suffix in CUBES:
            from fanfold.job.cube import write_cube

            write_cube(inputs, values, path)
        else:
            write_frame(_with_shapes_of_inputs(frame, inputs, values) if suffix in LAYERS else frame, path)
        return frame

    check_target(to)
    address = s3_address(to)
    return write(to) if address is None else collect_into_s3(address, write)


def write_frame(frame: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Write a frame, whole or not at all, and return it as it was written.

    Raises `CodecError` where the format has no room for its values, and `InputError` where it cannot be written.
    """
    flat = without_index(frame, is_typed=suffix_of(path.name) not in (".csv", ".jsonl"))
    with written_whole(path) as half_written:
        _write(flat, half_written)
    return flat


def _write(frame: pd.DataFrame, path: Path) -> None:
    suffix = suffix_of(path.name)
    try:
        _WRITERS[suffix](frame, path)
    except CodecError:  # says what to do
        raise
    except (ValueError, TypeError, RuntimeError, OverflowError) as error:  # of pandas, pyarrow and pyogrio
        others = [other for other in (".jsonl", ".csv") if other != suffix]
        fitting = "columns of one type each"
        if isinstance(error, WithoutShapes):
            others, fitting = [".parquet", ".csv"], "a GeoDataFrame, or shapes"
        others = _made_for(frame) or others
        raise CodecError(
            f"{suffix} cannot hold this frame: {_on_one_line(str(error)).rstrip('.')}.",
            next_step=f"write {' or '.join(others)}, or have the UDF return {fitting}.",
        ) from error


def _made_for(frame: pd.DataFrame) -> list[str]:
    """The endings for results that are datasets of xarray, or arrays beside where they lie; none for any others."""
    results = frame.get("result", ())
    first: Any = next((one for one in results if one is not None), None)
    if type(first).__module__.partition(".")[0] == "xarray":
        return list(CUBES)
    is_raster = isinstance(first, tuple) and any(type(one).__module__.partition(".")[0] == "affine" for one in first)
    return [MOSAICS[0]] if is_raster else []


def _on_one_line(text: str) -> str:
    """A library's message on one line, without the end of what is long."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."


def without_index(frame: pd.DataFrame, *, is_typed: bool = False) -> pd.DataFrame:
    """The arguments, and what else is in the index, as leading columns.

    A level without a name is called `row`. A level whose name is a column's already is left out where both hold the
    same, and is otherwise called `arg_` and its name. `is_typed`: labels of which Arrow makes no column are text.
    """
    flat = frame.reset_index(drop=True)
    taken = set(map(str, flat.columns))
    place = 0
    for level in range(frame.index.nlevels):
        values = frame.index.get_level_values(level)
        name = "row" if values.name is None else str(values.name)
        if any(list(values) == list(flat[same]) for same in (name, name.removeprefix("arg_")) if same in flat.columns):
            continue
        while name in taken:
            name = f"arg_{name}"
        taken.add(name)
        flat.insert(place, name, _as_text(values, is_typed=is_typed))
        place += 1
    return flat


#: Of one of these Arrow makes a column, and of numbers of several kinds.
_COLUMNS_OF = frozenset("str bytes date datetime time timedelta Timestamp Timedelta Decimal UUID".split())
_NUMBERS = frozenset((int, float, bool))
_LARGEST = 2**63


def _as_text(labels: pd.Index, *, is_typed: bool) -> Any:
    """Labels that only Python has, such as a raster's window, as their text."""
    named_by = ("rasterio", "pyproj", "pathlib")
    if labels.dtype != object:
        return list(map(str, labels)) if is_typed and labels.dtype.kind == "c" else labels
    if is_typed and not _makes_a_column(labels):
        return [None if _is_missing(one) else str(one) for one in labels]
    if not any(type(one).__module__.partition(".")[0] in named_by for one in labels):
        return labels
    return [str(one) if type(one).__module__.partition(".")[0] in named_by else one for one in labels]


def _makes_a_column(labels: pd.Index) -> bool:
    given = [one for one in labels if not _is_missing(one)]
    kinds = set(map(type, given))
    if kinds <= _NUMBERS:
        return all(-_LARGEST <= one < _LARGEST for one in given if type(one) is int)
    (kind, *others) = kinds
    return not others and (kind.__name__ in _COLUMNS_OF or hasattr(kind, "geom_type"))


def _is_missing(label: Any) -> bool:
    return label is None or (type(label) is float and math.isnan(label))  # a level of pandas has NaN for None
