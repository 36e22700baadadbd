"""How a job looks: in a line, in a notebook, as a picture; and that user text never becomes markup."""

from __future__ import annotations

import pytest
from IPython.core.formatters import DisplayFormatter

import fanfold
from fanfold.core.formatting import Dollars, Seconds, duration
from fanfold.core.models import RunStatus
from fanfold.job import display
from fanfold.job.display import draw_timeline


def same(x: int):
    return x


EVIL = "<script>alert('x')</script>"


def test_a_line_tells_name_status_and_counts(half_failed):
    assert repr(half_failed) == f"<Job {half_failed.id} odd_only: Failed, 2 succeeded, 2 failed>"


def test_a_run_s_line_tells_its_status_and_time(half_failed):
    assert repr(half_failed[1]).startswith(f"<Run 1 of {half_failed.id}: succeeded, ")


def test_a_notebook_shows_a_bar_the_summary_and_the_first_error(half_failed):
    html = half_failed._repr_html_()
    assert html.count("width:50.00%") == 2
    assert "2 succeeded, 2 failed" in html
    assert "0 is even" in html


def test_user_text_is_escaped_in_a_notebook():
    @fanfold.udf(name=EVIL)
    def evil(x: str):
        print(x)
        raise ValueError(x)

    html = fanfold.submit(evil, [EVIL], collect=False).wait()._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 2


def test_what_a_prompt_shows_of_a_summary_a_plan_and_a_receipt_is_for_people(half_failed):
    for told in (half_failed.summary(), half_failed.verify(), fanfold.plan(same, [1, 2])):
        assert repr(told) == str(told)
    html = half_failed.summary()._repr_html_()
    assert "<b>odd_only</b>" in html
    assert "2 succeeded, 2 failed" in html


def test_a_plan_escapes_too():
    @fanfold.udf(name=EVIL)
    def evil(x: int):
        return x

    html = fanfold.plan(evil, [1])._repr_html_()
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert "<td" in html


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "$0.00"), (0.000012, "$0.000012"), (0.5, "$0.50"), (1234.5, "$1,234.50")]
)
def test_dollars_print_as_such(amount, text):
    assert str(Dollars(amount)) == repr(Dollars(amount)) == text
    assert Dollars(amount) == amount


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.00025, "0.2 ms"),
        (0.012, "12 ms"),
        (0.9999, "1.0 s"),
        (59.94, "59.9 s"),
        (59.99, "1 min"),
        (125, "2 min 5 s"),
        (3599.9, "1 h"),
        (4800, "1 h 20 min"),
        (-125, "-2 min 5 s"),
    ],
)
def test_seconds_print_as_people_say_them(seconds, text):
    assert str(Seconds(seconds)) == duration(seconds) == text
    assert Seconds(seconds).total_seconds() == seconds


def bars(figure):
    return figure.axes[0].patches


def test_the_timeline_has_a_bar_for_each_run(half_failed):
    assert len(bars(half_failed.timeline())) == 4


def test_a_notebook_shows_the_timeline_without_pyplot(half_failed):
    assert DisplayFormatter().format(half_failed.timeline())[0]["image/png"].startswith(b"\x89PNG")


def test_what_came_from_the_cache_has_no_bar():
    def same(x: int):
        return x

    fanfold.submit(same, [1, 2])
    job = fanfold.submit(same, [1, 2, 3], collect=False).wait()
    assert len(bars(job.timeline())) == 1


def test_runs_side_by_side_are_stacked_and_later_ones_take_a_free_row(state_of):
    figure = draw_timeline(state_of((5.0, 1.0), (5.0, 1.0), (2.0, 1.0)))
    assert sorted({bar.get_y() + bar.get_height() / 2 for bar in bars(figure)}) == [0, 1, 2]


def test_a_failed_run_has_another_colour(state_of):
    figure = draw_timeline(state_of((5.0, 1.0), (5.0, 1.0, RunStatus.FAILED)))
    good, bad = (bar.get_facecolor() for bar in bars(figure))
    assert good != bad


def test_without_matplotlib_the_timeline_names_the_extra(half_failed, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    with pytest.raises(fanfold.MissingPackage, match=r"fanfold\[plot\]"):
        half_failed.timeline()


def test_nothing_is_said_where_nothing_was_left_out(state_of, capsys):
    display.say_left_out(state_of((1.0, 1.0)))
    assert capsys.readouterr().err == ""
