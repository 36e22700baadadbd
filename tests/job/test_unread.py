"""Results of which some cannot be read make one table all the same: each of these has a row that says why."""

from __future__ import annotations

import pickle
from hashlib import sha256

import pandas as pd
import pytest

import fanfold
from fanfold.codec import encode
from fanfold.core.models import Event, EventKind, Output, RunStatus
from fanfold.core.options import Options, Request
from fanfold.engines.base import engine_for
from fanfold.errors import CodecError
from fanfold.job.unread import WHY_NOT, collect_readable
from fanfold.submission.prepare import prepare


@fanfold.udf(serializer="pickle")
def given(x: int):
    return x


class Raises:
    """What reading its pickle raises."""

    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return _raise, (self.error,)


def _raise(error):
    raise error


GONE = b"cno.such.module\nGone\n."
OUT_OF_LUCK = pickle.dumps(Raises(RuntimeError("out of luck")))
ENDS = pickle.dumps(Raises(SystemExit(3)))


def job_of(*values):
    """A job whose runs have given these: bytes are pickles, a text is JSON that no reader understands."""
    engine = engine_for("local")
    header = prepare(given, range(len(values)), engine, Request.of(Options(), cache=False), {}).header
    events = []
    for run, value in enumerate(values):
        codec, data = ("pickle/1", value) if isinstance(value, bytes) else encode(value)
        output = Output(codec, sha256(data).hexdigest(), len(data), data)
        events.append(Event.new(header.id, run, 0, EventKind.FINISHED, status=RunStatus.SUCCEEDED, output=output))
    engine.stores.log.append(events)
    job = fanfold.get_job(header.id)
    assert job.status == "Completed"
    return job


def test_a_class_that_is_gone_and_one_that_raises_take_their_own_rows_alone():
    frame, unread = collect_readable(job_of(1, GONE, 3, OUT_OF_LUCK, 5, ENDS))
    assert [one.run for one in unread] == [1, 3, 5]
    assert list(frame.index) == [1, 3, 5, 0, 2, 4]  # what to look into stands first
    assert "No module named 'no'" in frame[WHY_NOT].iloc[0]
    assert "RuntimeError: out of luck" in frame[WHY_NOT].iloc[1]
    assert "SystemExit: 3" in frame[WHY_NOT].iloc[2]
    assert frame["result"].iloc[3:].tolist() == [1, 3, 5]
    assert frame[WHY_NOT].iloc[3:].isna().all()


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"n": [2**63 - 1, 1], "word": ["a", "b"]}),
        pd.DataFrame({"n": [2**63 - 1, 1]}, index=pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["k", "i"])),
        pd.DataFrame({"n": [2**63 - 1, 1]}, index=pd.Index(["a", "b"], name="key")),
    ],
    ids=["rows", "levels", "words"],
)
def test_tables_keep_their_columns_and_integers_beside_one_that_cannot_be_read(table):
    frame, unread = collect_readable(job_of(table, GONE))
    assert [one.run for one in unread] == [1]
    assert frame["n"].iloc[1:].tolist() == [2**63 - 1, 1]
    assert frame.index.nlevels == 1 + table.index.nlevels
    assert frame.index.get_level_values("x").tolist() == [1, 0, 0]


def test_shapes_keep_their_crs_and_dicts_their_columns():
    geopandas = pytest.importorskip("geopandas")
    shapes = geopandas.GeoDataFrame({"n": [1]}, geometry=geopandas.points_from_xy([1], [2]), crs=4326)
    frame, _ = collect_readable(job_of(shapes, GONE))
    assert frame.crs == 4326
    assert frame.geometry.isna().tolist() == [True, False]
    frame, _ = collect_readable(job_of({"a": 1, "b": None}, GONE))
    assert list(frame.columns) == [WHY_NOT, "a", "b"]


def test_where_all_can_be_read_it_is_what_collect_gives():
    job = job_of(1, 2)
    frame, unread = collect_readable(job)
    assert not unread
    pd.testing.assert_frame_equal(frame, job.collect())


def test_where_none_can_be_read_for_one_reason_that_is_said_once():
    with pytest.raises(CodecError, match="No module named 'no'"):
        collect_readable(job_of(GONE, GONE))
