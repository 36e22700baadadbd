"""The value that stands for no data in a raster, and in the one file of many."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from fanfold.core import EXACT_IN_FLOATS
from fanfold.errors import CodecError

if TYPE_CHECKING:
    import numpy as np


def has_data(values: Any, nodata: Any) -> Any:
    """Where the pixels are not the value for no data; None where there is none."""
    import numpy as np

    if nodata is None:
        return None
    return ~np.isnan(values) if math.isnan(nodata) else values != nodata


def rounds(values: Any, dtype: np.dtype[Any]) -> bool:
    """Whether some of these integers are none of the numbers that the type has, which is of floats."""
    large = values.dtype.kind in "iu" and values.dtype.itemsize == 8 and dtype.kind == "f"
    return large and bool(((values > EXACT_IN_FLOATS) | (values < -EXACT_IN_FLOATS)).any())


def common_nodata(given: list[Any], dtype: np.dtype[Any]) -> Any:
    """What stands for no data in all of a file: the first that its pixels can be, or NaN where there are several."""
    values = [one for one in given if _can_be(one, dtype)]
    several = any(not _is_same(one, values[0]) for one in values)
    return math.nan if several and dtype.kind == "f" else next(iter(values), None)


def one_nodata(layers: list[Any], fills: list[Any]) -> list[Any]:
    """Bands of one raster with the first one's value for no data, where others have another: a file has one for all.

    Raises `CodecError` where a pixel with data would become no data.
    """
    import numpy as np

    common, made = fills[0], []
    for layer, fill in zip(layers, fills, strict=True):
        if not _is_same(fill, common):
            there = has_data(layer, fill)
            target = math.nan if common is None and layer.dtype.kind == "f" else common
            if target is None or (not math.isnan(target) and (layer[... if there is None else there] == target).any()):
                raise CodecError(
                    f"its bands have different values for no data ({common} and {fill}), and a file has one.",
                    next_step="have the UDF write one value for no data into all of them.",
                )
            layer = layer if there is None else np.where(there, layer, np.asarray(target).astype(layer.dtype))  # noqa: PLW2901
        made.append(layer)
    return made


def _can_be(value: Any, dtype: np.dtype[Any]) -> bool:
    import numpy as np

    if dtype.kind not in "iu":
        return True
    return bool(np.iinfo(dtype).min <= value <= np.iinfo(dtype).max and value == int(value))


def _is_same(one: Any, other: Any) -> bool:
    return bool(one == other) or (one is not None and other is not None and math.isnan(one) and math.isnan(other))


def check_nodata(run: int, values: Any, there: Any, *, own: Any, common: Any) -> None:
    """Raises `CodecError` where a pixel with data would have the file's value for no data, and the run has another."""
    if not _may_clash(own, common):
        return
    lost = values == common
    if (lost if there is None else lost & there).any():
        raise _clash(run, f"has pixels of {common:g}, which stands for no data in another run; in this one", own)


def check_same_nodata(run: int, *, own: Any, common: Any) -> None:
    """Raises `CodecError` where a pixel with data might have it, which is not looked at."""
    if _may_clash(own, common):
        raise _clash(run, f"is to be beside runs in which {common:g} stands for no data; in this one", own)


def _may_clash(own: Any, common: Any) -> bool:
    return common is not None and not math.isnan(common) and not _is_same(common, own)


def _clash(run: int, what: str, own: Any) -> CodecError:
    return CodecError(
        f"These rasters do not fit into one file: run {run} {what} {'nothing' if own is None else f'{own:g}'} does.",
        next_step="have each run say the same `nodata`: in its file, in a dict beside the array, or by"
        " `numpy.ma.set_fill_value(array, value)`.",
    )
