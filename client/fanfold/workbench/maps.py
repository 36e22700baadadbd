"""A map of shapes on the page."""

from __future__ import annotations

from fanfold.job.shapes import Drawing
from fanfold.workbench.layout import element, text


def show_map(drawing: Drawing) -> None:
    """Add the map to the page."""
    picture = element("svg", "ff-map").props('role=img aria-label="Map of the result"')
    picture._props["viewBox"] = " ".join(f"{value:.1f}" for value in drawing.box)
    with picture:
        for kind, path in drawing.paths:
            more = {"fill-rule": "evenodd"} if kind == "ff-area" else {}
            element("path", kind)._props.update({"d": path, "vector-effect": "non-scaling-stroke", **more})
    text(drawing.words, "ff-muted ff-small")
