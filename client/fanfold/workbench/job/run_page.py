"""A page for one run: its input, times, memory, what it printed, and its result or why it failed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from nicegui import ui
from nicegui.element import Element

from fanfold.api.submit import get_job
from fanfold.core.formatting import counted, duration
from fanfold.core.models import RunStatus
from fanfold.core.raising import raising_line
from fanfold.errors import FanfoldError
from fanfold.job.history import clock
from fanfold.job.step_history import latest
from fanfold.workbench.following import EarlierAttempt, FollowedJob, FollowedJobs
from fanfold.workbench.job.errors_panel import editor_address
from fanfold.workbench.job.opening import open_job
from fanfold.workbench.job.run_again import AgainButton, run_again, why_not_again
from fanfold.workbench.job.run_detail import RunDetail, read_run, show_run
from fanfold.workbench.job_log import LogLine, last_of
from fanfold.workbench.layout import button, copy_button, element, every, link, set_text, show, text

_LINES = 500
#: Characters of them.
_CHARACTERS = 200_000
_STEPS = 200
_LOOK_S = 1.0


async def show_run_page(followed_jobs: FollowedJobs, job_id: str, index: int) -> None:
    """Build the page of one run for one viewer, or say that there is none."""
    followed = await open_job(followed_jobs, job_id)
    if followed is None:
        return
    ui.page_title(f"run {index} · {followed.job.name} · Fanfold")
    with element("div", "ff-row"):
        link(f"{followed.job.name} · {job_id}", f"/job/{job_id}")
    if not 0 <= index < len(followed.job):
        text(f"This job has no run {index}: its runs are 0 to {len(followed.job) - 1}.", "ff-card ff-empty")
        return
    await _RunPage(followed, index).begin()


class _RunPage:
    """One viewer's page of one run. A part is built anew only when it says something else: somebody may read it."""

    def __init__(self, followed: FollowedJob, index: int) -> None:
        self._followed, self._index = followed, index
        self._drawn: tuple[object, ...] = ()
        #: By part, what it said when it was built.
        self._said: dict[Element, object] = {}
        with element("div", "ff-stack"):
            self._head = element("div", "ff-stack")
            self._where = text("", "ff-pre ff-hidden", "pre")
            self._where.props('tabindex=0 role=region aria-label="Where it is now"')
            with element("section", "ff-card").props('aria-label="Facts"'):
                self._figures = element("div", "ff-stack")
            with element("section", "ff-card").props('aria-label="What it gave"'):
                self._gave = element("div", "ff-stack")
            self._steps = element("div", "ff-stack ff-hidden")
            self._build_log()

    async def begin(self) -> None:
        """Draw the run, and go on looking while it may change."""
        await self._look()
        every(_LOOK_S, self._look)

    async def _look(self) -> None:
        followed, index = self._followed, self._index
        followed.seen_by(ui.context.client)
        await followed.look_soon()
        state = followed.job.state
        attempts = (state.attempt_of(index), len(self._earlier()))
        told = (followed.log.count(index), followed.step_counts[index])
        now = (state.status_of(index), attempts, told, state.done)
        if now == self._drawn:
            return
        detail = await asyncio.to_thread(read_run, followed, index)
        printed = await asyncio.to_thread(self._printed)
        self._drawn = now
        why_not = why_not_again(state, 1) if detail.failure else ""
        self._part(self._head, (detail.status, detail.failure, why_not), lambda: self._build_head(detail, why_not))
        if detail.status != RunStatus.RUNNING.value:
            show(self._where, shown=False)  # it is nowhere any more
        self._part(self._figures, (self._facts(detail), self._attempts(detail)), lambda: self._build_figures(detail))
        self._part(self._gave, detail._replace(took_s=None), lambda: show_run(detail))
        self._part(self._steps, followed.step_counts[index], self._build_steps)
        show(self._steps, shown=bool(followed.step_counts[index]))
        self._show_log(printed, told[0])

    def _part(self, box: Element, says: object, build: Callable[[], object]) -> None:
        """Build a part of the page, unless it says that already."""
        if box not in self._said or self._said[box] != says:
            self._said[box] = says
            box.clear()
            with box:
                build()

    def _build_head(self, detail: RunDetail, why_not: str) -> None:
        job_id, index = self._followed.job.id, self._index
        with element("div", "ff-row"):
            text(f"Run {index}", "", "h1")
            text(detail.status.replace("_", " "), f"ff-status ff-{detail.status}", "span").props("role=status")
            with element("span", "ff-row ff-spread"):
                for label, other in (("Run before", index - 1), ("Run after", index + 1)):
                    if 0 <= other < len(self._followed.job):
                        link(label, f"/job/{job_id}/run/{other}")
        with element("div", "ff-row ff-actions").props('role=group aria-label="What to do"'):
            line = raising_line(detail.failure)
            if line is not None:
                address = editor_address(self._followed.job.header, index, line)
                link("Open in the editor", address, "ff-button ff-first")
            if detail.failure:
                AgainButton("", self._run_again).update("Run it again", why_not)
            if detail.status == RunStatus.RUNNING.value:
                button("Where is it now?", self._ask_where)
            copy_button("Copy Python", f'fanfold.get_job("{job_id}")[{index}]')

    def _build_figures(self, detail: RunDetail) -> None:
        with element("div", "ff-facts"):
            for name, value in self._facts(detail).items():
                with element("div"):
                    text(name, "", "span")
                    text(value, "", "b")
        self._build_times(detail)

    def _build_times(self, detail: RunDetail) -> None:
        """From the submit to its end as one bar: what it waited, each attempt, and what lay between two."""
        header, parts = self._followed.job.header, []
        at, ended = header.created_at, False
        for one in self._attempts(detail):
            parts.append(("wait", max(0.0, one.began - at), f"waited {duration(max(0.0, one.began - at))}"))
            words = (
                f"attempt {one.attempt + 1} {one.status.replace('_', ' ')}, {duration(max(0.0, one.ended - one.began))}"
            )
            beside = " beside the one before" if ended and one.began < at else ""
            parts.append((one.status, max(0.0, one.ended - max(one.began, at)), f"{words}{beside}"))
            at, ended = max(at, one.ended), True
        if not parts:
            return
        whole_s = max(1e-9, sum(took_s for _, took_s, _ in parts))
        said = "; ".join(words for status, took_s, words in parts if took_s > 0 or status != "wait")
        with element("div", "ff-progress ff-times").props("role=img") as bar:
            bar._props["aria-label"] = said
            for status, took_s, words in parts:
                part = element("i", f"ff-{status}").style(f"width: {100 * took_s / whole_s:.3f}%")
                part._props["title"] = words
        text(said, "ff-muted ff-small")
        for one in self._earlier():
            words = f"attempt {one.attempt + 1} {one.status.replace('_', ' ')} at {clock(one.ended)}"
            text(f"{words}: {one.why}" if one.why else words, "ff-mono")

    def _earlier(self) -> list[EarlierAttempt]:
        mine = [one for one in self._followed.earlier if one.run == self._index]
        return sorted(mine, key=lambda one: one.attempt)

    def _attempts(self, detail: RunDetail) -> list[EarlierAttempt]:
        """All attempts that have begun; the last one goes until now where it still runs."""
        state, index = self._followed.job.state, self._index
        began, ended = state.started_at(index), state.finished_at(index)
        if ended is not None and detail.took_s is not None:
            began = ended - detail.took_s
        if began is None:
            return self._earlier()
        end = ended if ended is not None else max(began, state.now())
        return [*self._earlier(), EarlierAttempt(index, state.attempt_of(index), began, end, detail.status, "")]

    async def _run_again(self) -> None:
        await run_again(self._followed, [self._index], self._look)

    async def _ask_where(self) -> None:
        """Show the stack of the worker; a job of its own is asked, so that no other viewer has to wait."""
        job_id, engine = self._followed.job.id, self._followed.job.header.engine

        def ask() -> str:
            return get_job(job_id, engine=engine)[self._index].stack()

        set_text(self._where, "Asking the worker …")
        show(self._where, shown=True)
        try:
            words = await asyncio.to_thread(ask)
        except FanfoldError as error:
            words = str(error)
        set_text(self._where, words or "It stands in code that is not the UDF's.")

    def _facts(self, detail: RunDetail) -> dict[str, str]:
        state, index = self._followed.job.state, self._index
        started, usage, output = state.started_at(index), state.usage(index), state.output(index)
        facts = {
            "attempt": f"{state.attempt_of(index) + 1}",
            "waited": ""
            if started is None or self._earlier()
            else duration(max(0.0, started - state.header.created_at)),
            "started": "" if started is None else clock(started),
            "run time": "" if detail.took_s is None else duration(detail.took_s),
            "CPU time": "" if usage is None else duration(usage.cpu_s),
            "peak memory": "" if usage is None else f"{usage.peak_memory_mib:,.0f} MiB",
            "runs on": f"{state.header.engine} · {state.header.instance_type or 'realtime'}",
            "machine": self._machine(),
            "result": "" if output is None else f"{output.codec}, {counted(output.size, 'byte')}",
        }
        return {name: value for name, value in facts.items() if value}

    def _machine(self) -> str:
        """The machine that was seen to perform it last; empty where none has said so."""
        seen = next((one.machine for one in reversed(self._followed.samples) if one.run == self._index), "")
        return f"machine {self._followed.machines[seen]} · {seen}" if seen in self._followed.machines else ""

    def _build_steps(self) -> None:
        """Each attempt's steps: what it computed, and what it was given of earlier attempts."""
        count = self._followed.step_counts[self._index]
        if not count:
            return
        steps = latest([one for one in self._followed.steps if one.run == self._index])
        shown = steps[-_STEPS:]
        with element("section", "ff-card").props('aria-label="Steps"'):
            text("Steps", "", "h2")
            given = sum(one.how in ("kept", "loaded") for one in steps)
            words = f"{len(steps) - given:,} computed or saved, {given:,} answered from the log"
            cut = "" if len(shown) == len(steps) else f"; the last {len(shown):,} here"
            text(f"{words}{cut}", "ff-muted ff-small")
            lines = [f"attempt {one.attempt + 1}  {one.words(clock)}" for one in shown]
            text("\n".join(lines), "ff-pre", "pre").props('tabindex=0 role=region aria-label="Steps of this run"')

    def _build_log(self) -> None:
        """The box for what it prints, which is filled as that comes; what is marked and scrolled to stays."""
        with element("section", "ff-card").props('aria-label="What it printed"'):
            text("Logs", "", "h2")
            self._count = text("", "ff-muted ff-small")
            self._lines = text("", "ff-pre ff-hidden", "pre").props("tabindex=0")
            with element("div", "ff-row ff-hidden") as self._log_links:
                link("Search in them", f"/job/{self._followed.job.id}?tab=Logs&run={self._index}")
                link("Download", f"/job/{self._followed.job.id}/logs.txt?run={self._index}")

    def _printed(self) -> list[LogLine]:
        """The last lines, as far as there is room for them; called in a thread."""
        log, index = self._followed.log, self._index
        count = log.count(index)
        return last_of(log.lines(count - _LINES, count, index), _CHARACTERS)

    def _show_log(self, lines: list[LogLine], count: int) -> None:
        cut = f", the last {len(lines):,} here" if count > len(lines) else ""
        set_text(self._count, f"{counted(count, 'line')}{cut}" if count else "It has printed nothing.")
        words = [f"{time.strftime('%H:%M:%S', time.localtime(line.at))}  {line.text}" for line in lines]
        set_text(self._lines, "\n".join(words))
        for one in (self._lines, self._log_links):
            show(one, shown=bool(count))
