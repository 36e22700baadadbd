"""Datasets of xarray side by side, each where its coordinates say; none lies over another that says something else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.errors import CodecError
from fanfold.job.rasters import DIMENSIONS, OFF_GRID


class Tile(NamedTuple):
    """A part, what its run is called, and where it lies along each dimension that the parts do not share."""

    label: str
    part: Any
    places: dict[Any, Any]


def placed(labels: Sequence[str], parts: Sequence[Any]) -> Any:
    """One dataset of all. What no part covers is missing; what several cover has to be the same in them.

    Raises `CodecError` where it is not, or where the parts are not of one grid; `ValueError` for what xarray cannot
    put together.
    """
    import xarray as xr

    axes = _axes(parts)
    tiles = [
        Tile(label, part, {dim: axis.get_indexer(part.indexes[dim]) for dim, axis in axes.items() if dim in part.dims})
        for label, part in zip(labels, parts, strict=True)
    ]
    _check_grids(tiles)
    made = {name: _variable(name, tiles, axes) for name in _names(parts) if name not in axes}
    for dim, axis in axes.items():
        first = next(part[dim] for part in parts if dim in part.dims)
        is_text = first.dtype.kind == "U"  # pandas has another kind of it
        made[dim] = xr.Variable(dim, axis.to_numpy().astype("U") if is_text else axis, first.attrs, first.encoding)
    attributes = _common([part.attrs for part in parts])
    coords = {name: made.pop(name) for name in list(made) if any(name in part.coords for part in parts)}
    return xr.Dataset(made, coords, attributes)


def _names(parts: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(name for part in parts for name in part.variables))


def _axes(parts: Sequence[Any]) -> dict[Any, Any]:
    """The dimensions along which the parts lie, with all that stands there, in the order that the parts have."""
    found = {}
    for dim in dict.fromkeys(dim for part in parts for dim in part.dims):
        having = [part for part in parts if dim in part.dims]
        lengths = {part.sizes[dim] for part in having}
        if not all(dim in part.indexes for part in having):
            if len(lengths) > 1:
                raise ValueError(f"{dim!r} has no coordinates, and {' and '.join(map(str, sorted(lengths)))} places")
            continue
        indexes = [part.indexes[dim] for part in having]
        if not all(one.equals(indexes[0]) for one in indexes):
            found[dim] = _union(dim, indexes)
    return found


def _union(dim: Any, indexes: list[Any]) -> Any:
    if any(one.nlevels > 1 for one in indexes):
        raise ValueError(f"{dim!r} has several levels")
    if not all(one.is_unique for one in indexes):
        raise ValueError(f"{dim!r} has the same place twice in one part")
    whole = indexes[0].append(indexes[1:]).unique()
    falls = all(one.is_monotonic_decreasing for one in indexes) and any(len(one) > 1 for one in indexes)
    return whole.sort_values(ascending=not falls)


# The grid.


def _check_grids(tiles: Sequence[Tile]) -> None:
    """Raises `CodecError` where pixels have several sizes, or where parts lie between each other and leave gaps."""
    for dim in (dim for pair in DIMENSIONS for dim in pair):
        steps = [(tile.label, step) for tile in tiles if (step := _step(tile.part, dim))]
        for label, step in steps:
            if abs(step - steps[0][1]) > OFF_GRID * abs(steps[0][1]):
                raise _unfit(
                    f"{dim} goes by {steps[0][1]:.10g} in {steps[0][0]}, and by {step:.10g} in {label}",
                    "bring all to one grid",
                )
    between = [(tile.label, dim) for tile in tiles for dim, place in tile.places.items() if _is_parted(place)]
    if between and not _is_full(tiles):
        label, dim = between[0]
        raise _unfit(
            f"{dim!r} of {label} has others' places between its own, and not all places have values",
            f"bring all to one grid; or round: `value.assign_coords({dim}=value.{dim}.round(6))`",
        )


def _step(part: Any, dim: str) -> float:
    """How far one place is from the next; 0 where that is unknown, or not always the same."""
    import numpy as np

    if dim not in part.indexes or part.sizes[dim] < 2 or part.indexes[dim].dtype.kind not in "iuf":
        return 0.0
    steps = np.diff(part.indexes[dim].to_numpy().astype("float64"))
    mean = float(steps.mean())
    return mean if np.abs(steps - mean).max() <= abs(mean) * OFF_GRID else 0.0


def _is_parted(place: Any) -> bool:
    return len(place) > 1 and bool(place.max() - place.min() >= len(place))


def _is_full(tiles: Sequence[Tile]) -> bool:
    """Whether every place has values of some part."""
    import numpy as np

    sizes = {dim: 1 + max(int(tile.places[dim].max()) for tile in tiles if dim in tile.places) for dim in _dims(tiles)}
    taken = np.zeros(tuple(sizes.values()), dtype=bool)
    for tile in tiles:
        taken[np.ix_(*(tile.places.get(dim, np.arange(size)) for dim, size in sizes.items()))] = True
    return bool(taken.all())


def _dims(tiles: Sequence[Tile]) -> list[Any]:
    return list(dict.fromkeys(dim for tile in tiles for dim in tile.places))


# The values.


def _variable(name: Any, tiles: Sequence[Tile], axes: dict[Any, Any]) -> Any:
    """A variable of all parts that have it. Raises `CodecError` where two have another value for the same place."""
    import numpy as np
    import xarray as xr

    having = [(tile, tile.part[name].variable) for tile in tiles if name in tile.part.variables]
    first = having[0][1]
    if any(set(one.dims) != set(first.dims) for _, one in having):
        raise ValueError(f"{name!r} has other dimensions in another part")
    arrays = [(tile, one.transpose(*first.dims)) for tile, one in having]
    shape = tuple(len(axes[dim]) if dim in axes else first.sizes[dim] for dim in first.dims)
    values, filled = np.empty(shape, _dtype(name, [one.dtype for _, one in arrays])), np.zeros(shape, dtype=bool)
    for number, (tile, one) in enumerate(arrays):
        at = np.ix_(*(tile.places.get(dim, np.arange(one.sizes[dim])) for dim in one.dims)) if one.ndim else ()
        clash = _put(values, filled, at, one.values)
        if clash is not None:
            where = dict(zip(one.dims, (int(along.flat[n]) for along, n in zip(at, clash, strict=True)), strict=True))
            other = next(before.label for before, _ in arrays[:number] if _covers(before, where))
            raise _unfit(
                f"{other} and {tile.label} have other values of {name!r} for the same coordinates",
                "give each tile only what is its own, such as without its margin: `value.isel(x=slice(1, -1))`",
            )
    attributes = _common([one.attrs for _, one in arrays])
    return xr.Variable(first.dims, _with_gaps(values, filled), attributes, first.encoding)


def _put(values: Any, filled: Any, at: Any, given: Any) -> tuple[int, ...] | None:
    """Write a part's values where none are yet, or none that count; where one of them is another than is there."""
    import numpy as np
    import pandas as pd

    known = filled[at] & ~np.asarray(pd.isna(values[at]))
    if known.any():
        clash = known & ~np.asarray(pd.isna(given)) & np.asarray(values[at] != given)
        if clash.any():
            return tuple(int(along[0]) for along in np.nonzero(clash)) if clash.ndim else ()
        given = np.where(known, values[at], given)
    values[at] = given
    filled[at] = True
    return None


def _covers(tile: Tile, where: dict[Any, int]) -> bool:
    return all(dim not in tile.places or place in tile.places[dim] for dim, place in where.items())


def _dtype(name: Any, dtypes: list[Any]) -> Any:
    """What holds them all. Raises `ValueError` for numbers beside text, which numpy would make text of."""
    import numpy as np

    is_text = {one.kind in "USTO" for one in dtypes}
    if len(is_text) > 1 or any(not isinstance(one, np.dtype) for one in dtypes):
        raise ValueError(f"{name!r} is of {' and of '.join(sorted({str(one) for one in dtypes}))}")
    return np.result_type(*dtypes)


def _with_gaps(values: Any, filled: Any) -> Any:
    """The values with what stands for none where no part has any."""
    import numpy as np

    if filled.all():
        return values
    kind = values.dtype.kind
    if kind in "iu":
        values = values.astype("float32" if values.dtype.itemsize <= 2 else "float64")
    elif kind not in "fcmM":
        values = values.astype(object)
    values[~filled] = np.array("NaT", values.dtype) if kind in "mM" else np.nan
    return values


def _common(attributes: Sequence[dict[Any, Any]]) -> dict[Any, Any]:
    """The attributes that are nowhere else than they are here."""
    import numpy as np

    found: dict[Any, Any] = {}
    for name in dict.fromkeys(name for one in attributes for name in one):
        values = [one[name] for one in attributes if name in one]
        if all(np.array_equal(one, values[0]) for one in values):
            found[name] = values[0]
    return found


def _unfit(what: str, step: str) -> CodecError:
    return CodecError(f"These datasets do not fit into one: {what}.", next_step=f"have the UDF {step}.")
