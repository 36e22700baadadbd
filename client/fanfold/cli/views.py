"""How jobs stand at a moment: the list of them, and one by itself, as tables for people and lines for pipes."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Any

import typer

from fanfold.cli.exits import ExitCode
from fanfold.cli.output import Column, ago, arguments, note, print_text, table_text
from fanfold.cli.records import job_records, status_record
from fanfold.contract.records import NamedTuple
from fanfold.core.formatting import Dollars, duration
from fanfold.core.models import RunStatus
from fanfold.engines.base import Engine
from fanfold.errors import StoreError
from fanfold.job import Job
from fanfold.job.waiting import ANSWER_S, describe_counts, remaining_s

_JOBS = (
    Column("job"),
    Column("name", flexible=True),
    Column("status"),
    Column("ended", right=True),
    Column("started"),
    Column("cost", right=True),
)
_COUNTS = (Column("status"), Column("runs", right=True), Column("share", right=True))
_RUNNING = (Column("run", right=True), Column("for", right=True), Column("input", flexible=True))
#: So many running runs are shown, those that have run for longest.
_SHOWN = 5
_BAR = 40


class JobList:
    """The latest jobs, each followed from look to look: of a job that has ended nothing is read again."""

    def __init__(self, find: Callable[[], list[Job]], *, none: str) -> None:
        self._find = find
        #: What is said where there are none.
        self._none = none
        self._jobs: dict[str, Job] = {}
        self._told: dict[str, object] = {}

    def records(self) -> list[dict[str, Any]]:
        """A record of each job, as it is now."""
        self._jobs = {job.id: self._jobs.get(job.id, job) for job in self._find()}
        return job_records(self._jobs.values())

    def view(self) -> View:
        """The jobs as a table."""
        records = self.records()
        rows = [
            (
                r["id"],
                " ".join((r["name"], *job.header.tags)),
                r["status"],
                _part(r),
                ago(job.header.created_at, job.tracker.engine.stores.log.now()),
                str(Dollars(r["cost_usd"])),
            )
            for job, r in zip(self._jobs.values(), records, strict=True)
        ]
        table = table_text(_JOBS, rows) if rows else self._none
        return View(table, table, [_news(record) for record in records])

    def costs_by(self, tag: str) -> list[dict[str, Any]]:
        """What the jobs cost together, for each value that they give a tag; None stands for those without it."""
        sums: dict[str | None, dict[str, Any]] = {}
        records = self.records()
        for job, record in zip(self._jobs.values(), records, strict=True):
            values = dict(one.split("=", 1) for one in job.header.tags)
            value = values.get(tag)
            one = sums.setdefault(value, {tag: value, "jobs": 0, "runs": 0, "cost_usd": 0.0})
            one["jobs"] += 1
            one["runs"] += len(job)
            one["cost_usd"] += record["cost_usd"]
        return sorted(sums.values(), key=lambda one: (-one["cost_usd"], str(one[tag])))

    def costs_table(self, tag: str) -> str:
        """The same as a table, dearest first."""
        columns = (Column(tag), *(Column(name, right=True) for name in ("jobs", "runs", "cost")))
        rows = [
            (one[tag] or "-", f"{one['jobs']:,}", f"{one['runs']:,}", str(Dollars(one["cost_usd"])))
            for one in self.costs_by(tag)
        ]
        return table_text(columns, rows) if rows else self._none

    def changes(self) -> View:
        """A line of JSON for each job that has changed since the last look."""
        records = self.records()
        changed = [record for record in records if self._told.get(record["id"]) != _news(record)]
        self._told.update((record["id"], _news(record)) for record in changed)
        lines = "\n".join(json.dumps(record, default=str) for record in changed)
        return View("", lines, [_news(record) for record in records])


def job_view(job: Job) -> View:
    """One job: how far it is, its runs by status, what it takes, and what has been running for longest."""
    told = job.summary()
    state = job.state
    now = state.now()
    title, *facts = str(told).splitlines()
    running = sorted(state.indexes(RunStatus.RUNNING), key=lambda index: state.started_at(index) or now)
    parts = [
        title,
        _progress(job, told.counts, now),
        table_text(_COUNTS, [_share(status, count, len(job)) for status, count in told.counts.items()]),
        "\n".join(fact for fact in facts if not fact.startswith("  runs ")),
        table_text(_RUNNING, [_running(job, index, now) for index in islice(running, _SHOWN)]) if running else "",
    ]
    line = f"{_count_ended(told.counts, len(job)):,}/{len(job):,} ended: {describe_counts(state)}"
    if told.waits_for:
        line = f"{line}; {told.waits_for}"
    return View("\n\n".join(filter(None, parts)), str(told) if state.done else line, (line, state.done), state.done)


def job_change(job: Job) -> View:
    """One job as a line of JSON."""
    record = status_record(job)
    return View("", json.dumps(record, default=str), (_news(record), record["waits_for"]), job.state.done)


def _news(record: dict[str, Any]) -> tuple[Any, ...]:
    """What is news of a job when it is another: its times and its cost change all the while."""
    return record["id"], record["status"], tuple(record["counts"].items())


def _progress(job: Job, counts: dict[str, int], now: float) -> str:
    ended = _count_ended(counts, len(job))
    full = _BAR * ended // len(job)
    left_s = None if job.state.done else remaining_s(job.state, now)
    left = "" if left_s is None else f"  about {duration(left_s)} left"
    return f"[{'#' * full}{'.' * (_BAR - full)}] {ended:,}/{len(job):,}{left}"


def _share(status: str, count: int, total: int) -> tuple[str, str, str]:
    return status.replace("_", " "), f"{count:,}", f"{count / total:.0%}"


def _running(job: Job, index: int, now: float) -> tuple[str, str, str]:
    started = job.state.started_at(index)
    return (
        f"{index:,}",
        "" if started is None else duration(now - started),
        arguments(job.contents.own_arguments(index)),
    )


def _count_ended(counts: dict[str, int], total: int) -> int:
    return total - counts.get("queued", 0) - counts.get("running", 0)


def _part(record: dict[str, Any]) -> str:
    """How many of a job's runs have ended, of all."""
    return f"{_count_ended(record['counts'], record['runs']):,}/{record['runs']:,}"


# Views that go on: drawn in place on a terminal, and told anew, when something changes, to a pipe or a file.

#: Seconds between two looks at most, and at least.
_RARELY_S, _OFTEN_S = 1.0, 0.25


class View(NamedTuple):
    """What is seen at one moment."""

    #: What a terminal shows.
    text: str
    #: What a pipe gets where `news` is other than it was: ages and the like, which change by themselves, are not in it.
    told: str
    news: object
    #: True where nothing more will change.
    over: bool = False
    #: Why it is not up to date, where the store does not answer.
    stale: str = ""


def show(look: Callable[[], View], engine: Engine, *, stopped: str, in_place: bool = True) -> None:
    """Show what `look` sees until it is over. Ctrl-C ends the command, which says `stopped`.

    A store that does not answer is waited for, once it has answered. Raises what the first look raises.
    """
    try:
        if in_place and _draws():
            _draw(_patiently(look, engine), engine)
        else:
            _tell(_patiently(look, engine), engine)
    except KeyboardInterrupt:
        note(f"\n{stopped}")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _patiently(look: Callable[[], View], engine: Engine) -> Callable[[], View]:
    last: View | None = None

    def looked() -> View:
        nonlocal last
        try:
            with engine.stores.within(ANSWER_S):
                last = look()
        except StoreError as error:
            if last is None:
                raise
            last = last._replace(stale=last.stale or f"as of {time.strftime('%H:%M:%S')}: {error.message}")
        return last

    return looked


def _draws() -> bool:
    """True at a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _draw(look: Callable[[], View], engine: Engine) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(highlight=False), auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            view = look()
            text = f"{view.text}\n\n{view.stale}" if view.stale else view.text
            live.update(Text.from_ansi(text, no_wrap=True, overflow="crop"), refresh=True)
            if view.over:
                return
            _wait(engine)


def _tell(look: Callable[[], View], engine: Engine) -> None:
    known: object = None
    stale = ""
    while True:
        view = look()
        if view.stale != stale:
            stale = view.stale
            note(stale or "The store answers again.")
        if view.news != known:
            known = view.news
            if view.told:
                print_text(view.told)
        if view.over:
            return
        _wait(engine)


def _wait(engine: Engine) -> None:
    """Until there may be news, but neither so often that looking is all that is done, nor so rarely that ages stand."""
    began = time.monotonic()
    with suppress(StoreError):  # the next look says so
        engine.wait_for_news(_RARELY_S)
    time.sleep(max(0.0, _OFTEN_S - (time.monotonic() - began)))
