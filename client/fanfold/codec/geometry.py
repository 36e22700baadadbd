"""A column of geometries as well-known binary, and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from fanfold.errors import CodecError


def geometry_to_arrow(array: Any, where: str) -> tuple[pa.Array, Any]:
    """A geometry column as WKB, and what its CRS was made from."""
    geometries = np.asarray(array, dtype=object)
    if (shapely.get_type_id(geometries) == shapely.GeometryType.LINEARRING).any():
        raise CodecError(
            f"{where} holds a LinearRing, which WKB only knows as a LineString.",
            next_step="Convert it: `shapely.LineString(ring)` or `shapely.Polygon(ring)`.",
        )
    crs = None if array.crs is None else array.crs.srs  # what pyproj itself pickles a CRS by
    return pa.array(shapely.to_wkb(geometries, flavor="iso"), pa.large_binary()), crs


def geometry_from_arrow(column: pa.ChunkedArray, crs: Any) -> Any:
    """The geometry array that `geometry_to_arrow` was given."""
    from geopandas.array import from_wkb

    return from_wkb(column.to_numpy(), crs=crs)
