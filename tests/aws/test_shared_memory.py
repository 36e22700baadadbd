"""Processes that share memory fail in Lambda: a submit of such code says so, with the line, before it runs."""

from __future__ import annotations

import pytest

import fanfold
from fanfold.source.capture import Captured
from fanfold.submission.shared_memory import warn_of_shared_memory


def pooled(x: int):
    from multiprocessing import Pool

    with Pool(2) as pool:
        return pool.map(abs, [x])


def queued(x: int):
    import multiprocessing as mp

    return mp.get_context("fork").Queue()


def in_an_executor(x: int):
    import concurrent.futures

    return concurrent.futures.ProcessPoolExecutor(2)


def piped(x: int):
    from multiprocessing import Pipe, Process

    return Pipe(), Process


def threads(x: int):
    from concurrent.futures import ThreadPoolExecutor
    from queue import Queue

    return ThreadPoolExecutor, Queue


@pytest.mark.parametrize(
    ("fn", "what"),
    [(pooled, "multiprocessing.Pool"), (queued, "multiprocessing.Queue"), (in_an_executor, "ProcessPoolExecutor")],
)
def test_the_line_that_shares_memory_is_named_and_what_works_instead(capsys, fn, what):
    warn_of_shared_memory(Captured(fn).bundle)
    told = capsys.readouterr().err
    assert f"uses {what}, which fails in AWS Lambda" in told
    assert "test_shared_memory.py, line" in told
    assert 'instance_type="small"' in told


@pytest.mark.parametrize("fn", [piped, threads])
def test_what_shares_none_is_not_warned_of(capsys, fn):
    warn_of_shared_memory(Captured(fn).bundle)
    assert capsys.readouterr().err == ""


def test_only_realtime_runs_in_aws_are_warned_of(engine, deployment, monkeypatch, capsys):
    fanfold.submit(pooled, [1], engine="local", collect=False, cache=False).wait()
    monkeypatch.setenv("FANFOLD_DEPLOYMENT", deployment.name)
    fanfold.submit(pooled, [1], collect=False, instance_type="small")
    assert "/dev/shm" not in capsys.readouterr().err
    fanfold.submit(pooled, [1], collect=False)
    assert "/dev/shm" in capsys.readouterr().err
