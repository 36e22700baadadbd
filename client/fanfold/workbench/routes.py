"""What the pages fetch beside themselves: the runs of a job a page at a time, and its results as a file."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from fastapi import HTTPException
from fastapi.responses import FileResponse, Response, StreamingResponse
from nicegui import app
from starlette.background import BackgroundTask

from fanfold.core.fold import JobState
from fanfold.core.models import BAD, Output, RunStatus
from fanfold.errors import FanfoldError, InputError
from fanfold.job.causes import input_line
from fanfold.workbench.following import FollowedJob, FollowedJobs
from fanfold.workbench.job_log import cut
from fanfold.workbench.previews import in_short, is_plain_result, is_read_in_short

_MOST_ROWS = 200
_MOST_LINES = 2_000
#: Characters of lines that are sent together: all viewers wait while they are written as JSON.
_MOST_CHARACTERS = 1_000_000
#: What the table of runs may be filtered by: any, all that are bad, or one status.
STATUSES = ("", "bad", *(status.value for status in RunStatus))
_FORMATS = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv",
    "jsonl": "application/x-ndjson",
    "gpkg": "application/geopackage+sqlite3",
    "tif": "image/tiff; application=geotiff; profile=cloud-optimized",
}


def add_routes(followed_jobs: FollowedJobs) -> None:
    """Tell the application these addresses."""

    @app.get("/job/{job_id}/runs.json")
    async def runs(
        job_id: str, start: int = 0, stop: int = 100, sort: str = "run", order: str = "asc", status: str = ""
    ) -> Any:
        if status not in STATUSES:
            raise HTTPException(
                400, f"No run has the status {status!r}; there are {', '.join(filter(None, STATUSES))}."
            )
        followed = await asyncio.to_thread(_job, followed_jobs, job_id)
        stop = min(stop, start + _MOST_ROWS)
        page = await asyncio.to_thread(
            run_rows, followed, (start, stop), sort=sort, descending=order == "desc", status=status
        )
        return _json(page)

    add_log_routes(followed_jobs)
    add_download_routes(followed_jobs)


def add_download_routes(followed_jobs: FollowedJobs) -> None:
    """Tell the application the addresses of a job's files: its report, and its results."""

    @app.get("/job/{job_id}/report.html")
    async def report(job_id: str) -> Any:
        followed = await asyncio.to_thread(_job, followed_jobs, job_id)
        asked = ("write_report", followed.job.id, followed.job.header.engine)
        return await file_of(f"{job_id}.html", "text/html", lambda path: followed.results.ask(*asked, str(path)))

    @app.get("/job/{job_id}/results.{kind}")
    async def results(job_id: str, kind: str) -> Any:
        if kind not in _FORMATS:
            raise HTTPException(404, f"Results come as {', '.join(_FORMATS)}.")
        followed = await asyncio.to_thread(_job, followed_jobs, job_id)
        return await file_of(f"{job_id}.{kind}", _FORMATS[kind], lambda path: _write(followed, path))


async def file_of(name: str, media_type: str, write: Callable[[Path], object]) -> FileResponse:
    """A file that a thread writes, and that is gone when it has been sent; what keeps it from being made is said."""
    folder = None
    try:
        folder = tempfile.TemporaryDirectory(prefix="fanfold-")
        path = Path(folder.name) / name
        await asyncio.to_thread(write, path)
    except (FanfoldError, OSError) as error:
        if folder is not None:
            folder.cleanup()
        raise HTTPException(409, str(error)) from error
    return FileResponse(path, media_type=media_type, filename=name, background=BackgroundTask(folder.cleanup))


def add_log_routes(followed_jobs: FollowedJobs) -> None:
    """Tell the application the addresses of a job's log: a stretch of lines, a search, and all of it as a file."""

    @app.get("/job/{job_id}/logs.json")
    async def lines(job_id: str, start: int = 0, stop: int = 500, run: int | None = None) -> Any:
        log = (await asyncio.to_thread(_job, followed_jobs, job_id)).log
        found = await asyncio.to_thread(log.lines, start, min(stop, start + _MOST_LINES), run)
        return _json({"count": log.count(run), "lines": cut(found, _MOST_CHARACTERS)})

    @app.get("/job/{job_id}/logs/next.json")
    async def search(job_id: str, after: int = -1, run: int | None = None, words: str = "") -> Any:
        log = (await asyncio.to_thread(_job, followed_jobs, job_id)).log
        if words:
            hit = await asyncio.to_thread(log.next_hit, words, after, run)
        else:
            hit = await asyncio.to_thread(log.next_error, after, run)
        return _json({"place": hit.place, "count": hit.count, "all": hit.counted_all, "lines": log.count(run)})

    @app.get("/job/{job_id}/logs.txt")
    async def whole(job_id: str, run: int | None = None) -> Any:
        log = (await asyncio.to_thread(_job, followed_jobs, job_id)).log
        name = f"{job_id}.log" if run is None else f"{job_id}-run-{run}.log"
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(log.text(run), media_type="text/plain; charset=utf-8", headers=headers)


def run_rows(
    followed: FollowedJob, part: tuple[int, int], *, sort: str, descending: bool, status: str
) -> dict[str, Any]:
    """Some runs of a job in some order, and how many there are of the status that is asked for."""
    with followed.lock:
        job, state = followed.job, followed.job.state
        indexes = _sorted(state, _of_status(state, status), sort, descending=descending)
        shown = indexes[slice(*part)]
        rows = [_row(followed, index) for index in shown]
        outputs = {index: output for index in shown if (output := state.output(index)) is not None}
    results = _in_short(followed, outputs)
    for row in rows:
        row["result"] = results.get(row["run"], "")
    return {"rows": rows, "count": len(indexes), "job": job.id}


def _in_short(followed: FollowedJob, outputs: dict[int, Output]) -> dict[int, str]:
    """Results in a line each: what needs a library to be read is read by the process that has it."""
    contents = followed.job.contents
    plain = {index: one for index, one in outputs.items() if is_plain_result(one) or not is_read_in_short(one)}
    found = {index: in_short(contents, index, one) for index, one in plain.items()}
    others = {index: one for index, one in outputs.items() if index not in found}
    if not others:
        return found
    try:
        return {**found, **followed.results.ask("look_in_short", followed.job.header, others)}
    except FanfoldError as error:  # the runs are shown all the same
        return found | dict.fromkeys(others, f"({error.message})")


def _of_status(state: JobState, status: str) -> Iterable[int]:
    if not status:
        return range(state.header.count)
    return state.indexes(*(BAD if status == "bad" else (RunStatus(status),)))


def _sorted(state: JobState, indexes: Iterable[int], by: str, *, descending: bool) -> list[int]:
    keys = {
        "status": lambda index: state.status_of(index).value,
        "took": lambda index: state.duration_s(index) or 0.0,
        "memory": lambda index: usage.peak_memory_mib if (usage := state.usage(index)) else 0.0,
        "attempt": state.attempt_of,
    }
    return sorted(indexes, key=keys.get(by, lambda index: index), reverse=descending)


def _row(followed: FollowedJob, index: int) -> dict[str, Any]:
    state = followed.job.state
    usage = state.usage(index)
    return {
        "run": index,
        "input": input_line(followed.job.contents, index),
        "status": state.status_of(index).value,
        "took": usage and round(usage.duration_s, 4),
        "memory": usage and round(usage.peak_memory_mib, 1),
        "attempt": state.attempt_of(index) + 1,
    }


def _json(value: Any) -> Response:
    """JSON in ASCII: what runs print and give may hold what is no Unicode, as the half of a surrogate pair."""
    return Response(json.dumps(value), media_type="application/json")


def _write(followed: FollowedJob, path: Path) -> None:
    if not followed.job.state.done:
        raise InputError("The job still runs.", next_step="download its results when it has ended.")
    followed.results.ask("write_results", followed.job.id, followed.job.header.engine, str(path))


def _job(followed_jobs: FollowedJobs, job_id: str) -> FollowedJob:
    try:
        followed = followed_jobs.followed(job_id)
        followed.look()
    except FanfoldError as error:
        raise HTTPException(404, str(error)) from error
    if followed.trouble is not None and not followed.read_at:
        raise HTTPException(409, str(followed.trouble))
    return followed
