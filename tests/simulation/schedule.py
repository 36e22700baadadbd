"""One schedule: a job or two on a simulated deployment, what may happen to them, and what has to be true at the end."""

from __future__ import annotations

import atexit
import gc
import logging
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, lru_cache
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any, NamedTuple

from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind, JobHeader, JobStatus, Output, RunRef, RunStatus
from fanfold.engines.aws import engine as aws_engine
from fanfold.engines.aws import reconcile
from fanfold.engines.following import find_leaders
from fanfold.errors import FanfoldError, JobNotFound
from fanfold.job.waiting import Tracker
from fanfold.settings import Settings, current
from fanfold.stores import packing
from fanfold.stores.aws import job_headers, shard_cursors
from fanfold.stores.aws import log as aws_log
from fanfold_runtime import claiming_feed
from tests.simulation.deployment import SimulatedCloud, key_of, value_of
from tests.simulation.world import START_S, Process, Stuck, World

#: A start that had read the header before the flag was set may be heard of so much later.
_FLAG_SEEN_S = 60.0


class Outcome(NamedTuple):
    """What a schedule has shown: what was violated, and all that happened."""

    seed: int
    violations: list[str]
    notes: list[str]

    def __str__(self) -> str:
        wrong = "\n".join(f"  WRONG: {text}" for text in self.violations)
        return f"schedule {self.seed}:\n" + "\n".join(f"  {note}" for note in self.notes) + f"\n{wrong}"


class Plan:
    """What is submitted, and what its people do, as drawn from the seed."""

    def __init__(self, chance: random.Random, path: str | None) -> None:
        drawn = chance.choice(("express", "express", "distributed", "dedicated", "dedicated", "dedicated"))
        self.path = path or drawn
        self.count = chance.choice((1, 2, 2, 3, 3, 4))  # what goes wrong among six does among three
        self.machines = chance.randint(1, 3)
        self.side_by_side = chance.randint(1, 2)
        self.twin_after_s = chance.choice((None, None, 0.0, chance.uniform(0.0, 20.0)))
        self.cancel_after_s = chance.uniform(0.0, 60.0) if chance.random() < 0.25 else None

    def header(self, number: int) -> JobHeader:
        """The header of one of its jobs."""
        dedicated = self.path == "dedicated"
        return JobHeader(
            id=f"20270115-080000-amber-{number:04x}",
            name="squared",
            count=self.count,
            engine="aws",
            owner=_settings().owner,
            created_at=START_S,
            bundle_sha256="b" * 64,
            code_hash="c" * 64,
            instance_type="small" if dedicated else None,
            max_workers=self.machines if dedicated else 2 if self.path == "distributed" else None,
            n_processes_per_worker=self.side_by_side if dedicated else 1,
            max_retry=200,  # none of what goes wrong here is the code's own fault
            cache_max_age_s=86400.0,
            flight="f" * 32,
        )


def run_schedule(seed: int, path: str | None = None, *, notes_calls: bool = False) -> Outcome:
    """Carry out the schedule of that seed, by that path where one is asked for."""
    world = World(seed, notes_calls=notes_calls)
    with stage(world) as scratch:
        deployment, plan = SimulatedCloud(world, scratch), Plan(world.random, path)
        world.note(f"{vars(plan)} {vars(world.weather)}")
        try:
            checks = list(_play(deployment, plan))
        except Stuck as stuck:
            checks = [str(stuck)]
        finally:
            world.close()
    return Outcome(seed, [*deployment.violations, *checks], world.notes)


@contextmanager
def stage(world: World) -> Iterator[Path]:
    """The world's clock and chance in place of Python's, and nothing that would be printed."""
    with ExitStack() as stack:
        state, disabled = random.getstate(), logging.root.manager.disable
        stack.callback(random.setstate, state)
        if disabled < logging.CRITICAL:
            stack.callback(logging.disable, disabled)
            logging.disable(logging.CRITICAL)
        random.seed(world.seed)
        # Chance of its own: some ask for it once in a process.
        for place, name, act in ((os, "urandom", random.Random(world.seed).randbytes), *_SHORTCUTS):
            stack.callback(setattr, place, name, getattr(place, name))
            setattr(place, name, act)
        with world.clock():
            yield _scratch()


@contextmanager
def rare_collections() -> Iterator[None]:
    """Within, Python looks for garbage every few hundred schedules, and not through all that was there before.

    Each leaves a few thousand objects, and looking for them as often as Python does costs a third.
    """
    gc.freeze()
    was, _, _ = gc.get_threshold()
    gc.set_threshold(200_000)
    try:
        yield
    finally:
        gc.set_threshold(was)
        gc.unfreeze()


@cache
def _settings() -> Settings:
    """The settings of all who take part."""
    return current()


@lru_cache(maxsize=4_096)
def _events(job_id: str, data: bytes) -> tuple[Event, ...]:
    return tuple(packing.events_from_bytes(job_id, data))


#: What says nothing here, and what says the same each time, which many ask for: a settings file, a page, a header.
_SHORTCUTS: tuple[tuple[Any, str, Any], ...] = (
    (claiming_feed.telemetry, "tell_end", lambda *_: None),
    (aws_engine, "current", _settings),
    (reconcile, "submitter_has_ended", lambda _: False),  # of a process of this machine, where none of it is
    (aws_log, "events_from_bytes", lambda job_id, data: list(_events(job_id, data))),
    (job_headers, "header_from_text", lru_cache(maxsize=256)(job_headers.header_from_text)),
    # A cursor stays within its process: what it says need not become text.
    (shard_cursors, "json", SimpleNamespace(dumps=lambda told, **_: told, loads=lambda told: told)),
)


@cache
def _scratch() -> Path:
    """A folder for what passes through files, one for all schedules."""
    folder = Path(mkdtemp(prefix="fanfold-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _play(deployment: SimulatedCloud, plan: Plan) -> Iterator[str]:
    """Submit, cancel, wait; then what is wrong with what came of it."""
    world = deployment.world
    headers, over = [plan.header(0)], []
    cancelled_at: list[float] = []
    if plan.twin_after_s is not None:
        headers.append(plan.header(1))
    for number, header in enumerate(headers):
        after_s = (plan.twin_after_s or 0.0) * number
        deployment.put_inputs(header)
        submitter = deployment.submitters[header.id] = world.process(f"submitter {number}")
        world.spawn(
            submitter,
            lambda submitter=submitter, header=header: submit_job(deployment, submitter, header),
            after_s=after_s,
        )
        waiter = world.process(f"waiter {number}", mortal=False)
        world.spawn(
            waiter,
            lambda waiter=waiter, header=header: over.append(wait_for_job(deployment, waiter, header)),
            after_s=after_s + 5.0,
        )
    if plan.cancel_after_s is not None:
        canceller = world.process("canceller", mortal=False)
        world.spawn(
            canceller,
            lambda: cancelled_at.append(cancel_job(deployment, canceller, headers[0])),
            after_s=plan.cancel_after_s,
        )
    world.run(lambda: len(over) == len(headers) and (plan.cancel_after_s is None or bool(cancelled_at)))
    if cancelled_at:  # a waiter may hear of the flag before it hears of a start of the moment before
        _settle(deployment, headers[0])
    for header, seen in zip(headers, sorted(over, key=lambda state: state.header.id), strict=True):
        flag_at = cancelled_at[0] if cancelled_at and header is headers[0] else None
        yield from _check(deployment, seen, flag_at)
    if plan.cancel_after_s is None and _is_calm(world) and plan.twin_after_s is not None:
        yield from _check_once(deployment, plan)


def _settle(deployment: SimulatedCloud, header: JobHeader) -> None:
    """Let what a cancelled job still runs come to its end, as a later look at it does."""
    world = deployment.world
    while not deployment.oversee(header.id).done:
        over: list[JobState] = []
        later = world.process("later", mortal=False)
        world.spawn(
            later, lambda over=over, later=later: over.append(wait_for_job(deployment, later, header)), after_s=10.0
        )
        world.run(lambda over=over: bool(over))


def _is_calm(world: World) -> bool:
    weather = world.weather
    rough = weather.deaths, weather.interruptions, weather.twice, weather.lost_answers, weather.outages
    return not any((*rough, weather.freezes, weather.cut_off))


def submit_job(deployment: SimulatedCloud, process: Process, header: JobHeader) -> None:
    """As `submit` does it: write down, join the flight, ask the cache, start what is left."""
    engine = deployment.engine(process)
    stores = engine.stores
    keys = {key_of(index): [index] for index in range(header.count)}
    with suppress(FanfoldError):
        stores.log.put_job(header)
        earlier = stores.cache.join_flight(header.flight, header.id)
        known = stores.cache.lookup(list(keys), max_age_s=header.cache_max_age_s)
        ends = [_found(header.id, keys.pop(key)[0], entry.output) for key, entry in known.items()]
        stores.log.append([*ends, *find_leaders(stores, header, keys, earlier)])
        engine.start(header, [RunRef(index) for indexes in keys.values() for index in indexes])
    deployment.submitters.pop(header.id, None)


def _found(job_id: str, index: int, output: Output) -> Event:
    return Event.new(job_id, index, 0, EventKind.FINISHED, status=RunStatus.CACHED, output=output)


def wait_for_job(deployment: SimulatedCloud, process: Process, header: JobHeader) -> JobState:
    """Look after the job from another process of its owner; where its submitter was cut off early, submit it again."""
    engine = deployment.engine(process)
    while True:
        try:
            tracker = Tracker(engine.stores.log.get_job(header.id), engine)
            break
        except JobNotFound:
            submitter = deployment.submitters.get(header.id)
            if submitter is None or submitter.dead:
                submit_job(deployment, process, header)
            else:  # it may be frozen, or its network be away
                deployment.world.sleep(10.0)
        except FanfoldError:
            deployment.world.sleep(10.0)
    deployment.wait(tracker)
    return tracker.state


def cancel_job(deployment: SimulatedCloud, process: Process, header: JobHeader) -> float:
    """Cancel as `job.cancel` does it; when the flag was set at last."""
    engine = deployment.engine(process)
    while True:
        with suppress(FanfoldError):
            engine.stores.log.request_cancel(header.id, engine.stores.account.clock.now())
            at = deployment.world.now
            engine.cancel(engine.stores.log.get_job(header.id))
            return at
        deployment.world.sleep(1.0)


def _check(deployment: SimulatedCloud, seen: JobState, flag_at: float | None) -> Iterator[str]:
    """What has to be true of a job at its end, of what its waiter has seen and of what is stored."""
    stored = deployment.oversee(seen.header.id)
    for name, state in (("the waiter", seen), ("the store", stored)):
        for index in range(state.header.count):
            status, output = state.status_of(index), state.output(index)
            if output is not None and output.inline != value_of(index):
                yield f"run {index} has {output.inline!r} for {name}"
            elif flag_at is None and not status.good:
                yield f"run {index} is {status.value} for {name}"
            elif flag_at is not None and status not in (RunStatus.SUCCEEDED, RunStatus.CACHED, RunStatus.CANCELLED):
                yield f"run {index} is {status.value} for {name}, and the job was cancelled"
    if flag_at is None and stored.status is not JobStatus.COMPLETED:
        yield f"the job is {stored.status.value}"
    for one in deployment.performances:
        if flag_at is not None and one.job_id == seen.header.id and one.began > flag_at + _FLAG_SEEN_S:
            yield f"run {one.index}.{one.attempt} began {one.began - flag_at:.0f} s after the cancel"


def _check_once(deployment: SimulatedCloud, plan: Plan) -> Iterator[str]:
    """Where nothing goes wrong, two jobs of the same runs perform each of them once."""
    often = Counter(one.index for one in deployment.performances)
    if set(often.values()) != {1} or len(often) != plan.count:
        yield f"runs were performed so often: {dict(often)}"
