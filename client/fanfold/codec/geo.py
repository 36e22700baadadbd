"""GeoDataFrames and GeoSeries as GeoParquet, and shapely's geometries as WKB."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import shapely

from fanfold.codec.encoded import Encoded
from fanfold.codec.frames import frame_bytes, give_back, read_sheet, say_of, series_bytes
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
        say_of(series, facts)
        return series.values if facts["geo"] == "array" else series
    frame = geopandas.GeoDataFrame(value)
    if facts["geo"] is not None:
        frame = frame.set_geometry(facts["geo"])
    say_of(frame, facts)
    return frame


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
    payload = [tagger.tree(shapely.to_wkb(value, include_srid=True)), value.geom_type == "LinearRing"]
    if _lose_points(np.array([value], dtype=object)).size:
        payload += tagger.tree(_exact(value, "it"))
    return {"$wkb": payload}


def _read_wkb(payload: Any) -> Any:
    data, is_ring, *exact = payload
    geometry = shapely.from_wkb(data)
    if exact:
        return shapely.set_srid(_from_exact(*exact), shapely.get_srid(geometry))
    return shapely.LinearRing(geometry) if is_ring else geometry


UNTAG: dict[str, Callable[[Any], Any]] = {"$wkb": _read_wkb}

# WKB knows a point whose coordinates are NaN, which is what GeoPandas makes of missing ones, as an empty point.

_WITH_POINTS = (shapely.GeometryType.POINT, shapely.GeometryType.MULTIPOINT, shapely.GeometryType.GEOMETRYCOLLECTION)


def _lose_points(geometries: Any) -> Any:
    """Which geometries WKB would give back with an empty point in the place of one that has NaN."""
    kinds = shapely.get_type_id(geometries)
    points = np.flatnonzero((kinds == shapely.GeometryType.POINT) & ~shapely.is_empty(geometries))
    points = points[np.isnan(shapely.get_x(geometries[points]))]
    points = points[np.isnan(shapely.get_y(geometries[points]))]
    several = np.flatnonzero(np.isin(kinds, _WITH_POINTS[1:]))
    if several.size:
        coordinates, of = shapely.get_coordinates(geometries[several], return_index=True)
        several = several[np.unique(of[np.isnan(coordinates).all(axis=1)])]
    return np.sort(np.concatenate([points, several]))


def _exact(geometry: Any, where: str) -> list[Any]:
    """A geometry as WKB without its coordinates, these, and how many there are to a vertex."""
    coordinates = shapely.get_coordinates(geometry, include_z=geometry.has_z)
    bare = shapely.to_wkb(_with_coordinates(geometry, np.zeros_like(coordinates)))
    parts = [bare, coordinates.astype("<f8").tobytes(), coordinates.shape[1]]
    if shapely.to_wkt(_from_exact(*parts), -1) != shapely.to_wkt(geometry, -1):
        raise CodecError(
            f"{where} holds {geometry.wkt[:80]}, whose NaN nothing takes along.",
            next_step="take its measure (M) out: `shapely.force_3d(geometry)`, or drop it.",
        )
    return parts


def _from_exact(bare: bytes, coordinates: bytes, dimensions: int) -> Any:
    values = np.frombuffer(coordinates, "<f8").reshape(-1, dimensions)
    return _with_coordinates(shapely.from_wkb(bare), values)


def _with_coordinates(geometry: Any, coordinates: Any) -> Any:
    return shapely.set_coordinates(np.array([geometry], dtype=object), coordinates)[0]


# A column of geometries as well-known binary, and back.


def geometry_to_arrow(array: Any, where: str) -> tuple[Any, ...]:
    """A geometry column as WKB, what its CRS was made from, and what WKB does not say, where there is any such."""
    geometries = np.asarray(array, dtype=object)
    crs = None if array.crs is None else array.crs.srs  # what pyproj itself pickles a CRS by
    column = pa.array(shapely.to_wkb(geometries, flavor="iso"), pa.large_binary())
    beside = _beside_wkb(geometries, where)
    return (column, crs, beside) if beside else (column, crs)


def _beside_wkb(geometries: Any, where: str) -> dict[str, Any]:
    """Rows that are rings and not lines, the points that have NaN, and SRIDs: of all rows, or of each."""
    found: dict[str, Any] = {}
    rings = np.flatnonzero(shapely.get_type_id(geometries) == shapely.GeometryType.LINEARRING)
    if rings.size:
        found["rings"] = rings.tolist()
    lost = _lose_points(geometries)
    alike: dict[str, list[int]] = {}  # most are the same: a point of nothing but NaN
    for row, text in zip(lost.tolist(), shapely.to_wkt(geometries[lost], -1).tolist(), strict=True):
        alike.setdefault(text, []).append(row)
    if alike:
        found["exact"] = [[*_exact(geometries[rows[0]], where), rows] for rows in alike.values()]
    srids = shapely.get_srid(geometries)
    if (srids > 0).any():
        same = len(set(srids[srids >= 0].tolist())) == 1
        found["srid"] = int(srids.max()) if same else np.maximum(srids, 0).tolist()
    return found


def geometry_from_arrow(column: pa.ChunkedArray, crs: Any, beside: dict[str, Any] | None = None) -> Any:
    """The geometry array that `geometry_to_arrow` was given."""
    from geopandas.array import from_shapely, from_wkb

    if beside is None:
        return from_wkb(column.to_numpy(), crs=crs)
    geometries = shapely.from_wkb(column.to_numpy())
    for row in beside.get("rings", ()):
        geometries[row] = shapely.LinearRing(geometries[row])
    for *parts, rows in beside.get("exact", ()):
        geometries[rows] = _from_exact(*parts)
    if "srid" in beside:
        geometries = shapely.set_srid(geometries, beside["srid"])
    return from_shapely(geometries, crs=crs)
