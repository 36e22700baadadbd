"""A pytest plugin: writes what became of each test to the file SUITES_OUTCOMES, as JSON."""

from __future__ import annotations

import json
import os
from pathlib import Path

_RESULTS: dict[str, list[str]] = {}
_MARK = Path(os.environ["SUITES_OUTCOMES"] + ".mark")
os.environ["SUITES_MARK"] = str(_MARK)


def pytest_runtest_setup(item):
    _MARK.unlink(missing_ok=True)


def pytest_runtest_logreport(report):
    name = report.nodeid.rpartition("/")[2]
    if report.when == "call" or report.outcome != "passed":
        text = "" if report.outcome == "passed" else _last_line(report)
        _RESULTS[name] = [report.outcome, text, "sent" if _MARK.exists() else ""]


def pytest_sessionfinish():
    Path(os.environ["SUITES_OUTCOMES"]).write_text(json.dumps(_RESULTS, indent=1))


def _last_line(report) -> str:
    crash = getattr(report.longrepr, "reprcrash", None)
    text = crash.message if crash is not None else str(report.longrepr)
    return " ".join(text.split())[:300]
