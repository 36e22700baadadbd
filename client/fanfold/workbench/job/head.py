"""The head of a job's page: how it stands in numbers and words, and the buttons to steer it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from nicegui import ui
from nicegui.element import Element

from fanfold.contract.records import NamedTuple
from fanfold.core.formatting import duration
from fanfold.core.models import BAD, RunStatus
from fanfold.errors import FanfoldError
from fanfold.job.causes import Cause, causes_of, input_line
from fanfold.job.history import clock
from fanfold.job.summary import Summary
from fanfold.job.waiting import remaining_s
from fanfold.workbench.editor.fix import run_these
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.job.errors_panel import editor_address
from fanfold.workbench.job.files import file_kinds
from fanfold.workbench.job.new_code import NewCodeDialog, codes_for
from fanfold.workbench.job.run_again import run_again
from fanfold.workbench.layout import button, copy_button, dialog_named, element, link, set_text, show, text

#: What has ended fills the bar from the left, and what runs follows it.
_ENDED_FIRST = sorted(RunStatus, key=lambda status: (not status.final, status is RunStatus.QUEUED))
#: What is shown of a job, in this order.
_FACTS = ("runtime", "time left", "now", "per run", "peak memory", "retries", "cost", "runs on", "started")
#: The kinds of files that results are downloaded as, and what these are called.
_FILES = (("parquet", "Parquet"), ("csv", "CSV"), ("jsonl", "JSONL"), ("gpkg", "GeoPackage"), ("tif", "GeoTIFF"))
#: A notice that stays until it is closed.
_STAYS: dict[str, Any] = {"multi_line": True, "timeout": 0, "close_button": True}
#: A summary, and what is left, go through all runs several times.
_SUMMARY_S = 3.0


class _Sum(NamedTuple):
    """What goes through all runs: the job in numbers, seconds left, its first cause, and the input that had it."""

    summary: Summary
    left_s: float | None
    cause: Cause | None
    input: str


class JobHead:
    """Always in sight; `look` is called after each of its actions."""

    def __init__(self, followed: FollowedJob, look: Callable[[], Awaitable[None]], engine: str, folder: Path) -> None:
        self._followed, self._engine, self._folder = followed, engine, folder
        self._new_code: Element | None = None
        self._dialog = NewCodeDialog(followed, folder, engine, self._looked_anew)
        self._sum: _Sum | None = None
        #: The kinds of files that are offered, and as of which version of the job.
        self._offered: tuple[str, ...] = ()
        self._offered_of = -2
        self._shown_cause: tuple[object, ...] = ()
        self._cause_title: Element | None = None
        self._look = look
        self._advised: list[str] = []
        self._build()

    def _build(self) -> None:
        job = self._followed.job
        with element("div", "ff-row"):
            text(job.name, "", "h1")
            self._status = text("", "ff-status", "span").props("role=status")
            text(job.id, "ff-mono ff-muted", "span")
        with element("div", "ff-row ff-actions").props('role=group aria-label="What to do"'):
            self._cancel = button("Cancel", self._ask_to_cancel, "ff-danger")
            self._retry = button("Retry failed", self._retry_failed, "ff-first")
            self._notify = text("Notify me", "ff-button", "button").props("type=button")
            asking = f"() => window.ff.notifyWhenDone('{job.id}').then(emit)"
            self._notify.on(
                "click", lambda event: ui.notify(str(event.args), position="bottom-left"), js_handler=asking
            )
            copy_button("Copy Python", f'fanfold.get_job("{job.id}")')
            copy_button("Copy command", f"fanfold status {job.id}")
            self._downloads = {kind: self._download(f"Download {name}", f"results.{kind}") for kind, name in _FILES}
            self._download("Report", "report.html")
            link("Compare", f"/compare?after={job.id}", "ff-button")
        with element("section", "ff-card").props('aria-label="How it stands"'):
            self._bar = element("div", "ff-progress").props('role=progressbar aria-label="Progress" aria-valuemin=0')
            self._legend = element("div", "ff-legend")
            self._counted = {status.value: self._count(status.value) for status in _ENDED_FIRST}
            with element("div", "ff-facts"):
                self._facts = {name: self._fact(name) for name in _FACTS}
            self._stopped = text("", "ff-bad ff-hidden")
            self._advice = element("ul", "ff-advice ff-hidden")
        self._first_cause = element("section", "ff-card ff-cause-head ff-hidden").props('aria-label="Why it failed"')

    def _count(self, status: str) -> tuple[Element, Element]:
        """A status's part of the bar, and its words below. All are made once: what is only moved can be read on."""
        with self._bar:
            part = element("i", f"ff-{status} ff-hidden")
        with self._legend:
            return part, text("", f"ff-status ff-{status} ff-hidden", "span")

    def _fact(self, name: str) -> tuple[Element, Element]:
        with element("div", "ff-hidden") as box:
            text(name, "", "span")
            return box, text("", "", "b")

    def _download(self, label: str, name: str) -> Element:
        address = f"/job/{self._followed.job.id}/{name}"

        def failed(event: Any) -> None:
            ui.notify(
                str(event.args), type="negative", position="bottom-left", multi_line=True, timeout=0, close_button=True
            )

        made = text(label, "ff-button", "a")
        made._props["href"] = address
        # The browser saves what comes; what the server refuses is an answer in words, which it would save as well.
        handler = "(e) => { e.preventDefault(); window.ff.download(e.currentTarget).then((why) => why && emit(why)); }"
        return made.on("click", failed, js_handler=handler)

    def prepare(self) -> None:
        """Sum up the job and find its first cause; called in a thread, for both go through all runs."""
        self._sum = self._followed.once("head", self._summed_up, _SUMMARY_S, by_time=True)

    def collect(self) -> None:
        """Find out what the results can be downloaded as; called in a thread, without the job's lock."""
        if self._offered_of != self._followed.version:
            self._offered_of = self._followed.version
            self._offered = file_kinds(self._followed)

    def _summed_up(self) -> _Sum:
        job, state = self._followed.job, self._followed.job.state
        cause = next(iter(self._followed.once("causes", lambda: causes_of(state), _SUMMARY_S)), None)
        return _Sum(
            job.summary(),
            None if state.done else remaining_s(state, state.now()),
            cause,
            "" if cause is None else input_line(self._followed.job.contents, cause.runs[0]),
        )

    def refresh(self) -> None:
        """Show how the job stands as it was last read."""
        job, state = self._followed.job, self._followed.job.state
        status, counts = state.status.value, state.counts()
        set_text(self._status, status)
        self._status.classes(replace=f"ff-status ff-{status}")
        show(self._cancel, shown=not state.done)
        show(self._notify, shown=not state.done)
        show(self._retry, shown=state.done and any(counts[one] for one in BAD))
        set_text(self._retry, "Run the rest" if counts[RunStatus.CANCELLED] else "Retry failed")
        for kind, one in self._downloads.items():
            show(one, shown=kind in self._offered)
        self._show_counts({one.value: count for one, count in counts.items() if count}, len(job))
        if self._sum is not None:
            self._show_facts(self._sum.summary, self._sum.left_s)
        self._show_first_cause()

    def _show_first_cause(self) -> None:
        """The most frequent failure: what was raised, where, by how many runs, from which input, and the way there."""
        cause = None if self._sum is None else self._sum.cause
        show(self._first_cause, shown=cause is not None)
        if cause is None or self._shown_cause == (cause.key, cause.message, cause.runs[0]):
            if cause is not None and self._cause_title is not None:
                set_text(self._cause_title, cause.title)  # of more runs, it may be
            self._show_new_code()
            return
        self._shown_cause = (cause.key, cause.message, cause.runs[0])
        job_id, run = self._followed.job.id, cause.runs[0]
        self._first_cause.clear()
        with self._first_cause:
            self._cause_title = text(cause.title, "", "h2")
            text(cause.message[:500], "ff-mono ff-message")
            with element("div", "ff-small ff-mono"):
                link(f"run {run}", f"/job/{job_id}/run/{run}")
                text(f": {self._sum.input if self._sum else ''}", "", "span")
            with element("div", "ff-row"):
                address = editor_address(self._followed.job.header, run, cause.key.line)
                link("Open in the editor", address, "ff-button ff-first")
                self._new_code = button("", self._ask_for_code)
            self._show_new_code()

    def _show_counts(self, counts: dict[str, int], total: int) -> None:
        ended = total - counts.get("queued", 0) - counts.get("running", 0)
        if (self._bar._props.get("aria-valuenow"), self._bar._props.get("aria-valuemax")) != (ended, total):
            self._bar._props.update({"aria-valuemax": total, "aria-valuenow": ended})
            self._bar.update()
        for status, (part, words) in self._counted.items():
            count = counts.get(status, 0)
            set_text(words, f"{count:,} {status.replace('_', ' ')}")
            show(words, shown=bool(count))
            part.style(f"width: {100 * count / max(1, total):.3f}%")
            show(part, shown=bool(count) and status != "queued")

    def _show_facts(self, summary: Summary, left_s: float | None) -> None:
        for name, value in self._facts_of(summary, left_s).items():
            box, words = self._facts[name]
            set_text(words, value)
            show(box, shown=bool(value))
        set_text(self._stopped, f"Stopped: {summary.stop_reason}")
        show(self._stopped, shown=bool(summary.stop_reason))
        if summary.advice != self._advised:
            self._advised = summary.advice
            self._advice.clear()
            with self._advice:
                for line in summary.advice:
                    text(line, "", "li")
        show(self._advice, shown=bool(summary.advice))

    def _facts_of(self, summary: Summary, left_s: float | None) -> dict[str, str]:
        job, state = self._followed.job, self._followed.job.state
        header, now = job.header, state.now()
        return {
            "runtime": duration(summary.wall_s if state.done else max(0.0, now - header.created_at)),
            "time left": "" if left_s is None else f"about {duration(left_s)}",
            "now": "" if state.counts()[RunStatus.RUNNING] else summary.waits_for,
            "per run": _per_run(summary),
            "peak memory": _memory(summary),
            "retries": f"{summary.retried:,}" if summary.retried else "",
            "cost": summary.cost.describe(),
            "runs on": f"{header.engine} · {header.instance_type or 'realtime'}",
            "started": f"{clock(header.created_at)} by {header.owner}",
        }

    # --- steering ------------------------------------------------------------------------------------------------

    def _ask_to_cancel(self) -> None:
        with dialog_named("Cancel this job?") as dialog, element("div", "ff-dialog"):
            text("Cancel this job?", "", "h2")
            text("What runs is ended and nothing more is started; what has finished stays finished.")
            with element("div", "ff-row"):
                button("Cancel the job", partial(self._cancelled, dialog), "ff-danger")
                button("Let it run", dialog.close)
        dialog.open()

    async def _cancelled(self, dialog: ui.dialog) -> None:
        dialog.close()
        await self._steer(lambda: self._followed.job.cancel(wait=False), "Cancelling …")

    async def _retry_failed(self) -> None:
        await run_again(self._followed, look=self._look)

    async def _looked_anew(self) -> None:
        await asyncio.to_thread(self._followed.look_now)
        await self._look()

    async def _ask_for_code(self) -> None:
        """Offer the files that have the UDF: their text is what the failed runs would be run with."""
        cause, header = self._sum.cause if self._sum else None, self._followed.job.header
        if cause is not None:
            codes = await asyncio.to_thread(codes_for, self._folder, header.name, cause.key.line)
            self._dialog.open(codes, self._failed(), editor_address(header, cause.runs[0], cause.key.line))

    def _failed(self) -> int:
        counts = self._followed.job.state.counts()
        return sum(counts[status] for status in BAD)

    def _show_new_code(self) -> None:
        """A job that still runs cannot be given other code."""
        if self._new_code is not None:
            set_text(self._new_code, run_these(self._failed()))
            show(self._new_code, shown=self._followed.job.state.done)

    async def _steer(self, act: Callable[[], object], said: str) -> None:
        def locked() -> None:
            with self._followed.lock:
                act()
            self._followed.look_now()

        try:
            await asyncio.to_thread(locked)
            ui.notify(said, position="bottom-left")
        except FanfoldError as error:
            ui.notify(str(error), type="negative", position="bottom-left", multi_line=True)
        await self._look()


def _per_run(summary: Summary) -> str:
    if summary.median_s is None or summary.longest_s is None:
        return ""
    return f"median {duration(summary.median_s)}, longest {duration(summary.longest_s)}"


def _memory(summary: Summary) -> str:
    limit = "" if summary.memory_limit_mib is None else f" of {summary.memory_limit_mib:,.0f}"
    return "" if summary.peak_memory_mib is None else f"{summary.peak_memory_mib:,.0f} MiB{limit}"
