"""GeoDataFrames and GeoSeries as GeoParquet, and shapely's geometries as WKB."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import shapely

from fanfold.codec.encoded import Encoded
from fanfold.codec.frames import frame_bytes, give_back, read_sheet, series_bytes
from fanfold.errors import CodecError

if TYPE_CHECKING:
    from fanfold.codec.values import Tagger

CODEC = "geoparquet/1"


def pack(value: Any) -> Encoded | None:
    """The encoding of a GeoDataFrame or a GeoSeries; None for a geometry."""
    kind = f"{type(value).__module__.partition('.')[0]}.{type(value).__qualname__}"
    if kind == "geopandas.GeometryArray":
        import geopandas

        return Encoded(CODEC, series_bytes(geopandas.GeoSeries(value), {}, geo="array"))
    if kind not in ("geopandas.GeoDataFrame", "geopandas.GeoSeries"):
        return None
    if kind == "geopandas.GeoSeries":
        return Encoded(CODEC, series_bytes(value, {}, geo=None))
    data = frame_bytes(value, {b"geo": _geo_metadata(value)}, geo=value.active_geometry_name)
    give_back(data)
    return Encoded(CODEC, data)


def unpack(_: str, data: bytes) -> Any:
    """The frame or series that `pack` encoded."""
    import geopandas

    value, facts = read_sheet(data)
    give_back(data)
    if facts["kind"] == "series":
        series = geopandas.GeoSeries(value)
        return series.values if facts["geo"] == "array" else series
    frame = geopandas.GeoDataFrame(value)
    frame.attrs = value.attrs
    return frame if facts["geo"] is None else frame.set_geometry(facts["geo"])


def _geo_metadata(frame: Any) -> bytes:
    """What the GeoParquet specification asks for, so that other software can read the file."""
    columns: dict[str, Any] = {
        str(name): {
            "encoding": "WKB",
            "geometry_types": [],
            "crs": None if column.crs is None else column.crs.to_json_dict(),
        }
        for name, column in frame.items()
        if type(column.dtype).__name__ == "GeometryDtype"
    }
    primary = frame.active_geometry_name
    return json.dumps({"version": "1.0.0", "primary_column": str(primary), "columns": columns}).encode()


def tag(value: Any, tagger: Tagger) -> Any:
    """The tag of one geometry, or None where `value` is something else."""
    if not isinstance(value, shapely.Geometry):
        return None
    data = shapely.to_wkb(value, include_srid=True)
    return {"$wkb": [tagger.tree(data), value.geom_type == "LinearRing"]}


def _read_wkb(payload: Any) -> Any:
    data, is_ring = payload
    geometry = shapely.from_wkb(data)
    return shapely.LinearRing(geometry) if is_ring else geometry


UNTAG: dict[str, Callable[[Any], Any]] = {"$wkb": _read_wkb}

# A column of geometries as well-known binary, and back.


def geometry_to_arrow(array: Any, where: str) -> tuple[pa.Array, Any]:
    """A geometry column as WKB, and what its CRS was made from."""
    geometries = np.asarray(array, dtype=object)
    if (shapely.get_type_id(geometries) == shapely.GeometryType.LINEARRING).any():
        raise CodecError(
            f"{where} holds a LinearRing, which WKB only knows as a LineString.",
            next_step="convert it: `shapely.LineString(ring)` or `shapely.Polygon(ring)`.",
        )
    crs = None if array.crs is None else array.crs.srs  # what pyproj itself pickles a CRS by
    return pa.array(shapely.to_wkb(geometries, flavor="iso"), pa.large_binary()), crs


def geometry_from_arrow(column: pa.ChunkedArray, crs: Any) -> Any:
    """The geometry array that `geometry_to_arrow` was given."""
    from geopandas.array import from_wkb

    return from_wkb(column.to_numpy(), crs=crs)
