"""Datasets of xarray that the runs of a job gave, put together as one Zarr store or netCDF file."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fanfold.errors import CodecError, InputError, MissingPackage
from fanfold.job.results import say_none
from fanfold.job.written import written_whole

#: What is in the folder of a Zarr store, by version.
STORE_MARKS = ("zarr.json", ".zgroup", ".zarray")


def check_store(path: Path) -> None:
    """Raises `InputError` where the store would take the place of something else."""
    if path.exists() and not (path.is_dir() and any((path / mark).exists() for mark in STORE_MARKS)):
        raise InputError(f"{path} is there, and is no Zarr store.", next_step="choose another name.")


def write_cube(labels: Sequence[Any], values: Sequence[Any], path: Path) -> None:
    """Write the datasets as one, whole or not at all. Raises `CodecError` where they do not fit together."""
    whole = combined(labels, values, path)
    if path.suffix == ".zarr":
        check_store(path)
    with written_whole(path) as half_written:
        _write(whole, half_written)
        if path.suffix == ".zarr":
            shutil.rmtree(path, ignore_errors=True)


def _write(whole: Any, path: Path) -> None:
    try:
        if path.suffix == ".zarr":
            whole.to_zarr(path, mode="w", consolidated=False)
        else:
            whole.to_netcdf(path)
    except ImportError as error:
        raise MissingPackage(f"{path.suffix} cannot be written: {error}.", next_step="pip install zarr") from error
    except (ValueError, TypeError, NotImplementedError) as error:
        raise CodecError(
            f"{path.suffix} cannot hold this dataset: {str(error).rstrip('.')}.",
            next_step="write its parts: `job.results()` has them.",
        ) from error


def combined(labels: Sequence[Any], values: Sequence[Any], path: Path) -> Any:
    """One dataset of all: tiles by their coordinates; those of equal coordinates along the argument they differ by.

    A run that has nothing to give returns None, and is left out.
    """
    import xarray as xr

    kept = [place for place, value in enumerate(values) if value is not None]
    say_none(len(values) - len(kept), len(values))
    labels, values = [labels[place] for place in kept], [values[place] for place in kept]
    for label, value in zip(labels, values, strict=True):
        if type(value).__module__.partition(".")[0] != "xarray" or not hasattr(value, "coords"):
            kind = type(value).__qualname__
            raise CodecError(
                f"{path.name} holds datasets of xarray, and the result of {_short(label)} is a {kind}.",
                next_step="have each run return an xarray Dataset or DataArray with its coordinates.",
            )
    if not values:
        raise CodecError(f"{path.name} would hold nothing: no run has a result.", next_step="see job.errors().")
    parts = [
        value.to_dataset(name=value.name or "result") if hasattr(value, "to_dataset") else value for value in values
    ]
    how: dict[str, Any] = {"compat": "no_conflicts", "join": "exact", "combine_attrs": "drop_conflicts"}
    try:
        if len(parts) == 1:
            return parts[0]
        if all(_same_place(part, parts[0]) for part in parts):
            return xr.concat(parts, _axis(labels, parts), data_vars="all", coords="minimal", **how)
        return xr.combine_by_coords(parts, data_vars="minimal", coords="minimal", **how)
    except (ValueError, TypeError, KeyError) as error:
        raise CodecError(
            f"These datasets do not fit into one: {str(error).rstrip('.')}.",
            next_step="give each the coordinates that say where it belongs, or put job.results() together yourself.",
        ) from error


def _short(label: Any) -> str:
    return f"run {label}" if isinstance(label, int) else str(label)[:200]


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
    """The only coordinate that is one value in each part, and another in each."""
    names = [
        str(name)
        for name, coordinate in parts[0].coords.items()
        if coordinate.ndim == 0 and all(name in part.coords and part.coords[name].ndim == 0 for part in parts)
    ]
    differing = [name for name in names if len({part.coords[name].values[()] for part in parts}) == len(parts)]
    return differing[0] if len(differing) == 1 else None
