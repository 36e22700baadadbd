"""Runs that were too large for their limits, run again on a machine: what comes of them there counts for their job.

They are gathered into jobs of their own, each with its cost, logs and cache, which the first job's log names. All is
made of what the first job has stored, so that anybody who looks after it can do it: the client, or the shepherd.
"""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from fanfold.contract.instances import InstanceType, run_memory_mib
from fanfold.core.cache_key import KeyMaker
from fanfold.core.cost import cost
from fanfold.core.fold import JobState
from fanfold.core.formatting import Dollars
from fanfold.core.models import (
    CacheEntry,
    Event,
    EventKind,
    JobHeader,
    LargerRecord,
    RunError,
    RunRef,
    RunStatus,
    new_job_id,
    records,
    to_event,
)
from fanfold.core.pricing import prices
from fanfold.engines.base import Engine, answer_from_cache, may_read_cache
from fanfold.engines.reuse import CacheReader, paths_in_code
from fanfold.engines.stages import released
from fanfold.errors import JobNotFound
from fanfold.stores.keys import work_key
from fanfold.stores.packing import Manifest, ManifestWriter
from fanfold.stores.state import read_on

__all__ = ["Larger", "cancel_larger", "ends_of", "larger_jobs"]

#: While other runs go on, those that are too large are gathered for so long: they share a job, and its machines.
GATHERED_S = 30.0


def larger_jobs(state: JobState) -> list[LargerRecord]:
    """The jobs that run again what was too large, the first of them first."""
    return records(state.job_events(EventKind.LARGER), LargerRecord)


def cancel_larger(engine: Engine, state: JobState) -> None:
    """Cancel the jobs that run what was too large in a job that is cancelled."""
    for record in larger_jobs(state):
        try:
            header = engine.stores.log.get_job(record.name)
        except JobNotFound:
            continue
        if header.cancelled_at is None:
            engine.stores.log.request_cancel(header.id, time.time())
        engine.cancel(header)


def ends_of(state: JobState, indexes: Sequence[int], theirs: JobState, rung: int) -> Iterator[Event]:
    """The ends that runs have had on a rung of the ladder, as events of their own job, without what they took there.

    A failure is not tried again here: it has been there, as often as is worth it.
    """
    for position, index in enumerate(indexes):
        status = theirs.status_of(position)
        if state.too_large.get(index) == rung and status.final:
            error, output = theirs.error(position), theirs.output(position)
            error = None if error is None else error._replace(infrastructure=False)
            yield _end(state, index, status, rung, error)._replace(output=output)


def _end(state: JobState, index: int, status: RunStatus, rung: int, error: RunError | None) -> Event:
    data = {} if status.good else {"rung": rung}
    attempt = state.next_attempt(index)
    return Event.new(state.header.id, index, attempt, EventKind.FINISHED, status=status, error=error, data=data)


class Larger:
    """The larger jobs of one job. One thread at a time.

    `look_after` sees to it that somebody works on one of them; True where it has done something.
    """

    def __init__(self, engine: Engine, look_after: Callable[[JobHeader, JobState], bool]) -> None:
        self._engine = engine
        self._stores = engine.stores
        self._look_after = look_after
        self._jobs: dict[str, _LargerJob] = {}

    def adopt(self, state: JobState) -> bool:
        """Take over what they have by now; whether there was anything."""
        events: list[Event] = []
        for job in self._of(state):
            if job.is_waited_for(state) and self._refresh(job, state):
                events += ends_of(state, job.indexes, job.state, job.record.rung)
        if not events:
            return False
        self._stores.log.append(events)
        self._stores.log.drop_brief(state.header.id)  # a list may have read it meanwhile
        state.apply(events)  # a read right after the write may not see it yet, where the log is far away
        return True

    def due(self, state: JobState) -> dict[int, list[int]]:
        """The runs that are to be started on a larger machine now, by the rung of the ladder."""
        if not state.too_large or state.header.cancelled_at is not None:
            return {}
        waiting: dict[int, list[int]] = {}
        for index, rung in self._unassigned(state):
            waiting.setdefault(rung, []).append(index)
        return {rung: sorted(indexes) for rung, indexes in waiting.items() if self._is_due(state, indexes)}

    def wait_s(self, state: JobState) -> float | None:
        """In how many seconds runs that wait for others are to be started on their own; None where none waits."""
        ends = [state.last_ended_at(index) for index, _ in self._unassigned(state)]
        return max(0.0, min(ends) + GATHERED_S - state.now()) if ends else None

    def begin(self, state: JobState, rung: int, indexes: list[int]) -> None:
        """Start a job of these runs on a rung of the ladder; where that cannot be, what they have come to is their end.

        Recorded before it is done: who finds a record of no job makes that job.
        """
        header, name = state.header, state.header.ladder[rung - 1]
        left_usd = self._left_usd(state)
        if self._cannot_be(state, rung, indexes, left_usd):
            return
        record = LargerRecord(new_job_id(self._stores.log.now()), rung, name, len(indexes))
        self._stores.objects.put_if_absent(_indexes_key(record.name), array("q", indexes).tobytes())
        self._stores.log.append([to_event(header.id, record)])
        self._make(state, record, indexes, left_usd)

    def _cannot_be(self, state: JobState, rung: int, indexes: list[int], left_usd: float | None) -> bool:
        """Whether nothing is left to run them with there; then what they have come to is their end."""
        header, name = state.header, state.header.ladder[rung - 1]
        if left_usd == 0:
            self._give_up(state, indexes, f"the budget of {Dollars(header.budget_usd)} leaves nothing for {name}")
        elif self._machine(header, rung) is None:
            self._give_up(state, indexes, f"there is no machine {name} any more")
        else:
            return False
        return True

    def _is_due(self, state: JobState, indexes: list[int]) -> bool:
        """Whether nothing else of the job goes on, so that no others can come, or they have waited for long enough."""
        mine, stop = set(indexes), released(state)
        if all(index in mine or index >= stop for index in state.missing()):
            return True
        return state.now() - min(map(state.last_ended_at, indexes)) >= GATHERED_S

    def _unassigned(self, state: JobState) -> Iterator[tuple[int, int]]:
        taken = {(index, job.record.rung) for job in self._of(state) for index in job.indexes}
        return ((index, rung) for index, rung in state.too_large.items() if (index, rung) not in taken)

    def _give_up(self, state: JobState, indexes: list[int], why: str) -> None:
        rung, events = len(state.header.ladder), []
        for index in indexes:
            error = state.error(index) or RunError("TooLarge", "it was too large")
            told = error._replace(message=f"{error.message}; {why}")
            events.append(_end(state, index, state.ended_as(index), rung, told))
        self._stores.log.append(events)

    def _of(self, state: JobState) -> list[_LargerJob]:
        """They all, as the job's log tells of them."""
        for record in larger_jobs(state):
            if record.name not in self._jobs:
                indexes = array("q", self._stores.objects.get(_indexes_key(record.name)))
                self._jobs[record.name] = _LargerJob(record, list(indexes))
        return list(self._jobs.values())

    def _refresh(self, job: _LargerJob, state: JobState) -> bool:
        """Read what is new of one of them, made where it has not been yet; False where it cannot be any more."""
        try:
            job.refresh(self._engine)
        except JobNotFound:
            left_usd = self._left_usd(state)
            if self._cannot_be(state, job.record.rung, job.indexes, left_usd):
                return False
            self._make(state, job.record, job.indexes, left_usd)
            job.refresh(self._engine)
        if not job.state.done and self._look_after(job.state.header, job.state):
            job.refresh(self._engine)
        return True

    def _machine(self, header: JobHeader, rung: int) -> InstanceType | None:
        return self._engine.describe(header.image_name).instance_types.get(header.ladder[rung - 1])

    def _left_usd(self, state: JobState) -> float | None:
        """Dollars of the budget that are left for machines; None for any number."""
        if not state.header.budget_usd:
            return None
        spent_usd: float = cost(state)
        for job in self._of(state):
            with suppress(JobNotFound):  # it has not begun
                job.refresh(self._engine)
                spent_usd += cost(job.state)
        return max(0.0, state.header.budget_usd - spent_usd)

    def _make(self, state: JobState, record: LargerRecord, indexes: Sequence[int], left_usd: float | None) -> None:
        """Write the job down, answer from the cache what it knows, and start the rest. Again changes nothing."""
        stores, machine = self._stores, self._machine(state.header, record.rung)
        assert machine is not None
        header = self._header(state, record, machine, left_usd)
        made = KeyMaker(code_hash=header.code_hash, constants=header.constants, path=machine.name, image=header.image)
        given, keys = Manifest(stores.objects, state.header.id, state.header.count), []
        with ManifestWriter(stores.scratch, header.id) as manifest:
            for index in indexes:
                keys.append(made.key(given.arguments(index)))
                manifest.add(given.arguments(index), bytes.fromhex(keys[-1]))
            manifest.store(stores.objects)
        stores.log.put_job(header)
        answered = self._answered(header, keys, lambda position: given.arguments(indexes[position]))
        self._engine.start(header, [RunRef(index) for index in range(header.count) if not answered[index]])

    def _header(
        self, state: JobState, record: LargerRecord, machine: InstanceType, left_usd: float | None
    ) -> JobHeader:
        """What its job asked for, without the limits that a machine is to lift; and nothing of how that one went on."""
        of, described = state.header, self._engine.describe(state.header.image_name)
        alone = machine.name == of.instance_type
        side_by_side = 1 if alone else of.n_processes_per_worker
        new = of._replace(fixed_bundles=(), fixed_hashes=(), stages=(), ladder=(), cancelled_at=None)
        return new._replace(
            id=record.name,
            parent=of.id,
            count=record.count,
            created_at=time.time(),
            bundle_sha256=of.current_bundle_sha256,
            code_hash=(of.code_hash, *of.fixed_hashes)[-1],
            instance_type=machine.name,
            usd_per_hour=machine.host.price(prices(), spot=described.spot),
            timeout_s=of.timeout_s if alone else None,
            memory_mib=_memory_mib(of, machine, side_by_side),
            n_processes_per_worker=side_by_side,
            # Where this machine serves as all of them, what is to run alone has it alone.
            max_workers=of.max_workers or (1 if alone and not described.has_machines else None),
            batch_size=1,
            budget_usd=left_usd or 0.0,
            flight="",
            notify="",
        )

    def _answered(self, header: JobHeader, keys: Sequence[str], text_of: Callable[[int], str]) -> bytearray:
        """Which runs the cache has answered: 1 for each."""
        if not header.cache or not header.cache_max_age_s or not may_read_cache(header):
            return bytearray(header.count)
        stores, here = self._stores, self._engine.describe(header.image_name).uses_own_packages
        rules = header.path_rules
        assert rules is not None
        reader = CacheReader(stores, rules, header.constants, here=here, code=paths_in_code(stores, header))

        def find(runs: range, asked: list[str]) -> dict[str, CacheEntry]:
            return reader.lookup(asked, list(map(text_of, runs)), max_age_s=header.cache_max_age_s)

        return answer_from_cache(header, stores.log, keys.__getitem__, find)


def _memory_mib(of: JobHeader, machine: InstanceType, side_by_side: int) -> int:
    """What each run there may use: all that it has there, or as little as the UDF asks for to be run beside others."""
    share = run_memory_mib(machine, of.n_processes_per_worker)
    if machine.name == of.instance_type and of.memory_mib and of.memory_mib != share:
        return of.memory_mib
    return run_memory_mib(machine, side_by_side)


class _LargerJob:
    """One of them, and the runs of the first job that are its runs."""

    def __init__(self, record: LargerRecord, indexes: list[int]) -> None:
        self.record = record
        self.indexes = indexes
        self._state: JobState | None = None
        self._cursor: str | None = None

    @property
    def state(self) -> JobState:
        """How it stood when it was read last."""
        assert self._state is not None
        return self._state

    def is_waited_for(self, state: JobState) -> bool:
        """Whether the first job has not taken all of it over."""
        return any(state.too_large.get(index) == self.record.rung for index in self.indexes)

    def refresh(self, engine: Engine) -> None:
        """Read what is new of it. Raises `JobNotFound`."""
        log = engine.stores.log
        header = log.get_job(self.record.name)
        if self._state is None or self._state.has_missed:
            self._state, self._cursor = JobState(header), None
            self._state.now = log.now
        self._state.header = header
        self._cursor = read_on(log, self._state, self._cursor)


def _indexes_key(job_id: str) -> str:
    return work_key(job_id, "larger")
