"""`job.map()`: rasters and shapes where they lie, as a drawing for a notebook or a file."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from rasterio import Affine

import fanfold
from fanfold.errors import CodecError, InputError

#: rasterio's own use of affine.
pytestmark = pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")


def quarter(row: int, col: int):
    if row and col:
        return None
    values = np.full((30, 40), 10 * row + col, "uint8")
    return np.ma.masked_array(values, np.eye(30, 40, dtype=bool)), Affine(10, 0, 400 * col, 0, -10, -300 * row), 32633


def square(side: int):
    import geopandas
    import shapely

    return geopandas.GeoDataFrame({"side": [side]}, geometry=[shapely.box(0, 0, side, side)], crs=4326)


def test_rasters_lie_beside_one_another_and_what_is_masked_shows_through(tmp_path):
    from PIL import Image

    quarters = [{"row": row, "col": col} for row in (0, 1) for col in (0, 1)]
    drawn = fanfold.submit(quarter, quarters, collect=False).map()
    assert re.findall(r'<image x="([\d.]+)" y="([\d.]+)"', str(drawn)) == [
        ("0.00", "0.00"),
        ("450.00", "0.00"),
        ("0.00", "337.50"),
    ]
    pictures = [base64.b64decode(text) for text in re.findall(r'base64,([^"]+)"', drawn._repr_html_())]
    pixels = [np.asarray(Image.open(io.BytesIO(picture))) for picture in pictures]
    assert [(one.shape, one[0, 0, 3], one[0, 1, 3]) for one in pixels] == [((30, 40, 4), 0, 255)] * 3
    assert [int(one[0, 1, 0]) for one in pixels] == [0, 25, 255]  # one range of brightness for all
    assert "3 rasters, 0 (black) to 10 (white); x 0 to 800, y -600 to 0 (EPSG:32633)" in str(drawn)
    assert drawn.save(tmp_path / "map.html").read_text().startswith("<!doctype html>")
    with pytest.raises(InputError, match="cannot be written"):
        drawn.save(tmp_path / "nowhere" / "map.html")


def test_shapes_are_drawn_and_results_that_lie_nowhere_are_refused():
    drawn = fanfold.submit(square, [1, 2], collect=False).map()
    assert "2 shapes; x 0° to 2°" in str(drawn)
    assert str(drawn).count("<path") == 1
    with pytest.raises(CodecError, match="run 0 is none that says where it lies"):
        fanfold.submit(abs, [1], collect=False).map()
