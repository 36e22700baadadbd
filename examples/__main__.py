"""All the programs, one after the other, each with its picture: what the docs' gallery shows.

python -m examples [folder for the pictures]
"""

from __future__ import annotations

import sys
import tempfile
from importlib import import_module
from pathlib import Path

#: In the order of the gallery.
NAMES = (
    "mosaic",
    "zonal_statistics",
    "points_in_polygons",
    "climatology",
    "hexagons",
    "simulations",
    "sweep",
    "two_stages",
    "embeddings",
    "scraping",
    "backtest",
    "nightly",
)


def draw_all(folder: Path) -> None:
    """Run each program at its own size, and draw what it gives."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in NAMES:
        example = import_module(f"examples.{name}")
        with tempfile.TemporaryDirectory() as where:
            example.draw(example.main(where), where, str(folder / f"example-{name.replace('_', '-')}.png"))


if __name__ == "__main__":
    draw_all(Path(sys.argv[1] if sys.argv[1:] else "docs/images"))
