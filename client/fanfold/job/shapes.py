"""Shapes as a map: a drawing that keeps their proportions, holds every one of them, and says where it lies."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from fanfold.contract.records import NamedTuple

if TYPE_CHECKING:
    import pandas as pd

#: The drawing's own units across; lines keep their width on the screen however it is scaled.
_ACROSS = 1000.0
#: Corners that a browser draws at ease; beyond them those go that nobody could tell from their neighbours.
_CORNERS = 40_000
#: How near two corners, or two points, are that look like one; doubled until the drawing is light enough.
_NEAR = 0.5

Corners = list[tuple[float, float]]


class Shapes(NamedTuple):
    """What a geometry column holds, taken apart: areas as rings (the first is the outer one), lines and points."""

    areas: list[list[Corners]]
    lines: list[Corners]
    points: Corners
    count: int  # type: ignore[assignment]


class Drawing(NamedTuple):
    """A map, ready to be drawn: the box of the drawing, its paths (class, path), and what to say below it."""

    box: tuple[float, float, float, float]
    paths: tuple[tuple[str, str], ...]
    words: str


def is_shape(value: Any) -> bool:
    """Whether it is a geometry of shapely."""
    return hasattr(value, "geom_type") and hasattr(value, "wkb")


def located(frame: Any) -> Any:
    """The frame as a GeoDataFrame where a column of it is of shapes; else as it is.

    It is its own geometry, else the column `geometry` or `result`, else the first: a UDF that returns a shape, or a
    dict with one, has made no GeoDataFrame. What CRS it is of nobody knows.
    """
    if getattr(frame, "_geometry_column_name", None) in frame.columns:
        return frame
    names = [name for name, kind in frame.dtypes.items() if kind.name in ("object", "geometry")]
    names.sort(key=lambda name: name not in ("geometry", "result"))  # the others stay in their order
    for name in names:
        cells = list(frame[name])
        some = next((cell for cell in cells if not _is_missing(cell)), None)
        if is_shape(some) and all(is_shape(cell) or _is_missing(cell) for cell in cells):
            import geopandas

            return geopandas.GeoDataFrame(
                frame.assign(**{name: geopandas.GeoSeries(cells, frame.index)}), geometry=name
            )
    return frame


def is_geographic(frame: pd.DataFrame) -> bool:
    """Whether it has a geometry of its own, as a GeoDataFrame has."""
    return hasattr(frame, "to_file") and getattr(frame, "_geometry_column_name", None) in frame.columns


def shapes_as(frame: pd.DataFrame, form: str) -> pd.DataFrame:
    """The frame with each shape outside its own geometry column as text ("wkt") or bytes ("wkb").

    No format takes shapes in columns of objects, as those of arguments are; GeoParquet alone takes a second geometry.
    """
    import pandas as pd

    whole = frame.copy(deep=False)
    own = frame._geometry_column_name if is_geographic(frame) else None
    for place, (name, kind) in enumerate(zip(frame.columns, frame.dtypes, strict=True)):
        if name == own or (kind.name == "geometry" and form == "wkb") or kind.name not in ("object", "geometry"):
            continue
        values = list(frame.iloc[:, place])
        if any(map(_has_shape, values)):
            cells = [_shape_as(value, form) for value in values]
            whole.isetitem(place, pd.Series(cells, dtype=object).to_numpy())
    return whole


def _has_shape(value: Any) -> bool:
    return is_shape(value) or (isinstance(value, (list, tuple)) and any(map(is_shape, value[:20])))


def _shape_as(value: Any, form: str) -> Any:
    if isinstance(value, (list, tuple)):
        return [_shape_as(one, form) for one in value]
    return getattr(value, form) if is_shape(value) else value


def _is_missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def shapes_of(geometries: Iterable[Any]) -> Shapes:
    """Every shape of a column; what is missing or empty is left out."""
    found = Shapes([], [], [], 0)
    count = 0
    for geometry in geometries:
        if geometry is not None and not geometry.is_empty:
            count += 1
            _take(geometry, found)
    return found._replace(count=count)


def _take(shape: Any, found: Shapes) -> None:
    if hasattr(shape, "geoms"):
        for part in shape.geoms:
            _take(part, found)
    elif hasattr(shape, "exterior"):
        found.areas.append([_corners(shape.exterior), *map(_corners, shape.interiors)])
    elif len(corners := _corners(shape)) == 1:
        found.points.extend(corners)
    elif corners:
        found.lines.append(corners)


def _corners(line: Any) -> Corners:
    return [(float(x), float(y)) for x, y, *_ in line.coords]


def drawing_of(shapes: Shapes, *, geographic: bool) -> Drawing | None:
    """The map of all shapes; None where there is none. Degrees are drawn as wide as they are in the middle of it."""
    every = [*(corner for area in shapes.areas for ring in area for corner in ring), *shapes.points]
    every += [corner for line in shapes.lines for corner in line]
    finite = [(x, y) for x, y in every if math.isfinite(x) and math.isfinite(y)]
    if not finite:
        return None
    xs, ys = zip(*finite, strict=True)
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys), max(ys)
    narrow = max(0.05, math.cos(math.radians((low_y + high_y) / 2))) if geographic else 1.0
    width, height = (high_x - low_x) * narrow, high_y - low_y
    scale = _ACROSS / (max(width, height) or 1.0)

    def placed(corners: Corners) -> Corners:
        kept = [(x, y) for x, y in corners if math.isfinite(x) and math.isfinite(y)]
        return [((x - low_x) * narrow * scale, (high_y - y) * scale) for x, y in kept]

    areas = [[placed(ring) for ring in area] for area in shapes.areas]
    lines, points = list(map(placed, shapes.lines)), placed(shapes.points)
    thinned, near = _thinned(areas, lines, points)
    margin = _ACROSS / 50
    box = (-margin, -margin, width * scale + 2 * margin, height * scale + 2 * margin)
    unit = "°" if geographic else ""
    extent = f"x {low_x:.6g}{unit} to {high_x:.6g}{unit}, y {low_y:.6g}{unit} to {high_y:.6g}{unit}"
    noun = "shape" if shapes.count == 1 else "shapes"
    less = " (drawn without the corners and points that lie closer together than the screen shows)" if near else ""
    return Drawing(box, thinned, f"{shapes.count:,} {noun}{less}; {extent}")


def _thinned(
    areas: list[list[Corners]], lines: list[Corners], points: Corners
) -> tuple[tuple[tuple[str, str], ...], float]:
    """The paths of all shapes, and how near corners were that were left out (0: none). No shape is left out."""
    near = 0.0
    while True:
        rings = [[_apart(ring, near) for ring in area] for area in areas]
        strokes, dots = [_apart(line, near) for line in lines], _distinct(points, near)
        corners = sum(len(ring) for area in rings for ring in area) + sum(map(len, strokes)) + len(dots)
        least = 3 * sum(map(len, areas)) + 2 * len(lines)
        if corners <= max(_CORNERS, 2 * least) or near >= 16:
            break
        near = max(_NEAR, near * 2)
    paths = (
        ("ff-area", "".join(_path(ring, closed=True) for area in rings for ring in area)),
        ("ff-line", "".join(map(_path, strokes))),
        ("ff-dot", "".join(_path([dot, dot]) for dot in dots)),
    )
    return tuple((kind, path) for kind, path in paths if path), near


def _apart(corners: Corners, near: float) -> Corners:
    """The corners that are not too near the one before; the first and the last always stay."""
    if not near or len(corners) <= 4:
        return corners
    kept = [corners[0]]
    for x, y in corners[1:-1]:
        if abs(x - kept[-1][0]) + abs(y - kept[-1][1]) >= near:
            kept.append((x, y))
    return [*kept, corners[-1]]


def _distinct(points: Corners, near: float) -> Corners:
    if not near:
        return points
    return list({(round(x / near), round(y / near)): (x, y) for x, y in points}.values())


def _path(corners: Corners, *, closed: bool = False) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in corners) + ("Z" if closed else "")
