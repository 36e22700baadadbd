"""Outlines of shapes as a map: a drawing that keeps their proportions, and says where it lies."""

from __future__ import annotations

import math

from fanfold.workbench.preview import Outline
from fanfold.workbench.shell import element, text

#: The drawing's own units across; lines keep their width on the screen however it is scaled.
_ACROSS = 1000.0


def show_map(outlines: tuple[Outline, ...], *, geographic: bool) -> None:
    """Add the map to the page. Degrees are drawn as wide as they are in the middle of it."""
    xs, ys = zip(*(point for outline in outlines for point in outline), strict=True)
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys), max(ys)
    narrow = max(0.05, math.cos(math.radians((low_y + high_y) / 2))) if geographic else 1.0
    width, height = (high_x - low_x) * narrow, high_y - low_y
    scale = _ACROSS / (max(width, height) or 1.0)

    def placed(x: float, y: float) -> str:
        return f"{(x - low_x) * narrow * scale:.1f} {(high_y - y) * scale:.1f}"

    margin = _ACROSS / 50
    box = (-margin, -margin, width * scale + 2 * margin, height * scale + 2 * margin)
    drawing = element("svg", "ff-map").props('role=img aria-label="Map of the result"')
    drawing._props["viewBox"] = " ".join(f"{value:.1f}" for value in box)
    with drawing:
        for kind, shapes in (("ff-line", lines(outlines)), ("ff-dot", points(outlines))):
            if shapes:
                drawn = "".join("M" + "L".join(placed(x, y) for x, y in shape) for shape in shapes)
                element("path", kind)._props.update({"d": drawn, "vector-effect": "non-scaling-stroke"})
    unit = "°" if geographic else ""
    told = f"x {low_x:.6g}{unit} to {high_x:.6g}{unit}, y {low_y:.6g}{unit} to {high_y:.6g}{unit}"
    text(f"{len(outlines):,} outlines; {told}", "ff-muted ff-small")


def lines(outlines: tuple[Outline, ...]) -> list[Outline]:
    """Outlines that are more than a point."""
    return [outline for outline in outlines if len(outline) > 1]


def points(outlines: tuple[Outline, ...]) -> list[Outline]:
    """Points, each as a line to itself, which is drawn as a dot."""
    return [outline * 2 for outline in outlines if len(outline) == 1]
