"""What charts are drawn from: each run once, at its time, however many there are."""

from __future__ import annotations

import datetime as dt
import io
import json
import math
from decimal import Decimal

import pandas as pd
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from fanfold.codec import decode, encode
from fanfold.core.fold import fold
from fanfold.core.models import Event, EventKind, JobHeader, Output, RunStatus, Usage
from fanfold.job import chart_data, history
from fanfold.job.chart_data import LoadSample, machine_load
from fanfold.job.waiting import remaining_s
from fanfold.workbench.job import charts
from fanfold.workbench.job_log import plain
from fanfold.workbench.previews import preview, seen_of

times = st.lists(st.tuples(st.floats(0, 100), st.floats(0.001, 50)), min_size=1, max_size=80)


def state_of(runs):
    header = JobHeader("20260131-141502-river-7f3a", "delays", len(runs), "local", "ada", 1000.0, "b" * 64, "c" * 64)
    return fold(
        header,
        (
            Event.new(
                header.id, index, 0, EventKind.FINISHED, at=1000.0 + start + took,
                status=RunStatus.SUCCEEDED, usage=Usage(took, took / 2, 100.0),
            )
            for index, (start, took) in enumerate(runs)
        ),
    )  # fmt: skip


def timeline(state, window=(0.0, 1.0)):
    return chart_data.timeline(state, chart_data.spans(state, 2000.0), window)


@given(times)
@settings(max_examples=40, deadline=None)
def test_every_run_is_one_bar_and_no_two_overlap_on_a_line(runs):
    drawn = timeline(state_of(runs))
    assert sorted(bar[4] for bar in drawn.bars) == list(range(len(runs)))
    lines = {}
    for line, start, end, *_ in sorted(drawn.bars, key=lambda bar: bar[1]):
        assert lines.get(line, 0.0) <= start + 1e-9
        lines[line] = end


@given(times)
@settings(max_examples=40, deadline=None)
def test_put_together_no_time_of_any_run_is_lost(runs):
    spans = chart_data.spans(state_of(runs), 2000.0)
    end = spans.end_s
    slices = chart_data.time_slices(spans, 0.0, end)
    width = end / len(slices)
    busy = sum(sum(statuses.values()) * width for _, statuses in slices)
    assert busy == pytest.approx((spans.ends_s - spans.starts_s).sum(), rel=1e-6)


@given(times)
@settings(max_examples=40, deadline=None)
def test_a_histogram_counts_every_run_within_its_bounds(runs):
    took = [one for _, one in runs]
    bins = chart_data.histogram(took)
    assert sum(count for *_, count in bins) == len(took)
    for low, high, count in bins:
        assert count <= sum(low * 0.999 <= one <= high * 1.001 for one in took)


def test_more_runs_than_bars_are_put_together_until_a_window_holds_few():
    state = state_of([(index / 10, 1.0) for index in range(3000)])
    assert timeline(state).slices
    assert len(timeline(state, (0.0, 10.0 / 300.9)).bars) == pytest.approx(101, abs=2)


@given(times)
@settings(max_examples=40, deadline=None)
def test_who_waits_has_not_begun(runs):
    state = state_of(runs)
    every = chart_data.spans(state, 2000.0)
    steps = chart_data.waiting(state, every)
    assert steps[0] == (0.0, len(runs))
    assert steps[-1][1] == 0
    for at, waiting in dict(steps[1:-1]).items():  # of several at one moment, the last
        assert waiting == (every.starts_s > at).sum()


def test_a_dedicated_jobs_machines_start_until_the_first_is_up_or_its_first_run_begins():
    realtime, dedicated = state_of([(40.0, 1.0)]), state_of([(40.0, 1.0)])
    dedicated.header = dedicated.header._replace(instance_type="small")
    assert chart_data.starting_up(realtime, 1010.0) is None
    assert chart_data.starting_up(dedicated, 1033.0) == pytest.approx(33.0)
    assert chart_data.starting_up(dedicated, None) == pytest.approx(40.0)
    assert chart_data.starting_up(fold(dedicated.header, []), None) is None


def test_the_load_of_machines_is_that_of_all_their_runs_together():
    samples = [LoadSample(1000.0 + at, run, 50.0, 100.0, 9000.0 - run, 1.0) for at in range(60) for run in range(4)]
    width_s, moments = machine_load(samples, 1000.0)
    assert width_s == 2.0
    assert len(moments) == 30
    assert {(one.cpu_percent, one.memory_mib, one.disk_free_mib) for one in moments} == {(200.0, 400.0, 8997.0)}
    assert {one.in_mib_s for one in moments} == {4.0}
    assert {one.out_mib_s for one in moments} == {None}


def test_a_long_load_is_drawn_in_few_slices_and_a_short_run_counts_only_while_it_was_there():
    samples = [LoadSample(1000.0 + at, 0, 100.0, 10.0) for at in range(5000)] + [LoadSample(1000.5, 1, 100.0, 10.0)]
    width_s, moments = machine_load(samples, 1000.0)
    assert len(moments) <= 240
    assert moments[0].cpu_percent == pytest.approx(100.0 + 100.0 * 2 / width_s)
    assert machine_load([], 1000.0)[1] == []


def test_limits_stand_in_the_histogram_where_they_hold():
    bins = chart_data.histogram([1.0, 2.0])
    [realtime] = charts.histogram_options(bins, realtime=True, limit_s=120.0)["series"]
    assert realtime["markLine"]["label"]["formatter"] == "limit 120 s"
    assert realtime["markArea"]["data"][0][0]["name"] == "best 30–45 s"
    [dedicated] = charts.histogram_options(bins, realtime=False, limit_s=None)["series"]
    assert not {"markLine", "markArea"} & set(dedicated)


def test_what_is_left_goes_by_the_pace_so_far():
    header = JobHeader("j", "delays", 10, "local", "ada", 1000.0, "b", "c")
    ended = [
        Event.new("j", i, 0, EventKind.FINISHED, at=1010.0, status=RunStatus.SUCCEEDED, usage=Usage(10.0))
        for i in range(5)
    ]
    assert remaining_s(fold(header, ended), 1010.0) == pytest.approx(10.0)
    assert remaining_s(fold(header, []), 1010.0) is None
    assert remaining_s(fold(header, ended), 900.0) is None  # the clock was set back


def test_lines_keep_their_numbers_where_others_did_not_travel():
    assert (
        history.numbered("\n\ndef f():\n    return 1\n\n\nx = 2") == "   3  def f():\n   4      return 1\n\n   7  x = 2"
    )


def test_what_steers_a_terminal_is_taken_out_and_the_text_stays():
    assert plain("\x1b[1;31mred\x1b[0m \x1b]0;title\x07ok\x08\x00") == "red ok"


def test_values_are_previewed_as_what_they_are():
    import pandas as pd

    table = preview(pd.DataFrame({":evil": [1, 2, 3], "<b>": ["x", None, "<i>"]}))
    assert table.columns == ("", ":evil", "<b>")
    assert table.rows[2] == ("2", "3", "<i>")
    assert preview("text").text == "text"
    assert preview({"a": 1}).text == "{'a': 1}"


def test_columns_that_no_line_can_show_are_left_out_of_the_chart_and_stay_in_the_table():
    import numpy as np
    import pandas as pd

    frame = pd.DataFrame(
        {
            "some": pd.array([1, None, 3], dtype="Int64"),
            "odd": [1.0, np.inf, np.nan],
            "wave": [1j, 2j, 3j],
            "wait": pd.to_timedelta([1, 2, 3], unit="s"),
            "yes": [True, False, True],
        }
    )
    seen = preview(frame)
    curves = {name: tuple(height for _, height in points) for name, points in seen.plot.series}
    assert curves == {"some": (1.0, None, 3.0), "odd": (1.0, None, None)}
    assert seen.rows[1][1:3] == ("<NA>", "inf")
    assert seen.columns == ("", "some", "odd", "wave", "wait", "yes")


class Contentious:
    def __repr__(self):
        raise ValueError("look away")


def test_what_cannot_be_looked_at_is_said_to_be_so():
    class Contents:
        def value(self, index, output):
            return Contentious()

    told = seen_of(Contents(), 0, Output("json/1", "", 3, b"{}")).text
    assert told == "Contentious: it cannot be shown here (ValueError: look away)."
    assert seen_of(Contents(), 7, Output("json/1", "", 65 << 20)).text.endswith("or call job[7].result().")


def test_an_image_is_previewed_small_and_a_map_as_outlines():
    image = pytest.importorskip("PIL.Image")
    geopandas, shapely = pytest.importorskip("geopandas"), pytest.importorskip("shapely")
    assert preview(image.new("RGB", (3000, 10))).image.startswith("data:image/png;base64,")
    shapes = [shapely.Point(1, 2), shapely.box(0, 0, 1, 1), shapely.MultiPoint([(0, 0), (3, 3)])]
    drawing = preview(geopandas.GeoDataFrame(geometry=shapes)).drawing
    assert {kind: path.count("M") for kind, path in drawing.paths} == {"ff-area": 1, "ff-dot": 3}
    assert drawing.words == "3 shapes; x 0 to 3, y 0 to 3"


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")
def test_a_raster_is_previewed_as_a_picture():
    import numpy
    from rasterio import Affine

    array = numpy.arange(1200.0).reshape(30, 40)
    seen = preview((array, Affine(10, 0, 0, 0, -10, 0), "EPSG:32633"))
    assert seen.text.startswith("raster, 30 x 40 pixels, 1 band of float64; ")
    assert seen.image.startswith("data:image/png;base64,")
    assert preview((array, "no raster")).image == ""
    assert preview({"a": array}).image == ""


def test_every_shape_is_drawn_and_a_ring_keeps_its_hole():
    geopandas, shapely = pytest.importorskip("geopandas"), pytest.importorskip("shapely")
    circles = [shapely.Point(n % 40, n // 40).buffer(0.4, 64) for n in range(1000)]
    drawing = preview(geopandas.GeoDataFrame(geometry=circles)).drawing
    assert dict(drawing.paths)["ff-area"].count("M") == 1000
    assert drawing.words.startswith("1,000 shapes (drawn without the corners")
    ring = shapely.Point(0, 0).buffer(2).difference(shapely.Point(0, 0).buffer(1))
    assert dict(preview(geopandas.GeoDataFrame(geometry=[ring])).drawing.paths)["ff-area"].count("M") == 2
    points = geopandas.points_from_xy([n % 250 for n in range(50_000)], [n // 250 for n in range(50_000)])
    drawing = preview(geopandas.GeoDataFrame(geometry=points)).drawing
    assert drawing.words.startswith("50,000 shapes (drawn without")


@pytest.mark.parametrize(
    "values",
    [
        [Decimal("10"), Decimal("9.5")],
        [2**60 + 2, 2**60 + 1],
        [10**30, 2],
        pd.to_timedelta(["10 days", "2 days"]),
        [pd.Timestamp("2013-10-27 02:00+01:00"), pd.Timestamp("2013-10-27 02:30+02:00")],
        pd.Categorical([10, 9]),
    ],
    ids=["decimals", "beyond floats", "beyond 64 bits", "times that pass", "moments", "categories"],
)
def test_columns_are_sorted_by_what_their_cells_are_where_their_text_would_not_do(values):
    assert preview(pd.DataFrame({"a": values})).numbers[1] == (1.0, 0.0)


def test_tables_of_arrow_and_polars_keep_their_whole_numbers_beside_missing_ones():
    import polars

    held = {"n": [2**60 + 1, None], "day": [dt.date(2013, 1, 31), None]}
    for table in (pa.table(held), polars.DataFrame(held), pa.record_batch(held)):
        assert preview(table).rows[0] == ("0", str(2**60 + 1), "2013-01-31")
    for column in (pa.array([2**60 + 1, None]), pa.chunked_array([[2**60 + 1]]), polars.Series([2**60 + 1, None])):
        assert preview(column).rows[0][1] == str(2**60 + 1)


def test_days_of_arrow_are_the_time_axis_of_a_chart():
    days = pd.array([dt.date(2013, 1, day) for day in (1, 2, 3)], dtype=pd.ArrowDtype(pa.date32()))
    plot = preview(pd.DataFrame({"day": days, "v": [1, 2, 3]})).plot
    assert plot.series[0][1][0] == (1356998400000.0, 1.0)


def test_a_number_of_more_digits_than_python_writes_is_shown_all_the_same():
    assert preview(10**5000).text.startswith("a number of 16,610 bits: 0x31e2")


def test_numbers_keep_their_digits_and_are_sorted_as_numbers():
    pd = pytest.importorskip("pandas")
    seen = preview(pd.DataFrame({"n": [1234567.89, 9.5, float("nan")], "word": ["b", "a", "c"]}))
    assert [row[1] for row in seen.rows] == ["1234567.89", "9.5", "nan"]
    assert seen.numbers == ((0.0, 1.0, 2.0), (1234567.89, 9.5, None), None)


def test_a_spike_in_a_long_column_is_drawn_and_what_is_left_out_is_said():
    pd = pytest.importorskip("pandas")
    values = [0.0] * 100_000
    values[54_321] = 99.0
    plot = preview(pd.DataFrame({"x": values})).plot
    assert (54_321.0, 99.0) in plot.series[0][1]
    assert plot.cut == "the highest and lowest of each 200 rows are drawn"


def test_times_are_the_axis_of_a_plot():
    pd = pytest.importorskip("pandas")
    index = pd.date_range("2013-01-01", periods=5, freq="h", tz="Europe/Rome")
    plot = preview(pd.DataFrame({"x": range(5)}, index=index)).plot
    assert plot.is_time
    assert plot.series[0][1][1][0] - plot.series[0][1][0][0] == 3_600_000
    frame = pd.DataFrame({"at": index.tz_localize(None), "x": [1.0, None, 3.0, float("inf"), 5.0]})
    plot = preview(frame).plot
    assert plot.x_name == "at"
    assert [height for _, height in plot.series[0][1]] == [1.0, None, 3.0, None, 5.0]


def test_a_list_of_dicts_is_a_table():
    seen = preview([{"a": 1, "b": "x"}, {"a": 2.5}])
    assert seen.columns == ("", "a", "b")
    assert seen.rows == (("0", "1", "x"), ("1", "2.5", ""))


def test_a_figure_and_the_bytes_of_a_picture_are_pictures():
    from matplotlib.figure import Figure

    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 2, 3])
    data = io.BytesIO()
    figure.savefig(data, format="png")
    for value in (figure, axes, data.getvalue()):
        assert preview(value).image.startswith("data:image/png;base64,iVBOR")
    assert not preview(b"PNG").image


def entries(*pairs):
    return {"of": "dict", "entries": [list(pair) for pair in pairs]}


def number(text):
    return {"of": "number", "text": text}


def test_a_value_that_holds_others_is_a_tree_and_a_flat_one_is_text():
    tree = entries(("a", entries(("b", [1, [2, [3]]]))), ("4", 5))
    assert preview({"a": {"b": [1, (2, {3})]}, 4: 5}).tree == tree
    assert preview({"a": 1, "b": []}).tree is None
    assert preview({"a": [0] * 1_000_000}).tree is None  # too much to send


def test_a_tree_has_every_key_in_its_order_and_every_digit():
    value = {"10": [1], "2": [2], "__proto__": {"x": 1}, (1, 2): [3], None: [4], 1.5: [5]}
    assert [key for key, _ in preview(value).tree["entries"]] == ["10", "2", "__proto__", "(1, 2)", "None", "1.5"]
    numbers = [2**53 + 1, -(2**63), 0.1, 2.0, 1e-7, math.nan, -math.inf, 7, True, None]
    assert preview([numbers]).tree == [
        [number("9007199254740993"), number("-9223372036854775808"), 0.1, number("2.0"), number("1e-07"),
         number("nan"), number("-inf"), 7, True, None]
    ]  # fmt: skip


def test_what_python_itself_does_not_write_is_shown_as_far_as_it_can_be():
    deep = 1
    for _ in range(2_000):
        deep = {"k": [deep]}
    assert preview(deep).text.startswith("{'k': [{'k': [")
    assert "too deep to be opened here" in str(preview(deep).tree)
    assert preview([10**5000, 1]).text.startswith("[a number of 16,610 bits: 0x")
    assert preview([{"n": 10**5000}]).rows[0][1].startswith("a number of 16,610 bits: 0x")
    itself = {}
    itself["a"] = itself["b"] = itself
    assert preview(itself).tree is None  # as wide as it is deep
    many = preview({f"k{number}": [number] for number in range(200_000)})
    assert many.text.startswith("{'k0': [0],")
    assert many.text.endswith("… (200,000 entries)")


def test_a_look_at_a_wide_value_says_how_much_of_it_is_shown():
    import numpy as np

    assert preview(pd.DataFrame(np.zeros((2, 2_000)))).text == "2 rows × 2,000 columns, the first 40 columns shown"
    both = preview(pd.DataFrame(np.zeros((51, 41)))).text
    assert both == "51 rows × 41 columns, the first 50 rows and 40 columns shown"
    wide = [{f"n{number}": number for number in range(45)}] * 60
    assert preview(wide).text == "list of 60 dicts, the first 50 shown, of each the first 40 of 45 names"


def test_a_figure_of_plotly_is_for_the_browser_to_draw_unless_it_needs_another_host():
    from plotly import graph_objects

    drawn = preview(
        graph_objects.Figure([graph_objects.Bar(y=[1, 2]), graph_objects.Heatmap(), graph_objects.Treemap()])
    )
    assert json.loads(drawn.figure)["data"][0] == {"type": "bar", "y": [1, 2]}
    for trace in ("Scattermap", "Scattergeo", "Choropleth", "Densitymap"):
        away = preview(graph_objects.Figure(getattr(graph_objects, trace)()))
        assert not away.figure
        assert trace.lower() in away.text


def test_a_figure_that_a_colleague_made_is_drawn_from_its_data_and_what_else_is_read_as_data_says_so():
    from plotly import graph_objects

    class Colleagues:
        """What a reader who does not trust a result is given of it."""

        def __init__(self, value):
            self._stored = encode(value)

        def value(self, index, output):
            return decode(*self._stored)

    output = Output("json/1", "", 3, b"{}")
    figure = graph_objects.Figure(graph_objects.Bar(y=[1, math.nan, 3]), {"title": {"text": "Delays"}})
    seen = seen_of(Colleagues(figure), 0, output)
    assert json.loads(seen.figure)["data"][0]["type"] == "bar"
    assert "Figure is shown as plain data" in seen.note
    seen = seen_of(Colleagues(graph_objects.layout.Legend(x=0.5)), 0, output)
    assert "Legend is shown as plain data" in seen.note
    assert not preview({"data": [{"type": "articles"}], "layout": {}}).figure


def test_a_geometry_by_itself_and_a_list_of_them_are_drawn_beside_their_text():
    box = shapely.box(0, 0, 2, 1)
    assert preview(box).drawing.words == "1 shape; x 0 to 2, y 0 to 1"
    assert preview(box).text.startswith("POLYGON ((2 0")
    both = preview([box, shapely.Point(3, 3)])
    assert both.drawing.words == "2 shapes; x 0 to 3, y 0 to 3"
    assert both.text.splitlines()[1] == "POINT (3 3)"
    assert preview(shapely.Point()).drawing is None  # an empty one has no place
    assert preview(shapely.Point()).text == "POINT EMPTY"


def test_a_trace_of_plotly_is_drawn_and_what_is_neither_trace_nor_figure_is_text():
    from plotly import graph_objects

    assert json.loads(preview(graph_objects.Bar(y=[3])).figure)["data"] == [{"type": "bar", "y": [3]}]
    assert "Legend" in preview(graph_objects.layout.Legend(x=0.5)).text


def test_a_picture_of_another_host_is_left_out_of_a_figure_which_says_so():
    from plotly import graph_objects

    inside = "data:image/png;base64,iVBOR"
    images = [graph_objects.layout.Image(source=source) for source in ("https://pictures.invalid/a.png", inside)]
    seen = preview(graph_objects.Figure(layout={"images": images}))
    assert [one["source"] for one in json.loads(seen.figure)["layout"]["images"]] == ["", inside]
    assert "left out" in seen.text
