"""`submit(second, first_job)`: a job's results as inputs of another, by reference, in groups, and where some failed."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import fanfold
from fanfold.cli.app import app
from fanfold.job.results import Contents


@fanfold.udf(cache_max_age=0)
def rows(year: int, n: int = 2_000):
    return [year + 10_000] * n  # 6 bytes each: more than an event holds


@fanfold.udf
def height(frame):
    return len(frame)


@fanfold.udf
def heights(frames, year: int):
    return year, [len(frame) for frame in frames]


@fanfold.udf(max_retry=0)
def tenfold(x: int):
    if x == 2:
        raise ValueError("two is too much")
    return x * 10


@fanfold.udf
def plus_one(x: int):
    return x + 1


def submitted(udf, inputs, **options):
    return fanfold.submit(udf, inputs, collect=False, **options).wait(60)


@pytest.fixture
def tables():
    """A job whose results are objects of their own."""
    return submitted(rows, [2001, 2002, 2003])


def test_large_results_are_named_where_they_lie_and_count_by_what_they_are(tables, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Contents, "read_checked", lambda *_: pytest.fail("a result was read by who submits"))
        second = fanfold.submit(height, tables, collect=False)
    assert second.wait(60).results() == [2_000] * 3
    assert repr(second.collect().index.to_list()) == "[0, 1, 2]"  # a table is no label, and is not fetched for one
    assert f"run 1 of job {tables.id}" in str(second[1].why())
    assert second[1].input["frame"][-1] == 12_002
    assert submitted(height, submitted(rows, [2003, 2001])).counts() == {"cached": 2}


def test_the_first_job_may_be_removed_when_the_second_has_been_submitted(tables):
    second = submitted(height, tables)
    result = CliRunner().invoke(app, ["remove", tables.id])
    assert result.exit_code == 0, result.output
    assert len(second[0].input["frame"]) == 2_000
    assert second.verify().complete


def test_small_results_are_checked_as_if_they_stood_in_a_list(tables):
    first = submitted(tenfold, [1, 3])
    assert submitted(plus_one, first).results() == [11, 31]
    assert submitted(plus_one, [10, 30]).counts() == {"cached": 2}  # as if they stood in a list

    @fanfold.udf
    def named(text: dict[str, int]):
        return text

    with pytest.raises(fanfold.InputError, match="should be a valid dictionary"):
        fanfold.submit(named, first)


def test_results_may_be_paired_and_listed(tables):
    small = submitted(tenfold, [1, 3, 4])

    @fanfold.udf
    def both(frame, factor: int, others: list[int]):
        return len(frame) * factor + sum(others)

    pairs = [
        {"frame": table, "factor": one, "others": [small[0], one]} for table, one in zip(tables, small, strict=True)
    ]
    assert submitted(both, pairs).results() == [2_000 * x + 10 + x for x in (10, 30, 40)]


def test_groups_come_with_what_they_are_grouped_by():
    first = submitted(rows, [{"year": year, "n": n} for n in (1_500, 2_000) for year in (2001, 2002)])
    assert submitted(heights, first.grouped(by="year")).results() == [(2001, [1_500, 2_000]), (2002, [1_500, 2_000])]

    @fanfold.udf
    def count(frames):
        return len(frames)

    assert submitted(count, first.grouped()).results() == [4]
    assert submitted(count, first.grouped(by=lambda given: given["n"] > 1_800)).results() == [2, 2]
    with pytest.raises(fanfold.InputError, match="no parameter 'month' to group by"):
        first.grouped(by="month")


def test_a_run_whose_input_is_missing_fails_with_the_reason_and_the_others_run():
    first = submitted(tenfold, [1, 2, 3])
    second = submitted(plus_one, first)
    assert second.counts() == {"succeeded": 2, "failed": 1}
    error = second.first_error()
    assert (error.index, error.error_type) == (1, "InputMissing")
    assert f"run 1 of job {first.id}, which has none: it failed with ValueError: two is too much" in str(error)
    again = second.retry().wait(60)  # what has no input has none still
    assert again.counts() == {"succeeded": 2, "failed": 1}
    assert "which has none" in str(again.first_error())


def test_failed_inputs_are_no_reason_to_stop_the_job():
    first = submitted(tenfold, [2] * 12 + [1], stop_on_error="never")
    assert submitted(plus_one, first).counts() == {"failed": 12, "succeeded": 1}


def test_a_pickled_result_of_somebody_else_is_refused(tmp_path, monkeypatch):
    @fanfold.udf(serializer="pickle")
    def pickled(x: int):
        return {"x": x}

    @fanfold.udf
    def opened(d):
        return d["x"]

    first = submitted(pickled, [5])
    assert submitted(opened, first).results() == [5]
    theirs = fanfold.get_job(first.id)
    monkeypatch.setattr("fanfold.job.results.was_submitted_here", lambda _: False)
    with pytest.raises(fanfold.InputError, match="written with pickle, perhaps by somebody else"):
        fanfold.submit(opened, theirs, cache=False)


def test_from_a_shell(tables, tmp_path):
    file = tmp_path / "height.py"
    file.write_text(
        "import fanfold\n\n\n@fanfold.udf\ndef heights(frames, year: int):\n    return year + len(frames)\n"
    )
    run = CliRunner().invoke(
        app, ["submit", str(file), "--results-of", "-", "--by", "year", "-o", str(tmp_path / "o.csv")]
    )
    assert run.exit_code == 0, run.output
    assert [line.rpartition(",")[2] for line in (tmp_path / "o.csv").read_text().split()] == [
        "result",
        "2002",
        "2003",
        "2004",
    ]
    refused = CliRunner().invoke(app, ["submit", str(file), "1", "--by", "year"])
    assert refused.exit_code != 0
