"""In a frozen application `sys.executable` is the application: nothing here may start it again."""

from __future__ import annotations

import sys
from pathlib import Path

import joblib
import pytest

import fanfold
import fanfold.joblib_backend
from fanfold.errors import ConfigurationError
from fanfold.workbench.server import run as serve


def _double(x: int) -> int:
    return 2 * x


def _by_an_executor() -> None:
    with fanfold.Executor(max_workers=2) as executor:
        executor.submit(_double, 1).result(timeout=120)


def _by_joblib() -> None:
    with joblib.parallel_config(backend="fanfold"):
        joblib.Parallel(n_jobs=2)(joblib.delayed(_double)(x) for x in range(2))


STARTS = {
    "a run": lambda: fanfold.run(_double, x=1, cache=False),
    "a run on a machine": lambda: fanfold.submit(_double, [1], instance_type="small", cache=False, collect=False),
    "an executor": _by_an_executor,
    "joblib": _by_joblib,
    "the page": lambda: serve(port=None, show=False, folder=Path(), engine="local", announce=print),
}


@pytest.mark.parametrize("start", STARTS)
def test_it_is_said_at_once_and_the_application_is_not_started(start, tmp_path, monkeypatch):
    application, started = tmp_path / "application", tmp_path / "started"
    application.write_text(f"#!/bin/sh\necho x >> {started}\n")
    application.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(application))
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    with pytest.raises(ConfigurationError, match=r"frozen application .*, in which no Python is left"):
        STARTS[start]()
    assert not started.exists()
