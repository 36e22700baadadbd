"""Datasets of xarray that the runs of a job gave, put together as one Zarr store or netCDF file."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fanfold.errors import CodecError, InputError, MissingPackage
from fanfold.inputs.stored import suffix_of
from fanfold.job.nodata import rounds
from fanfold.job.results import nothing_to_hold, say_none
from fanfold.job.tiles import placed
from fanfold.job.written import written_whole

#: Attributes that say what a variable's numbers mean: where two have others, their numbers do not go into one.
_MEANINGS = ("units", "crs_wkt", "spatial_ref", "scale_factor", "add_offset", "_FillValue", "missing_value", "nodata")
#: What is in the folder of a Zarr store, by version.
STORE_MARKS = ("zarr.json", ".zgroup", ".zarray")


def check_store(path: Path) -> None:
    """Raises `InputError` where the store would take the place of something else."""
    if path.exists() and not (path.is_dir() and any((path / mark).exists() for mark in STORE_MARKS)):
        raise InputError(f"{path} is there, and is no Zarr store.", next_step="choose another name.")


def write_cube(labels: Sequence[Any], values: Sequence[Any], path: Path) -> None:
    """Write the datasets as one, whole or not at all. Raises `CodecError` where they do not fit together."""
    whole, is_store = combined(labels, values, path), suffix_of(path.name) == ".zarr"
    if is_store:
        check_store(path)
    with written_whole(path) as half_written:
        _write(whole, half_written)
        if is_store:
            shutil.rmtree(path, ignore_errors=True)


def _write(whole: Any, path: Path) -> None:
    suffix = suffix_of(path.name)
    try:
        if suffix == ".zarr":
            whole.to_zarr(path, mode="w", consolidated=False)
        else:
            whole.to_netcdf(path)
    except ImportError as error:
        package = "zarr" if suffix == ".zarr" else "netCDF4"
        raise MissingPackage(f"{suffix} cannot be written: {error}.", next_step=f"pip install {package}") from error
    except (ValueError, TypeError, NotImplementedError) as error:
        raise CodecError(
            f"{suffix} cannot hold this dataset: {str(error).rstrip('.')}.",
            next_step="write its parts: `job.results()` has them.",
        ) from error


def combined(labels: Sequence[Any], values: Sequence[Any], path: Path) -> Any:
    """One dataset of all: tiles by their coordinates; those of equal coordinates along the argument they differ by.

    A run that has nothing to give returns None, or a part without any length, and is left out.
    """
    kept, count = [place for place, value in enumerate(values) if value is not None], len(values)
    say_none(count - len(kept), count)
    labels, values = [labels[place] for place in kept], [values[place] for place in kept]
    for label, value in zip(labels, values, strict=True):
        if not _is_dataset(value):
            kind = type(value).__qualname__
            raise CodecError(
                f"{path.name} holds datasets of xarray, and the result of {_short(label)} is a {kind}.",
                next_step="have each run return an xarray Dataset or DataArray with its coordinates.",
            )
    if not values:
        raise nothing_to_hold(path, "dataset", count)
    parts = [
        value.to_dataset(name=value.name or "result") if hasattr(value, "to_dataset") else value for value in values
    ]
    _check_meanings(labels, parts)
    filled = [place for place, part in enumerate(parts) if 0 not in part.sizes.values()] or [0]
    labels, parts = [labels[place] for place in filled], [parts[place] for place in filled]
    whole = _together(labels, parts) if len(parts) > 1 else parts[0]
    _check_exact(whole, parts)
    return whole


def _together(labels: Sequence[Any], parts: list[Any]) -> Any:
    import xarray as xr

    how: dict[str, Any] = {"compat": "no_conflicts", "join": "exact", "combine_attrs": "drop_conflicts"}
    try:
        if all(_same_place(part, parts[0]) for part in parts):
            axis = _axis(labels, parts)
            own = getattr(axis, "name", axis)
            beside = [name for name in _single_values(parts) if name != own]  # as a scene's name beside its time
            return xr.concat(parts, axis, data_vars="all", coords=beside or "minimal", **how)
        return _side_by_side(labels, parts)
    except CodecError:
        raise
    except (ValueError, TypeError, KeyError) as error:
        raise CodecError(
            f"These datasets do not fit into one: {str(error).rstrip('.')}.",
            next_step="give each the coordinates that say where it belongs, or put job.results() together yourself.",
        ) from error


def _check_exact(whole: Any, parts: list[Any]) -> None:
    """Raises `CodecError` where integers became floats beside a gap or another part's floats, and were rounded."""
    for name in [name for name, array in whole.data_vars.items() if array.dtype.kind == "f"]:
        if any(name in part and rounds(part[name].values, whole[name].dtype) for part in parts):
            raise CodecError(
                f"These datasets do not fit into one: {str(name)!r} has integers above 2**53, and floats elsewhere or"
                " nothing, which would round them.",
                next_step="have all runs return integers, and no tile be missing; or write its parts: `job.results()`.",
            )


def _is_dataset(value: Any) -> bool:
    """Whether it is an array or a dataset; a tree of datasets has no one set of coordinates."""
    return type(value).__module__.partition(".")[0] == "xarray" and all(
        hasattr(value, one) for one in ("coords", "chunks")
    )


def _check_meanings(labels: Sequence[Any], parts: list[Any]) -> None:
    """Raises `CodecError` where a variable has another unit, CRS or value for no data than in an earlier part."""
    known: dict[tuple[str, str], tuple[Any, Any]] = {}
    for label, part in zip(labels, parts, strict=True):
        for name, variable in part.variables.items():
            for attribute in variable.attrs.keys() & set(_MEANINGS):
                ours = (label, variable.attrs[attribute])
                first = known.setdefault((str(name), attribute), ours)
                if not _is_same(ours[1], first[1]):
                    words = [f"{str(value)[:60]!r} in {_short(of)}" for of, value in (first, ours)]
                    raise CodecError(
                        f"These datasets do not fit into one: {attribute} of {str(name)!r} is {' and '.join(words)}.",
                        next_step="have the UDF bring all to one unit, CRS and value for no data.",
                    )


def _is_same(one: Any, other: Any) -> bool:
    try:
        return str(one) == str(other) or float(one) == float(other)  # -1 and -1.0
    except (TypeError, ValueError):
        return False


def _side_by_side(labels: Sequence[Any], parts: list[Any]) -> Any:
    """Tiles by their coordinates; a moment, a band or the like that several of them share is a dimension more.

    What is one value in each tile and differs otherwise, such as a scene's name, has no place in the whole: it is left
    out, which is said on stderr.
    """
    differing = _single_values(parts)
    axis = _shared_axis(differing, len(parts))
    _say_left_out([name for name in differing if name != axis])
    parts = [part.drop_vars([name for name in differing if name != axis]) for part in parts]
    return placed(list(map(_short, labels)), [part.expand_dims(axis) for part in parts] if axis else parts)


def _single_values(parts: list[Any]) -> dict[str, list[Any]]:
    """The coordinates that are one value in each part and not the same in all, with these values."""
    found = {}
    for name in parts[0].coords:
        if all(name in part.coords and part.coords[name].ndim == 0 for part in parts):
            values = [part.coords[name].values[()] for part in parts]
            if len(set(values)) > 1:
                found[str(name)] = values
    return found


def _shared_axis(differing: dict[str, list[Any]], count: int) -> str | None:
    """The one among them that several parts share, before others a moment."""
    return _only_one({name: values for name, values in differing.items() if len(set(values)) < count})


def _say_left_out(names: list[str]) -> None:
    if names:
        listed = ", ".join(map(repr, names))
        sys.stderr.write(f"fanfold: {listed} differs from tile to tile, and is left out; job.results() has it.\n")


def _short(label: Any) -> str:
    return f"run {label}" if isinstance(label, int) else " ".join(str(label).split())[:80]


def _same_place(one: Any, other: Any) -> bool:
    return set(one.xindexes) == set(other.xindexes) and all(
        one.indexes[name].equals(other.indexes[name]) for name in other.indexes
    )


def _axis(labels: Sequence[Any], parts: Sequence[Any]) -> Any:
    """The one argument by which the runs differ, as a dimension; else a coordinate by which they do, such as a time.

    Else the runs' numbers.
    """
    import pandas as pd

    part = parts[0]
    names = {name for label in labels if isinstance(label, dict) for name in label}
    name = next(iter(names)) if len(names) == 1 else ""
    values = [label[name] for label in labels] if name and all(name in label for label in labels) else []
    if name in part.variables or name in part.dims or not values or not all(map(pd.api.types.is_scalar, values)):
        if moment := _moment(parts):
            return moment
        numbers = range(len(labels)) if not all(isinstance(label, int) for label in labels) else labels
        return pd.Index(list(numbers), name="run")
    return pd.Index(values, name=name)


def _moment(parts: Sequence[Any]) -> str | None:
    """The coordinate that is one value in each part, and another in each: the only one, or the only moment."""
    differing = {name: values for name, values in _single_values(list(parts)).items() if len(set(values)) == len(parts)}
    return _only_one(differing)


def _only_one(differing: dict[str, list[Any]]) -> str | None:
    """The only name, or else the only one whose values are moments."""
    import numpy as np

    moments = [name for name, values in differing.items() if isinstance(values[0], np.datetime64)]
    for names in (moments, list(differing)):
        if len(names) == 1:
            return names[0]
    return None
