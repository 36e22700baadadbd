"""Results of every kind, as the page shows them: a table with a chart, an image, a map, and what cannot be shown."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.workbench.browser import at_rest
from tests.workbench.conftest import rewrite, tab

SHAPES = """\
import fanfold


@fanfold.udf
def districts(rows: int = 4, columns: int = 5):
    import geopandas
    import shapely

    cells = [shapely.box(x, y, x + 0.9, y + 0.9) for x in range(columns) for y in range(rows)]
    return geopandas.GeoDataFrame({"number": range(len(cells))}, geometry=cells, crs="EPSG:3857")
"""
IMAGE = """\
import fanfold


@fanfold.udf
def gradient(width: int = 480, height: int = 200):
    import numpy as np
    from PIL import Image

    across = np.linspace(40, 220, width, dtype=np.uint8)
    down = np.linspace(20, 160, height, dtype=np.uint8)[:, None]
    red, green = np.broadcast_arrays(across, down)
    return Image.fromarray(np.dstack([red, green, np.full_like(red, 140)]))
"""
SERIES = """\
import fanfold


@fanfold.udf
def waves(n: int = 200):
    import numpy as np
    import pandas as pd

    x = np.linspace(0, 12, n)
    return pd.DataFrame({"sine": np.sin(x), "decay": np.exp(-x / 4), "missing": pd.array([None] * n, dtype="Int64")})
"""
FIGURE = """\
import fanfold


@fanfold.udf
def bars(n: int = 3):
    import numpy as np
    from plotly import graph_objects

    elsewhere = graph_objects.layout.Image(source="https://pictures.invalid/logo.png", sizex=1, sizey=1)
    figure = graph_objects.Figure(graph_objects.Bar(y=np.arange(1, n + 1)), {"title": {"text": "Delays"}})
    return figure.add_trace(graph_objects.Treemap(labels=["all", "a"], parents=["", "all"])).add_layout_image(elsewhere)
"""

SHAPE = """\
import fanfold


@fanfold.udf
def field():
    import shapely

    return shapely.box(0, 0, 4, 2)
"""
HALVES = """\
import fanfold


@fanfold.udf
def name():
    print("half \\udc80 of a name")
    return {"name": "\\udc80.csv"}
"""


@pytest.fixture
def ran(bench):
    """Runs a text in the Workbench, and gives its page and the place of the result."""

    def run(text, **options):
        page = bench(**options)
        rewrite(page, text)
        page.keyboard.press("Shift+Enter")
        result = page.get_by_label("Result", exact=True)
        expect(page.get_by_text("Completed").first).to_be_visible()
        return page, result

    return run


def test_a_frame_is_a_table_and_its_numbers_a_chart_and_so_on_the_page_of_its_job(ran, visit, picture):
    page, result = ran(SERIES)
    expect(result).to_contain_text("200 rows × 3 columns, the first 50 rows shown")
    expect(result.get_by_role("img", name="Chart of the result").locator("canvas")).to_be_visible()
    result.scroll_into_view_if_needed()
    picture(page, "workbench-chart")
    job = visit(page.get_by_role("link", name="job 2").get_attribute("href"))
    tab(job, "Runs")
    expect(job.locator('.ag-row[row-id="0"] [col-id="result"]')).to_have_text(
        "200 rows × 3 columns, the first 50 rows shown"
    )
    job.locator('.ag-row[row-id="0"]').click()
    chosen = job.get_by_label("The chosen run")
    expect(chosen.get_by_role("img", name="Chart of the result").locator("canvas")).to_be_visible()


def test_an_image_is_an_image(ran, picture):
    page, result = ran(IMAGE)
    image = result.get_by_role("img", name="image, 480 × 200 pixels, RGB")
    expect(image).to_be_visible()
    expect(image).to_have_js_property("naturalWidth", 480)
    picture(page, "workbench-image")


def test_a_figure_of_plotly_is_drawn_by_the_page_itself_which_asks_no_other_host(ran, visit, workbench):
    page, result = ran(FIGURE)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    expect(result).to_contain_text("a picture from another host is left out")
    expect(result.get_by_role("img", name="Figure").locator(".bars .point")).to_have_count(3)
    expect(result.locator(".treemaplayer .slice").first).to_be_visible()
    job = visit(page.get_by_role("link", name="job 2").get_attribute("href"))
    job.on("request", lambda request: asked.append(request.url))
    tab(job, "Results")
    expect(job.locator('.ff-gallery .ff-small-figure[data-drawn="1"] .bars .point')).to_have_count(3)
    assert asked
    assert all(url.startswith((workbench.root, "data:", "blob:")) for url in asked)


def test_shapes_are_a_map_that_keeps_their_proportions(ran, picture):
    page, result = ran(SHAPES)
    expect(result).to_contain_text("20 rows × 2 columns")
    drawing = result.get_by_role("img", name="Map of the result")
    expect(drawing).to_be_visible()
    expect(result).to_contain_text("20 shapes; x 0 to 4.9, y 0 to 3.9")
    at_rest(page)
    width, height = drawing.locator("path").evaluate("e => { const b = e.getBBox(); return [b.width, b.height]; }")
    assert width / height == pytest.approx(4.9 / 3.9, rel=0.01)
    result.locator(".ff-map").scroll_into_view_if_needed()
    picture(page, "workbench-map")


def test_a_shape_by_itself_is_a_map_beside_its_text(ran):
    _, result = ran(SHAPE)
    expect(result.get_by_role("img", name="Map of the result")).to_be_visible()
    expect(result).to_contain_text("1 shape; x 0 to 4, y 0 to 2")
    expect(result.locator("pre")).to_contain_text("POLYGON ((4 0")


def test_text_that_is_no_unicode_is_shown_written_out_wherever_it_stands(ran, visit):
    """As the names of files have it: one of them would keep all else from the page, which would stand still."""
    page, result = ran(HALVES)
    expect(result).to_contain_text(r"\udc80.csv")
    expect(page.get_by_label("Output")).to_have_text(r"half \udc80 of a name")
    job = visit(page.get_by_role("link", name="job 2").get_attribute("href") + "?tab=Runs")
    expect(job.locator('.ag-row[row-id="0"] [col-id="result"]')).to_contain_text(".csv")
