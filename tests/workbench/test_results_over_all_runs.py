"""The results of all runs: one table that the server sorts and filters, and one map of all shapes."""

from __future__ import annotations

import io
import json
import re
from hashlib import sha256

import pytest
from PIL import Image
from playwright.sync_api import expect

from fanfold.codec import encode
from fanfold.core.models import Output
from fanfold.errors import InputError
from fanfold.workbench.job.collected import Collected
from tests.workbench.conftest import in_the_address, tab
from tests.workbench.samples import delays, ended
from tests.workbench.test_accessibility import findings


@pytest.fixture(scope="module")
def parcels(workbench):
    """A job of 40 runs, each with 100 squares: 4,000 shapes in a grid of 100 by 40, degrees apart."""
    import geopandas
    import pandas as pd
    from shapely.geometry import box

    def squares(run):
        return geopandas.GeoDataFrame(
            pd.DataFrame(
                {"parcel": range(100), "height": [run * 100.0 + n for n in range(100)], "kind": "ab"[run % 2]}
            ),
            geometry=[box(0.1 * n, 0.1 * run, 0.1 * n + 0.09, 0.1 * run + 0.09) for n in range(100)],
            crs=4326,
        )

    header = workbench.store.job(delays, range(40), cache=False)
    events = []
    for run in range(40):
        codec, data = encode(squares(run))
        output = Output(codec, sha256(data).hexdigest(), len(data), data)
        events.append(ended(header, run)._replace(output=output))
    workbench.store.log.append(events)
    return header


def test_one_table_of_all_runs_is_sorted_and_filtered_by_the_server(visit, parcels):
    page = visit(f"/job/{parcels.id}")
    tab(page, "Results")
    count = page.locator("#ff-result-count")
    expect(count).to_have_text("4,000 rows")
    page.get_by_role("columnheader", name="height").click()
    page.get_by_role("columnheader", name="height").click()
    first = page.locator(".ag-row[row-index='0'] [col-id='c3']")
    expect(first).to_have_text("3999")
    page.get_by_label("Filter").fill("height < 250 and kind = b")
    expect(count).to_have_text("100 rows of this kind")
    expect(first).to_have_text("199")
    page.get_by_label("Filter").fill("height > tall")
    expect(count).to_contain_text("height is compared with a number, not with 'tall'")


def test_filter_order_and_colour_of_the_results_and_what_was_chosen_of_the_runs_stand_in_the_address(visit, parcels):
    page = visit(f"/job/{parcels.id}?tab=Results")
    page.get_by_label("Filter").fill("height < 250 and kind = b")
    page.get_by_role("columnheader", name="height").click()
    page.get_by_role("columnheader", name="height").click()
    page.get_by_label("Colour").select_option("height")
    first, legend = page.locator(".ag-row[row-index='0'] [col-id='c3']"), page.locator("#ff-map-legend")
    expect(first).to_have_text("199")
    in_the_address(page, words="height < 250 and kind = b", order="c3:desc", colour="3")
    page.reload()
    expect(page.get_by_label("Filter")).to_have_value("height < 250 and kind = b")
    expect(page.locator("#ff-result-count")).to_have_text("100 rows of this kind")
    expect(first).to_have_text("199")
    expect(legend).to_contain_text("3,999")
    tab(page, "Runs")
    page.get_by_role("columnheader", name="Time").click()
    page.get_by_role("columnheader", name="Time").click()
    longest = page.locator(".ag-row[row-index='0'] [col-id='run']").filter(visible=True)
    expect(longest).to_have_text("6")  # the first of those that took 8 s
    longest.click()
    chosen = page.get_by_label("The chosen run").locator("a[href$='/run/6']")
    expect(chosen).to_be_visible()
    in_the_address(page, sort="took:desc", chosen="6")
    page.reload()
    expect(chosen).to_be_visible()
    expect(longest).to_have_text("6")


def test_one_map_holds_every_shape_and_tells_what_is_under_the_pointer(visit, parcels, picture):
    page = visit(f"/job/{parcels.id}?tab=Results")
    expect(page.locator("#ff-map-words")).to_have_text("4,000 shapes")
    page.get_by_label("Colour").select_option("height")
    expect(page.locator("#ff-map-legend")).to_contain_text("3,999")
    canvas = page.locator("#ff-map")
    picture(page, "job-results-map")
    at = page.evaluate(
        "([x, y]) => { const s = ff.results.state, v = s.view, h = document.getElementById('ff-map').clientHeight;"
        " return [(x - v.x) * v.scale * s.shapes.wide, h - (y - v.y) * v.scale]; }",
        [0.1 * 17 + 0.045, 0.1 * 5 + 0.045],
    )
    canvas.hover(position={"x": at[0], "y": at[1]})
    expect(page.locator("#ff-map-tip")).to_contain_text("height: 517")
    before = page.evaluate("ff.results.state.view.scale")
    page.mouse.wheel(0, -400)
    page.wait_for_function("(before) => ff.results.state.drawn.view.scale > 1.5 * before", arg=before)  # drawn anew
    expect(page.locator("#ff-map-tip")).to_contain_text("height: 517")  # what is under the pointer stays there


def test_a_job_that_runs_or_has_no_result_says_so(visit, store):
    header = store.job(delays, range(3), cache=False)
    store.starts(header, 0)
    page = visit(f"/job/{header.id}?tab=Results")
    expect(page.get_by_text("The job still runs.")).to_be_visible()
    store.ends(header, 0, 1, 2)
    expect(page.locator("#ff-result-count")).to_have_text("3 rows")


def test_holes_lines_points_and_collections_are_taken_apart_and_what_is_missing_left_out():
    import geopandas
    import numpy as np
    from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, box

    with_hole = box(0, 0, 4, 4).difference(box(1, 1, 2, 2))
    shapes = [with_hole, None, LineString([(5, 0), (6, 1), (7, 0)]), Point(9, 9)]
    shapes.append(GeometryCollection([MultiPolygon([box(0, 6, 1, 7), box(2, 6, 3, 7)]), Point(4, 6)]))
    data = Collected(geopandas.GeoDataFrame(geometry=shapes)).shapes()
    head, _, body = data.partition(b"\n")
    told = json.loads(head)
    assert (told["shapes"], told["rows"], told["width"], told["height"]) == (4, 5, 9.0, 9.0)
    numbers = 8 * told["corners"]
    owners = np.frombuffer(body, "<u4", told["paths"], numbers + 4 * told["paths"])
    kinds = np.frombuffer(body, "u1", told["paths"], numbers + 8 * told["paths"])
    assert sorted(zip(owners.tolist(), kinds.tolist(), strict=True)) == [
        (0, 2), (0, 2), (2, 1), (3, 0), (4, 0), (4, 2), (4, 2),
    ]  # fmt: skip
    assert len(data) == len(head) + 1 + numbers + 9 * told["paths"]
    assert (len(head) + 1) % 4 == 0


def test_rows_of_any_kind_of_result_are_cells():
    import pandas as pd

    frame = pd.DataFrame({"legs": [[{"a": 1}], None], "n": [float("nan"), 1.5]}, index=pd.Index([7, 9], name="x"))
    table = Collected(frame)
    assert [column.name for column in table.columns] == ["x", "legs", "n"]
    page = table.page((0, 9), sort="c0", descending=True, words="", columns=(0, 60))
    assert page == {
        "rows": [{"row": 1, "c0": 9, "c1": "None", "c2": 1.5}, {"row": 0, "c0": 7, "c1": "[{'a': 1}]", "c2": "nan"}],
        "count": 2,
    }


def test_numbers_that_a_browser_has_no_digits_for_are_cells_of_text_and_are_sorted_as_numbers():
    import pandas as pd

    big = [2**53 + 1, 10**5000, 9, -(2**70)]
    table = Collected(pd.DataFrame({"n": pd.Series(big, dtype=object), "mixed": [1, "a", None, 2.5]}))
    rows = table.page((0, 9), sort="c1", descending=False, words="", columns=(0, 60))["rows"]
    assert [row["row"] for row in rows] == [3, 2, 0, 1]
    assert [row["c1"] for row in rows[:3]] == [str(-(2**70)), 9, str(2**53 + 1)]
    assert rows[3]["c1"].startswith("a number of 16,610 bits: 0x")
    json.dumps(rows, allow_nan=False)
    assert table.page((0, 9), sort="c2", descending=False, words="", columns=(0, 60))["count"] == 4


@pytest.mark.parametrize(
    ("words", "rows"),
    [
        (f"id = {2**60 + 1}", [1]),
        (f"id > {2**60 + 1}", [2]),
        ("id > 1.5e3", [0, 1, 2]),
        (f"big >= {2**70}", [2]),
        ("big < 10", [0]),
        ("n = nan", [1]),
        ("n != null", [0, 2]),
        ("n > 1", [2]),
        ("few != 2", [0, 1]),
        ("few < 3", [0, 2]),
        ("n != 1", [1, 2]),
        ("few = none", [1]),
        ("word = 'a b'", [2]),
        ("a > b", [1]),
    ],
)
def test_a_filter_finds_the_rows_that_python_would(words, rows):
    import pandas as pd

    frame = pd.DataFrame({"id": [2**60, 2**60 + 1, 2**60 + 2], "big": pd.Series([9, 10, 2**70], dtype=object)})
    frame = frame.assign(n=[1.0, None, 2.5], few=pd.array([1, None, 2], dtype="Int64"), word=["a", "a > b", "a b"])
    page = Collected(frame).page((0, 9), sort="", descending=False, words=words, columns=(0, 60))
    assert [row["row"] for row in page["rows"]] == rows


def test_a_filter_by_a_column_that_there_is_not_says_which_there_are():
    import pandas as pd

    table = Collected(pd.DataFrame({"height": [1], "kind": ["a"]}))
    with pytest.raises(InputError, match=r"(?s)No column is called 'hight'.*compare one of .*height, kind"):
        table.page((0, 9), sort="", descending=False, words="hight > 3", columns=(0, 60))


def test_of_a_wide_table_only_the_columns_that_are_shown_are_sent():
    import numpy as np
    import pandas as pd

    table = Collected(pd.DataFrame(np.arange(6_000).reshape(3, 2_000)))
    rows = table.page((0, 2), sort="", descending=False, words="", columns=(1_980, 2_040))["rows"]
    assert [list(row)[:2] for row in rows] == [["row", "c1980"]] * 2
    assert len(rows[0]) == 22  # the row's place, and columns up to the last: its number stands before the 2,000
    assert rows[1]["c2000"] == 3_999


def test_a_shape_at_no_place_is_left_out_of_the_map_and_counted():
    import geopandas
    from shapely.geometry import Point

    shapes = [Point(1, 2), Point(float("inf"), 0), Point(float("nan"), 1), Point(), None, Point(3, 4)]
    head = Collected(geopandas.GeoDataFrame(geometry=shapes)).shapes().partition(b"\n")[0]
    told = json.loads(head, parse_constant=pytest.fail)
    assert (told["shapes"], told["rows"], told["nowhere"], told["width"]) == (2, 6, 2, 2.0)


def test_a_wide_table_is_turned_over_by_its_columns_and_a_hostile_name_is_a_name(visit, store):
    import pandas as pd

    names = ['<img src=x onerror="window.hacked = 1">', ":valueFormatter", "__proto__", *map(str, range(3, 2_000))]
    page = visit(f"/job/{given(store, [pd.DataFrame([range(2_000)] * 3, columns=names)]).id}?tab=Results")
    expect(page.locator("#ff-result-count")).to_have_text("3 rows")
    expect(page.get_by_role("columnheader", name=names[0])).to_be_visible()
    page.get_by_label("Columns").select_option(label="1,981 to 2,002 of 2,002")
    expect(page.get_by_role("columnheader", name="1980")).to_be_visible()
    expect(page.locator(".ag-row[row-index='1'] [col-id='c1982']")).to_have_text("1980")
    assert page.evaluate("window.hacked") is None


def test_a_value_that_holds_others_is_opened_level_by_level(visit, store):
    header = store.job(delays, range(1), cache=False)
    legs = [{"from": "x", "km": 12.5}, {"from": "y", "km": 3}]
    data = json.dumps({"route": "A<b>", "legs": legs, "__proto__": [2**63]}).encode()
    output = Output("json/1", sha256(data).hexdigest(), len(data), data)
    store.log.append([ended(header, 0)._replace(output=output)])
    page = visit(f"/job/{header.id}/run/0")
    value = page.get_by_role("region", name="Value")
    expect(value.get_by_text('"A<b>"')).to_be_visible()
    value.get_by_text("legs:").click()
    value.get_by_text("1: {2}").click()
    expect(value.get_by_text("km: 3")).to_be_visible()
    expect(value.get_by_text("km: 12.5")).to_have_count(0)
    value.get_by_text("__proto__:").click()
    expect(value.get_by_text("0: 9223372036854775808")).to_be_visible()


def given(store, values):
    """A job whose runs have given these."""
    header = store.job(delays, range(len(values)), cache=False)
    events = []
    for run, value in enumerate(values):
        codec, data = encode(value)
        events.append(ended(header, run)._replace(output=Output(codec, sha256(data).hexdigest(), len(data), data)))
    store.log.append(events)
    return header


def test_pictures_of_all_runs_stand_side_by_side_and_lead_to_their_runs(visit, store, picture):
    from matplotlib.figure import Figure

    def plot(run):
        file = io.BytesIO()
        figure = Figure(figsize=(3, 2), dpi=60)
        figure.subplots().bar(range(4), [run, 5, 9, 30 - run])
        figure.savefig(file, format="png")
        return file.getvalue()

    header = given(store, [plot(run) for run in range(30)])
    page = visit(f"/job/{header.id}?tab=Results")
    pictures = page.get_by_role("region", name="Pictures of all runs")
    expect(pictures.get_by_text("1 to 24 of 30 runs")).to_be_visible()
    first = pictures.get_by_role("link", name="run 0: x=0").locator("[data-drawn] img")
    expect(first).to_have_js_property("complete", value=True)
    assert first.evaluate("e => e.naturalWidth") == 180
    picture(page, "job-pictures")
    pictures.get_by_role("button", name="Pictures after").click()
    expect(pictures.get_by_text("25 to 30 of 30 runs")).to_be_visible()
    assert not findings(page)
    pictures.get_by_role("link", name="run 27").click()
    expect(page).to_have_url(re.compile(r"/run/27$"))


def test_where_only_some_runs_gave_a_picture_the_others_say_so(visit, store):
    file = io.BytesIO()
    Image.new("L", (7, 1)).save(file, "PNG")
    page = visit(f"/job/{given(store, [None, file.getvalue(), 'a text']).id}?tab=Results")
    pictures = page.get_by_role("region", name="Pictures of all runs")
    seen = pictures.get_by_role("link", name="run 1").locator("[data-drawn] img")
    expect(seen).to_have_js_property("naturalWidth", 7)
    for run in (0, 2):
        expect(pictures.get_by_role("link", name=f"run {run}")).to_contain_text("no picture")


def test_a_figure_among_others_is_a_small_picture_of_the_whole(visit, small_job):
    """Its bars have room, as in a large one: title, axes and legend are as small as they are."""
    figure = {"data": [{"type": "bar", "y": [1, 25]}], "layout": {"title": {"text": "Delays"}, "showlegend": True}}
    page = visit(f"/job/{small_job.id}?tab=Results")
    page.route("**/figure.json", lambda route: route.fulfill(json=figure))
    page.evaluate("""() => {
      const box = Object.assign(document.createElement("div"), { id: "gallery", className: "ff-gallery" });
      box.innerHTML = '<a href="#"><div class="ff-small-figure" data-picture="/figure.json"></div></a>';
      document.querySelector(".ff-main").prepend(box);
      window.ff.picturesIn("gallery");
    }""")
    expect(page.locator('#gallery [data-drawn="1"]').first).to_be_visible()
    box, bars = page.locator(".ff-small-figure").bounding_box(), page.locator("#gallery .bars").bounding_box()
    assert bars["height"] > 0.4 * box["height"]
    assert bars["y"] + bars["height"] < box["y"] + box["height"]
    # One that held the browser up until the page was built anew waits to be asked for, or it would be so for ever.
    again = """() => { sessionStorage.setItem("fanfold-drawing:" + location.pathname + "/figure.json", 1);
      const box = document.querySelector(".ff-small-figure");
      box.replaceChildren(); delete box.dataset.drawn; window.ff.picturesIn("gallery"); }"""
    page.evaluate(again)
    button = page.locator("#gallery").get_by_role("button", name="Draw it")
    expect(button).to_be_visible()
    assert page.locator("#gallery .bars").count() == 0
    button.click()
    expect(page.locator("#gallery .bars")).to_be_visible()
    page.wait_for_function("() => !Object.keys(sessionStorage).some((key) => key.startsWith('fanfold-drawing:'))")
    page.unroute("**/figure.json")


def test_rasters_are_downloaded_as_one_geotiff(visit, store, tmp_path):
    import numpy as np
    import rasterio

    tiles = [
        (np.full((4, 5), run, "uint8"), rasterio.Affine(10, 0, 50 * run, 0, -10, 0), "EPSG:32633") for run in (0, 1)
    ]
    page = visit(f"/job/{given(store, tiles).id}")
    with page.expect_download() as told:
        page.get_by_role("link", name="Download GeoTIFF").click()
    told.value.save_as(tmp_path / "all.tif")
    with rasterio.open(tmp_path / "all.tif") as whole:
        assert whole.read(1).tolist() == [[0] * 5 + [1] * 5] * 4
