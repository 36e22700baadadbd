"""What a submit would take, told before it is made: how much is known already, and the rest in time and dollars."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from statistics import median_low
from typing import TYPE_CHECKING, Any, Literal

from fanfold.contract.instances import InstanceType, Prices
from fanfold.core.compat import submit_arguments
from fanfold.core.fold import JobState
from fanfold.core.formatting import about_dollars, about_seconds, counted
from fanfold.core.models import GOOD, JobHeader, RunStatus
from fanfold.core.options import Options, Request, unwrapped
from fanfold.core.pricing import prices
from fanfold.engines.base import Engine
from fanfold.errors import InputError
from fanfold.job import Job
from fanfold.job.summary import own_memory_mib, own_timeout_s
from fanfold.stores.state import read_state
from fanfold.submission.estimates import (
    Observed,
    Own,
    Plan,
    Seen,
    Way,
    between,
    local_way,
    machine_way,
    own_obstacle,
    realtime_way,
    without_warm_up,
)
from fanfold.submission.prepare import Draft, OwnJob, prepare, refuse_inside_run, resolve_call

if TYPE_CHECKING:
    from datetime import timedelta

    from fanfold.core.cache_key import KeyMaker

#: Machines whose prices are compared.
_COMPARED = ("small", "medium", "large")
_SAMPLE = 3
#: Runs of so many seconds on average: not so short that nothing is loaded, nor so long that loading does not count.
_WORTH_A_CLOSER_LOOK_S = (0.05, 5.0)
#: Inputs looked up in the cache at a time; and how many of them where each question costs, before all are.
_BATCH, _PROBED = 10_000, 100
#: A job that this machine finishes within this time is not worth a machine elsewhere.
_SOON_S = 600.0
#: Realtime runs side by side that a new AWS account is allowed.
_ACCOUNT_CONCURRENCY = 1000


def plan(
    udf: Any,
    inputs: Any,
    *,
    engine: str | None = None,
    instance_type: str | None = None,
    max_workers: int | None = None,
    n_processes_per_worker: int | Literal["auto"] | None = None,
    cache: bool = True,
    cache_max_age: str | float | timedelta | None = None,
    past_runs_only: bool = False,
    **constants: Any,
) -> Plan:
    """What `submit` would take with these arguments: inputs cached, inputs to run, time, dollars, the best way.

    `submit(..., plan=True)` gives the same, and takes all options of `submit`.

    The estimate is made from past runs of this UDF. Where there are none, three inputs are run for a sample, or six
    where warm workers count; their results are cached, so `submit` does not run them again. Nothing else is started;
    with `past_runs_only` nothing at all, and what was never run is an `InputError`.

    Raises `InputError` and `CaptureError` as `submit` does, and `RunFailed` where every run of the sample fails.
    """
    refuse_inside_run("plan")
    inputs, constants = submit_arguments(udf, inputs, constants, plan.__kwdefaults__)
    chosen, request = resolve_call(
        udf,
        engine=engine,
        instance_type=instance_type,
        max_workers=max_workers,
        n_processes_per_worker=n_processes_per_worker,
        cache=cache,
        cache_max_age=cache_max_age,
    )
    return make_plan(udf, inputs, chosen, request, constants, samples=not past_runs_only)


def make_plan(
    udf: Any,
    inputs: Any,
    engine: Engine,
    request: Request,
    constants: dict[str, Any],
    *,
    samples: bool = True,
) -> Plan:
    """The plan of a request. Where no run of this UDF is known, up to six of its inputs are run for a sample.

    Raises `InputError` and `CaptureError` as `submit` does, and `RunFailed` where every run of the sample fails.
    """
    draft = Draft(udf, engine, constants)
    looked = _Looked(draft, request, inputs)
    alone = request._replace(n_processes_per_worker=request.n_processes_per_worker or 1)
    observed = observe_past_runs(draft.engine, draft)
    if observed is None and not samples:
        raise InputError(
            f"No run of {draft.name} is known by which to estimate.",
            next_step="plan without past_runs_only: it runs up to 6 inputs.",
        )
    if observed is None:
        observed = _sampled(udf, draft, alone, looked, constants)
    if request.instance is not None and not request.n_processes_per_worker and observed is not None:
        from fanfold.submission.side_by_side import most_that_fit

        fitting = most_that_fit(observed, request.instance, draft.described)
        alone = request._replace(n_processes_per_worker=fitting)
    return _weigh_ways(draft, alone, looked, observed)


def observe_runs(udf: Any, inputs: Any, engine: Engine, request: Request, constants: dict[str, Any]) -> Observed | None:
    """What past runs took, or else some of these inputs; None where none has to be run. Raises as `make_plan` does."""
    draft = Draft(udf, engine, constants)
    observed = observe_past_runs(engine, draft)
    if observed is not None:
        return observed
    return _sampled(udf, draft, request, _Looked(draft, request, inputs), constants)


def _sampled(udf: Any, draft: Draft, request: Request, looked: _Looked, constants: dict[str, Any]) -> Observed | None:
    """What some of the inputs take that the cache has no results of; None where it has all."""
    if not looked.open:
        return None
    observed = run_sample(udf, draft, request, looked, constants)
    looked.look_again()
    return observed


class _Looked:
    """What the cache knows of the inputs: on each path that the engine has, how many; and some that it does not."""

    def __init__(self, draft: Draft, request: Request, inputs: Any) -> None:
        self._draft = draft
        self._request = request
        self.asked = _name(request.instance)
        self._random = random.Random(0)  # noqa: S311  the same sample each time
        self._sample: list[str] = []
        self.count = 0
        #: Inputs that have to be run on the path that was asked for.
        self.open = 0
        self.cached: dict[str, int] = {}
        texts = draft.arguments(inputs)
        makers: dict[str, KeyMaker] = {}
        while batch := list(islice(texts, _BATCH)):
            if not makers:
                self._reader = draft.cache_reader()
            makers = makers or {_name(machine): draft.keys(machine) for machine in self._paths()}
            self.count += len(batch)
            for name, maker in makers.items():
                self._look(name, maker, batch)

    def samples(self) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Some inputs that have to be run, as arguments; and as many others, for a closer look."""
        found = [self._draft.read(text) for text in self._sample]
        return found[:_SAMPLE], found[_SAMPLE:]

    def look_again(self) -> None:
        """Look for the sample in the cache: what has succeeded is not to be run again."""
        self._reader = self._draft.cache_reader()  # runs have written files since
        before, self._sample = self._sample, []
        self.open -= len(before)
        self._look(self.asked, self._draft.keys(self._request.instance), before)

    def _paths(self) -> list[InstanceType | None]:
        asked = self._request.instance
        if not self._draft.described.costs_money:
            return [asked]
        return list(dict.fromkeys((asked, None, *_machines_to_compare(self._draft))))

    def _look(self, name: str, maker: KeyMaker, texts: list[str]) -> None:
        keys = [maker.key(text) for text in texts]
        max_age_s = self._request.cache_max_age_s if self._request.cache else 0.0
        known = self._known(keys, texts, max_age_s)
        self.cached[name] = self.cached.get(name, 0) + sum(key in known for key in keys)
        if name == self.asked:
            for text in (text for text, key in zip(texts, keys, strict=True) if key not in known):
                self._take(text)

    def _known(self, keys: list[str], texts: list[str], max_age_s: float) -> Collection[str]:
        """Which of the keys are in the cache. Where each question costs, and none of a hundred is known, none is."""
        step = len(keys) // _PROBED
        if step > 1 and self._draft.described.costs_money:
            some, of = keys[::step], texts[::step]
            if not self._reader.lookup(some, of, max_age_s=max_age_s):
                return ()
        return self._reader.lookup(keys, texts, max_age_s=max_age_s)

    def _take(self, text: str) -> None:
        """Keep six of all that are open, each as likely as another."""
        self.open += 1
        if len(self._sample) < 2 * _SAMPLE:
            self._sample.append(text)
        elif (place := self._random.randrange(self.open)) < 2 * _SAMPLE:
            self._sample[place] = text


def _weigh_ways(draft: Draft, request: Request, looked: _Looked, observed: Observed | None) -> Plan:
    local = not draft.described.costs_money
    asked = "local" if local else looked.asked
    charged = prices()
    ways = tuple(_ways(draft, request, looked, observed or Observed((0.0,), 0.0), charged))
    if request.rate:
        ways = tuple(_at_a_rate(way, request.rate) for way in ways)
    if observed is None:  # all is cached, and what it took is forgotten
        ways = tuple(way for way in ways if way.name == asked)
    best, reason = _best(ways, asked)
    if observed is not None and looked.open and (limit := own_obstacle(observed, _own_limits(draft))):
        best, reason = asked, f"no way fits: {limit}; raise it, or make the inputs smaller"
    if observed is not None and observed.against:  # no way of running it would be better
        best, reason = asked, f"fix the UDF before all are run: {observed.against}"
    told = f"{charged.as_of} in {charged.region}{', Spot machines' if draft.described.spot else ''}"
    return Plan(draft.name, looked.count, ways, asked, best, reason, observed, told, _packages_s(draft))


def _at_a_rate(way: Way, rate: float) -> Way:
    """The same, which takes as long as it takes until the last run may begin."""
    return replace(way, time_s=way.time_s.each(lambda s: max(s, way.to_run / rate)))


def _ways(draft: Draft, request: Request, looked: _Looked, observed: Observed, charged: Prices) -> Iterator[Way]:
    described, count, cached, own = draft.described, looked.count, dict(looked.cached), _own_limits(draft)
    concurrency = request.max_workers or _ACCOUNT_CONCURRENCY
    if not described.costs_money:
        known = cached.pop(looked.asked)
        side_by_side = (request.max_workers or described.concurrency) * request.n_processes_per_worker
        workers = min(described.concurrency, side_by_side)
        realtime = request.instance is None
        yield local_way(observed, cached=known, to_run=count - known, workers=workers, realtime=realtime, own=own)
    else:
        concurrency = min(request.max_workers or described.concurrency, described.concurrency)
    known = cached.get("realtime", 0)
    arm64 = described.architecture == "arm64"
    yield realtime_way(
        observed,
        cached=known,
        to_run=count - known,
        concurrency=concurrency,
        functions=described.functions,
        prices=charged,
        arm64=arm64,
        own=own,
        packages_s=_packages_s(draft),
    )
    for machine in dict.fromkeys([*_machines_to_compare(draft), *([request.instance] if request.instance else [])]):
        known = cached.get(machine.name, 0)
        yield machine_way(
            observed,
            machine,
            cached=known,
            to_run=count - known,
            machines=request.max_workers or 1,
            processes=request.n_processes_per_worker,
            prices=charged,
            spot=described.spot,
            own=own,
            packages_s=_packages_s(draft),
        )


def _best(ways: Sequence[Way], asked: str) -> tuple[str, str]:
    """The way to recommend, and why: nothing to run, soon done here, realtime where runs fit, else the cheapest."""
    as_asked = next(way for way in ways if way.name == asked)
    if not as_asked.to_run:
        return asked, "everything is in the cache"
    if asked == "local" and not as_asked.obstacle and as_asked.time_s.expected <= _SOON_S:
        return asked, f"this machine is done in {as_asked.time_s.about(about_seconds)}"
    fitting = [way for way in ways if not way.obstacle and way.name != "local"]
    if not fitting:
        return asked, f"no way fits: {as_asked.obstacle or ways[-1].obstacle}; make the inputs smaller"
    cheapest = min(fitting, key=lambda way: way.usd.expected)
    realtime = next((way for way in fitting if way.name == "realtime"), None)
    if realtime is None:
        obstacle = next(way.obstacle for way in ways if way.name == "realtime")
        return cheapest.name, f"the cheapest that fits; on the realtime path {obstacle}"
    return realtime.name, f"every run fits 120 s and 4 GB, and nothing is done sooner{_cheaper(cheapest, realtime)}"


def _cheaper(cheapest: Way, realtime: Way) -> str:
    if cheapest is realtime or cheapest.usd.expected > realtime.usd.expected / 2:
        return ""
    return (
        f"; {cheapest.name} costs {cheapest.usd.about(about_dollars)} and takes {cheapest.time_s.about(about_seconds)}"
    )


def _machines_to_compare(draft: Draft) -> list[InstanceType]:
    """The machines that a plan weighs, as far as the engine has them."""
    offered = draft.described.instance_types
    return [offered[name] for name in _COMPARED if name in offered]


def _packages_s(draft: Draft) -> float:
    """Seconds that a cold worker takes for what the UDF brings along."""
    return 0.0 if draft.packages is None else draft.packages.making_s


def _own_limits(draft: Draft) -> Own:
    return Own(draft.options.timeout_s, draft.options.memory_mib)


def _name(machine: InstanceType | None) -> str:
    return "realtime" if machine is None else machine.name


# What runs of a UDF take, as seen: in past jobs, or in a few of its runs made for that.

#: How far back past runs are looked for: among that many jobs, until there are that many runs.
_PAST_JOBS = 200
_ENOUGH = 500


def observe_past_runs(engine: Engine, draft: Draft) -> Observed | None:
    """What past runs took: of the same code, else of a UDF of the same name."""
    headers, asks = engine.stores.log.list_jobs(limit=_PAST_JOBS), draft.options
    same_code = _observe(engine, (one for one in headers if one.code_hash == draft.bundle.code_hash), asks)
    if same_code is not None:
        return _with_basis(same_code, "of this code")
    same_name = _observe(engine, (one for one in headers if one.name == draft.name), asks)
    return None if same_name is None else _with_basis(same_name, "of an earlier version")


def _with_basis(observed: Observed, whose: str) -> Observed:
    count = len(observed.durations_s)
    return replace(observed, basis=f"{counted(count, 'past run')} {whose}")


def _observe(engine: Engine, headers: Iterable[JobHeader], asks: Options) -> Observed | None:
    """What the runs of these jobs took that succeeded or met a limit; None where there is none.

    A limit of the UDF's own that is higher by now, or gone, says nothing of the one that would be met.
    """
    seen: list[Seen] = []
    starts_s: dict[str, list[float]] = {}
    between_s: dict[str, list[float]] = {}
    peak_mib, timed_out, out_of_memory, concurrency = 0.0, 0, 0, engine.describe().concurrency
    for header in headers:
        state = read_state(engine.stores.log, header)
        seen.append(Seen(header.created_at, (header.max_workers or concurrency) * header.n_processes_per_worker, []))
        for index in state.indexes(RunStatus.SUCCEEDED, RunStatus.TIMED_OUT, RunStatus.OUT_OF_MEMORY):
            if (usage := state.usage(index)) is not None:
                seen[-1].runs.append((state.finished_at(index) or 0.0, usage.duration_s))
                peak_mib = max(peak_mib, usage.peak_memory_mib)
        way = (header.instance_type or "realtime") if header.costs_money else "local"
        between_s.setdefault(way, []).extend(between(seen[-1]))
        if (start_s := _start_s(header, state)) is not None:
            starts_s.setdefault(way, []).append(start_s)
        if not _is_raised(own_timeout_s(header), asks.timeout_s):
            timed_out += sum(1 for _ in state.indexes(RunStatus.TIMED_OUT))
        if not _is_raised(own_memory_mib(header), asks.memory_mib):
            out_of_memory += sum(1 for _ in state.indexes(RunStatus.OUT_OF_MEMORY))
        if sum(len(one.runs) for one in seen) >= _ENOUGH:
            break
    durations_s, warm_up_s = without_warm_up(seen)
    if not durations_s:
        return None
    return Observed(
        durations_s,
        peak_mib,
        timed_out,
        out_of_memory,
        starts_s={name: tuple(some) for name, some in starts_s.items()},
        warm_up_s=warm_up_s,
        between_s={name: median_low(some) for name, some in between_s.items() if some},
    )


def _start_s(header: JobHeader, state: JobState) -> float | None:
    """Seconds from a job's submit to its first run; None where none has ended by itself, or it was begun anew."""
    began = [
        ended_at - usage.duration_s
        for index in state.indexes(RunStatus.SUCCEEDED)
        if state.attempt_of(index) == 0 and (ended_at := state.finished_at(index)) and (usage := state.usage(index))
    ]
    return max(0.0, min(began) - header.created_at) if began else None


def _is_raised(before: float | None, now: float | None) -> bool:
    return before is not None and (now is None or now > before)


def run_sample(udf: Any, draft: Draft, request: Request, looked: _Looked, constants: dict[str, Any]) -> Observed:
    """Run a few inputs to see what they take; and where it would count, a few more, in workers that are warm by now."""
    engine, (inputs, others), places = (
        draft.engine,
        looked.samples(),
        request.max_workers or draft.described.concurrency,
    )

    def run(inputs: list[dict[str, Any]]) -> Job:
        with OwnJob(engine) as own:
            submission = prepare(udf, inputs, engine, request, constants, own)
            submission.start()
            return Job(submission.header, engine).wait(progress=False)

    jobs = [run(inputs)]
    observed = _observe(engine, [jobs[0].header], unwrapped(udf)[1])
    if observed is None:
        jobs[0].results()  # raises what went wrong
        raise InputError("The sample gave no time to plan by.", next_step="submit a few inputs first, then plan again.")
    against = _reasons_to_stop(jobs[0])
    low_s, high_s = _WORTH_A_CLOSER_LOOK_S
    counts = low_s <= observed.mean_s().expected <= high_s and looked.open > places + len(inputs)
    if counts and others and request.instance is None and not against:
        jobs.insert(0, run(others))
        observed = _observe(engine, [job.header for job in jobs], unwrapped(udf)[1]) or observed
        against = _reasons_to_stop(jobs[0])
    warm = 0 if request.instance else min(places, len(inputs))
    return replace(observed, basis=_basis(jobs, cached=request.cache), against=against, warm=warm)


def _basis(jobs: list[Job], *, cached: bool) -> str:
    count, good = sum(map(len, jobs)), sum(1 for job in jobs for _ in job.state.indexes(*GOOD))
    sample = f"a sample of {counted(count, 'run')}"
    if good == count:
        return f"{sample}, now cached" if cached else sample
    return f"{sample}, of which {good} succeeded{' and are cached' if cached and good else ''}"


def _reasons_to_stop(job: Job) -> str:
    """What a sample's failures say; a run that met a limit is no failure of the UDF's, but a matter of the way."""
    failed = list(job.state.indexes(RunStatus.FAILED, RunStatus.LOST))
    if not failed:
        return ""
    error = job.state.error(failed[0])
    told = f", the first with {error.type}: {error.message}" if error is not None else ""
    return f"{len(failed)} of the {len(job)} runs of the sample failed{told}; `fanfold errors {job.id}` has all"
