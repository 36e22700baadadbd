"""A frame as a layer of shapes that GDAL writes, and features of GeoJSON as such a frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.errors import CodecError
from fanfold.job.shapes import is_geographic, located, shapes_as

if TYPE_CHECKING:
    import pandas as pd

#: The CRS of GeoJSON, https://www.rfc-editor.org/rfc/rfc7946#section-4
_GEOJSON_CRS = 4326


class WithoutShapes(TypeError):
    """What a format of geometries is to hold has none."""


def writer_of(driver: str) -> Callable[[pd.DataFrame, Path], None]:
    """A writer of a format that holds one geometry a row, besides plain columns."""

    def write(frame: pd.DataFrame, path: Path) -> None:
        frame = located(of_features(frame))
        if not is_geographic(frame):
            raise WithoutShapes("it holds geometries, and the results have none (no GeoDataFrame)")
        layer: Any = _without_rings(shapes_as(frame, "wkt"))
        _check_columns(layer, driver)
        name = re.sub(r"\W", "_", Path(path.name.split(".", 2)[2]).stem)  # as `write_frame` calls what is half written
        layer.to_file(path, driver=driver, layer=name, index=False, **_options(layer, driver))

    return write


def _check_columns(layer: Any, driver: str) -> None:
    """Raises `CodecError` where the format has no room for a column, which GDAL says by its number, if at all."""
    names = [str(name) for name in layer.columns]
    twice = [name for name in names if driver == "GPKG" and [one.lower() for one in names].count(name.lower()) > 1]
    durations = [str(name) for name, kind in layer.dtypes.items() if kind.kind == "m"]
    large = [str(name) for name, kind in layer.dtypes.items() if kind.kind == "u" and (layer[name] >= 2**63).any()]
    if twice:
        what, instead = f"{' and '.join(twice)} are one name there", "rename one"
    elif durations:
        what, instead = f"{durations[0]} holds durations", "return seconds: `.dt.total_seconds()`"
    elif large:
        what, instead = f"{large[0]} holds integers of 2**63 and more", "return text: `.astype(str)`"
    else:
        return
    raise CodecError(f"{driver} cannot hold this frame: {what}.", next_step=f"have the UDF {instead}.")


def _options(layer: Any, driver: str) -> dict[str, str]:
    """What the driver has to be told, so that every row and every column is there as it was."""
    if driver == "FlatGeobuf":  # its index takes no row without a shape
        shapes = layer.geometry
        return {"SPATIAL_INDEX": "NO"} if (shapes.isna() | shapes.is_empty).any() else {}
    if driver == "GPKG":  # two columns of its own, whose names a frame's may have
        taken = [str(name).lower() for name in layer.columns]
        return {"FID": _free("fid", taken), "GEOMETRY_NAME": _free("geom", taken)}
    return {}


def _free(name: str, taken: list[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _without_rings(layer: Any) -> Any:
    """The layer with lines in the place of LinearRings, which no format has: GDAL ends the process at one."""
    shapes = layer.geometry
    rings = shapes.geom_type == "LinearRing"
    if not rings.any():
        return layer
    import shapely

    return layer.set_geometry(shapes.where(~rings, shapely.from_wkb(shapely.to_wkb(shapes.to_numpy()))))


# Of GeoJSON.


def of_features(frame: pd.DataFrame) -> pd.DataFrame:
    """A frame of features, collections of them or shapes of GeoJSON, as one with shapes; any other as it is.

    The properties are columns, those whose name another has already as `properties_` and the name.
    """
    if is_geographic(frame) or "type" not in frame.columns:
        return frame
    if "features" in frame.columns and _all_are(frame["type"], "FeatureCollection"):
        rows = frame.explode("features").dropna(subset=["features"])
        return _of_rows(rows.drop(columns=["type", "features"]), list(rows["features"]))
    if "geometry" in frame.columns and _all_are(frame["type"], "Feature"):
        rest = frame.drop(columns=[name for name in ("type", "geometry", "properties") if name in frame.columns])
        parts = [frame[name] if name in frame.columns else [None] * len(frame) for name in ("geometry", "properties")]
        return _of_rows(rest, [{"geometry": one, "properties": two} for one, two in zip(*parts, strict=True)])
    if {"coordinates", "geometries"} & set(frame.columns) and frame["type"].map(
        lambda cell: isinstance(cell, str)
    ).all():
        names = [name for name in ("type", "coordinates", "geometries") if name in frame.columns]
        shapes = [dict(zip(names, cells, strict=True)) for cells in zip(*(frame[name] for name in names), strict=True)]
        return _of_rows(frame.drop(columns=names), [{"geometry": shape} for shape in shapes])
    return frame


def _all_are(cells: Iterable[Any], kind: str) -> bool:
    return all(isinstance(cell, str) and cell == kind for cell in cells)


def _of_rows(rest: pd.DataFrame, features: list[Any]) -> pd.DataFrame:
    """The features as a GeoDataFrame, beside what their rows have else."""
    import geopandas
    import pandas as pd
    from shapely.geometry import shape

    given = [feature.get("properties") for feature in features]
    properties = [one if isinstance(one, dict) else {} for one in given]
    names = dict.fromkeys(name for one in properties for name in one)
    shapes = [feature.get("geometry") for feature in features]
    made: list[Any] = [shape(one) if isinstance(one, dict) else None for one in shapes]
    whole = rest.assign(geometry=geopandas.GeoSeries(made, rest.index))
    for name in names:
        column = f"properties_{name}" if name in whole.columns else name
        whole[column] = pd.Series([one.get(name) for one in properties], whole.index).infer_objects()
    layer: pd.DataFrame = geopandas.GeoDataFrame(whole, geometry="geometry", crs=_GEOJSON_CRS)
    return layer
