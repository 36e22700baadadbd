"""A process of its own that imports a UDF file and submits or plans, or retries a job: the page is never hurt.

It is order what to do in a line of JSON, and answers in lines of JSON: `imported`, then the end. See `udf_process`.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from fanfold.core.processes import program_of
from fanfold.errors import FanfoldError, InputError


def main() -> None:
    """Do what stdin says. What the file prints when it is imported is no answer, so it goes to stderr."""
    order = json.loads(sys.stdin.readline())
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)
        try:
            _say(answers, **_answer(order, answers))
        except FanfoldError as error:
            _say(answers, error=str(error))
        answers.flush()
        os._exit(0)  # a thread that the file has started must not hold this up


def _answer(order: dict[str, Any], answers: TextIO) -> dict[str, Any]:
    from fanfold.api.submit import submit
    from fanfold.api.udf_file import load_udf
    from fanfold.submission.plan import plan

    if order["act"] == "retry" and not order["file"]:
        return _retried(order)
    _check_text(order)
    udf = _as_udf(load_udf(f"{order['file']}:{order['udf']}"))
    _say(answers, imported=True)
    if order["act"] == "retry":
        return _retried(order, udf)
    machine = udf.options.instance_type
    if machine not in (None, "realtime", order["allowed"]):
        return {"machine": machine}
    if order["act"] == "plan":
        found = plan(udf, _inputs(order["given"]), engine=order["engine"])
        return {"plan": str(found), "count": found.count}
    _outlive(order["engine"])
    job: Any = submit(udf, _inputs(order["given"]), engine=order["engine"], cache=order["cache"], collect=False)
    return {"job": job.id, "count": len(job)}


def _as_udf(function: Any) -> Any:
    """A plain function runs as one that `fanfold.udf` decorates."""
    from fanfold.api.decorator import Udf, udf

    return function if isinstance(function, Udf) else udf(function)


def _check_text(order: dict[str, Any]) -> None:
    """Run nothing but what the page shows: the file may have been written since it was read."""
    from fanfold.workbench.editor.udf_source import as_in_the_editor, digest

    if digest(as_in_the_editor(Path(order["file"]).read_bytes(), "replace")) != order["digest"]:
        raise InputError(f"{order['file']} has just been changed on disk.", next_step="run it again.")


def _inputs(given: dict[str, Any]) -> Any:
    from fanfold.workbench.editor.inputs import inputs_of

    if "path" not in given:
        return given["inputs"]
    return inputs_of(Path(given["path"]), given["name"], given["others"], given["first"])


def _retried(order: dict[str, Any], fixed: Any = None) -> dict[str, Any]:
    """Run again what a job has not got, by a process that outlives the page; with the fixed UDF where there is one."""
    from fanfold.api.submit import get_job
    from fanfold.core.models import BAD, RunStatus

    _outlive(order["engine"])
    job = get_job(order["given"]["job"], engine=order["engine"])
    runs = order["given"].get("runs")
    failed = sum(count for status, count in job.counts().items() if RunStatus(status) in BAD)
    job.retry(fixed, runs=runs)
    count = failed if runs is None else len(runs)
    return {"job": job.id, "count": count}


def _outlive(engine: str) -> None:
    """Let what is started here go on when this process has ended, as it does right after."""
    from fanfold.engines.base import engine_for

    engine_for(engine).detached = True


def _say(answers: TextIO, **answer: Any) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


#: What the interpreter is given.
PROGRAM = program_of("fanfold.workbench.editor.udf_child")
