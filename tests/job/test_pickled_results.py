"""Pickled results run code of their writer: only their submitter reads them without saying so."""

from __future__ import annotations

import pytest

import fanfold


@fanfold.udf(serializer="pickle")
def function_of(x: int):
    return complex(x, 1), {x: {x}}


VALUE = (complex(2, 1), {2: {2}})


@pytest.fixture
def another_reader(monkeypatch, tmp_path):
    """The reader of another machine, or another user: what this one has submitted is not known there."""

    def read(job):
        monkeypatch.setattr("fanfold.engines.base.submitted_here_marker", lambda job_id: tmp_path / "nowhere" / job_id)
        return fanfold.get_job(job.id)

    return read


def test_the_submitter_reads_them_from_any_process():
    job = fanfold.submit(function_of, [2], collect=False)
    assert job.results() == [VALUE]
    assert fanfold.get_job(job.id).results() == [VALUE]


def test_another_is_refused_and_told_how_to_opt_in(another_reader):
    job = another_reader(fanfold.submit(function_of, [2], collect=False))
    with pytest.raises(fanfold.CodecError, match=r"job\.results\(allow_pickle=True\)"):
        job.results()
    assert job.results(allow_pickle=True) == [VALUE]


def test_a_collected_frame_takes_the_opt_in_too(another_reader):
    job = another_reader(fanfold.submit(function_of, [2], collect=False))
    assert job.collect(allow_pickle=True)["result"].tolist() == [VALUE]


def test_a_setting_opts_in_for_all(another_reader):
    job = fanfold.submit(function_of, [2], collect=False)
    fanfold.configure(allow_pickle=True)
    assert another_reader(job).results() == [VALUE]


def test_a_setting_that_is_no_flag_is_refused(monkeypatch):
    monkeypatch.setenv("FANFOLD_ALLOW_PICKLE", "perhaps")
    with pytest.raises(fanfold.ConfigurationError, match="perhaps"):
        fanfold.get_jobs()
