"""The pictures and figures that the runs of a job have given, side by side, some at a time."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import HTTPException, Response
from nicegui import app

from fanfold.core.models import GOOD
from fanfold.errors import FanfoldError
from fanfold.job.causes import input_line
from fanfold.workbench.following import FollowedJob, FollowedJobs
from fanfold.workbench.layout import button, element, script, set_text, show, text
from fanfold.workbench.previews import is_plain_result

_A_PAGE = 24
#: As many results are looked at to find out whether there are pictures among them: the first may be none.
_LOOKED_AT = 5
#: Characters of an input below its picture.
_INPUT = 120


def add_gallery_routes(followed_jobs: FollowedJobs) -> None:
    """Tell the application where the picture of one run is."""

    @app.get("/job/{job_id}/picture/{run}")
    async def picture(job_id: str, run: int) -> Any:
        try:
            found = await asyncio.to_thread(lambda: _picture(followed_jobs.followed(job_id), run))
        except FanfoldError as error:
            raise HTTPException(409, str(error)) from error
        if found is None:
            return Response(status_code=204)
        return Response(found[1], media_type=found[0])


def _picture(followed: FollowedJob, run: int) -> tuple[str, bytes] | None:
    state = followed.job.state
    output = state.output(run) if 0 <= run < state.header.count else None
    if output is None or is_plain_result(output):  # JSON's own kinds are no picture
        return None
    found: tuple[str, bytes] | None = followed.results.ask("read_picture", state.header, run, output)
    return found


class Gallery:
    """One viewer's pictures of a job that has ended, where there is one among its first results."""

    def __init__(self, followed: FollowedJob) -> None:
        self._followed = followed
        self._runs: list[int] = []
        self._has_pictures, self._first = False, 0

    def collect(self) -> None:
        """Find out whether there is something to show; called in a thread."""
        state = self._followed.job.state
        self._runs = list(state.indexes(*GOOD)) if state.done else []
        self._has_pictures = any(map(self._is_picture, self._runs[:_LOOKED_AT]))

    def _is_picture(self, run: int) -> bool:
        try:
            return _picture(self._followed, run) is not None
        except FanfoldError:  # the table below says what cannot be read, and why
            return False

    def build(self) -> None:
        """Add the first pictures to the page; nothing where the results are none."""
        if not self._has_pictures:
            return
        with element("section", "ff-card").props('aria-label="Pictures of all runs"'):
            with element("div", "ff-row"):
                self._count = text("", "ff-muted ff-small ff-spread", "span").props("role=status")
                self._before = button("Pictures before", lambda: self._move(-_A_PAGE))
                self._after = button("Pictures after", lambda: self._move(_A_PAGE))
            self._box = element("div", "ff-gallery")
        self._fill()

    def _move(self, by: int) -> None:
        self._first += by
        self._fill()

    def _fill(self) -> None:
        runs = self._runs[self._first : self._first + _A_PAGE]
        last = self._first + len(runs)
        set_text(self._count, f"{self._first + 1:,} to {last:,} of {len(self._runs):,} runs that gave a result")
        show(self._before, shown=self._first > 0)
        show(self._after, shown=last < len(self._runs))
        self._box.clear()
        with self._box:
            for run in runs:
                self._show(run)
        script("picturesIn", f"c{self._box.id}")

    def _show(self, run: int) -> None:
        job_id = self._followed.job.id
        address = f"/job/{job_id}/picture/{run}"
        words = f"run {run}: {input_line(self._followed.job.contents, run)[:_INPUT]}"
        with element("a") as link:
            link._props["href"] = f"/job/{job_id}/run/{run}"
            element("div", "ff-small-figure")._props.update({"data-picture": address, "aria-hidden": "true"})
            text(words, "ff-small ff-mono", "span")
