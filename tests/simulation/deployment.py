"""A deployment in a world: functions, executions, machines and clients, each a process that runs Fanfold's own code."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from fanfold.contract import cloud
from fanfold.contract.payloads import FAILED_EXECUTION
from fanfold.core.fold import JobState
from fanfold.core.models import Event, EventKind, JobHeader, Output, RunError, RunRef, RunStatus, Usage
from fanfold.engines.aws import AwsEngine
from fanfold.engines.aws.discovery import Deployment
from fanfold.engines.aws.dispatch import DIRECT, unpack
from fanfold.engines.aws.work import Work, machine_name
from fanfold.engines.feed import Recorder, serve
from fanfold.errors import FanfoldError, StoreUnavailable
from fanfold.execution import calls
from fanfold.execution.calls import Call, Report
from fanfold.job.waiting import Tracker
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.shard_cursors import iso
from fanfold.stores.packing import ManifestWriter
from fanfold.stores.state import read_state
from fanfold_runtime.cancel_flag import is_cancelled
from fanfold_runtime.claiming_feed import ClaimingFeed
from fanfold_runtime.context import get_header
from fanfold_runtime.realtime import OneRun, is_first_call
from fanfold_runtime.short_results import ShortResults
from tests.simulation.services import Account, Overseer, Services
from tests.simulation.world import Flag, Part, Process, Turn, World

RETENTION_S = 30 * 86400.0
_LEASE_S = 40.0
_CANCEL_S = 5.0
#: A machine's last look at what others hold, and its end, are so far from each other where calls are slow.
_DECIDES_S = 15.0
_ARN = "arn:aws:states:eu-central-1:123456789012:stateMachine:{}"
_LANE = {
    "host": "c5.large", "queue": "q", "definition": "d", "vcpus": 2, "memory_gib": 4.0, "memory_mib": 2048,
    "usd_per_hour": 0.1,
}  # fmt: skip
_DESCRIPTOR = {
    "version": 1, "deployment": "main", "table": "table", "bucket": "bucket", "functions": ["one", "two"],
    "state_machines": {path: _ARN.format(path) for path in (cloud.EXPRESS, cloud.DISTRIBUTED, cloud.DEDICATED)},
    "limits": {
        "timeout_s": 120, "memory_mib": 4096, "realtime_disk_mib": 512, "disk_size_gb": 30, "retention_days": 30,
        "concurrency": 1000,
    },
    "image": {"identity": "0" * 16, "python": "3.11", "architecture": "x86_64"}, "spot": False,
}  # fmt: skip


class Performance:
    """One attempt of one run that is under way somewhere."""

    def __init__(self, process: Process, job_id: str, index: int, attempt: int, began: float) -> None:
        self.process, self.job_id, self.index, self.attempt, self.began = process, job_id, index, attempt, began
        self.ended = began


class SimulatedCloud:
    """All that a deployment is, and what was seen of it."""

    def __init__(self, world: World, scratch: Path) -> None:
        self.world = world
        self.scratch = scratch
        self.services = Services(world, self._start)
        self.services.terminate = self._terminate
        self.services.answer_call = self._answer_call
        self.performances: list[Performance] = []
        self.under_way: dict[tuple[str, int], list[Performance]] = {}
        self.violations: list[str] = []
        #: How long a run takes, and how it ends, where that is not for the seed to say.
        self.act: Callable[[str, Call], tuple[float, Event]] | None = None
        self._attempts = world.random.choice((1, 3))
        #: Who is about to submit a job, by its id.
        self.submitters: dict[str, Process] = {}
        self._machines: dict[str, SimulatedMachine] = {}
        self._names: set[str] = set()
        self._numbers = iter(range(1 << 30))

    def overseeing_stores(self) -> AwsStores:
        """The stores, in calls that take no time and never fail."""
        account: Any = Overseer(self.world, self.services, Process("overseer"))
        return AwsStores(account, table="table", bucket="bucket", retention_s=RETENTION_S, scratch=self.scratch)

    # --- clients -----------------------------------------------------------------------------------------------------

    def stores(self, process: Process) -> AwsStores:
        """The stores as a process sees them."""
        account: Any = Account(self.world, self.services, process)
        return AwsStores(account, table="table", bucket="bucket", retention_s=RETENTION_S, scratch=self.scratch)

    def engine(self, process: Process) -> AwsEngine:
        """The engine of a client."""
        account: Any = Account(self.world, self.services, process)
        descriptor: Any = _DESCRIPTOR
        lane: Any = _LANE
        deployment = Deployment("main", descriptor, {"small": lane}, {})  # and nobody deploys another
        engine = AwsEngine(account, deployment, self.scratch, find=lambda *_: deployment)
        direct: Any = engine.paths[DIRECT]
        direct.new_thread = lambda act: Part(self.world, process, act)
        engine.queueing = SimpleNamespace(news=lambda *_: [])  # type: ignore[assignment]  # it only tells
        return engine

    def _answer_call(self, payload: dict[str, Any]) -> dict[str, Any]:
        """What Lambda answers to who invokes the function and waits."""
        world, job, item = self.world, payload["job"], payload["run"]
        function, ended = world.process(f"called function {next(self._numbers)} {item['index']}"), [False]

        def perform() -> None:
            event: Any = payload
            with suppress(FanfoldError):
                if is_first_call(self.stores(function), event, function.name):
                    self._perform_one(function, job, item)
                ended[0] = True

        world.spawn(function, perform)
        ends = world.now + 120.0
        while not (function.dead or ended[0]) and world.now < ends:
            world.sleep(1.0)
        function.dead = True
        if ended[0]:
            return {"Payload": b"{}"}
        said = {"errorType": "Runtime.ExitError", "errorMessage": "RequestId: 1 Error: Runtime exited"}
        return {"FunctionError": "Unhandled", "Payload": json.dumps(said).encode()}

    def put_inputs(self, header: JobHeader) -> None:
        """Store a job's inputs, as a submit does before it tells of the job."""
        for key, data in _inputs(header.count).items():
            self.services.objects[f"jobs/{header.id}/{key}"] = data

    def wait(self, tracker: Tracker) -> None:
        """Wait for a job as a client does, and look after it."""
        pause_s = self.world.random.choice((0.25, 2.0, 6.0))
        while True:
            with suppress(StoreUnavailable):
                if tracker.look().done:
                    return
            self.world.sleep(pause_s)
            pause_s = min(2 * pause_s, 60.0)

    # --- what executions do ------------------------------------------------------------------------------------------

    def _start(self, path: str, arn: str, given: str) -> None:
        world, process = self.world, Process(arn)
        times = 2 if path == cloud.EXPRESS and world.chance(world.weather.twice) else 1
        act = {
            cloud.EXPRESS: self._carry_out_express,
            cloud.DISTRIBUTED: self._carry_out_distributed,
            cloud.DEDICATED: self._carry_out_dedicated,
        }[path]
        for _ in range(times):
            world.spawn(process, lambda: act(arn, json.loads(given)), after_s=world.random.uniform(0.05, 1.0))

    def _carry_out_express(self, arn: str, given: dict[str, Any]) -> None:
        if self.world.chance(self.world.weather.deaths / 4):
            self.world.note(f"{arn} is lost")
            return
        for item in given["Items"]:
            self._invoke(arn, given["BatchInput"]["job"], item, lambda: None)

    def _carry_out_distributed(self, arn: str, given: dict[str, Any]) -> None:
        execution = self.services.executions[arn]
        lines = self.services.objects[given["manifest_key"]].splitlines()
        slots, open_ = given["max_children"] * given["runs_per_child"], [0]
        for line in lines:
            while open_[0] >= slots and execution["status"] == "RUNNING":
                self.world.sleep(2.0)
            if execution["status"] != "RUNNING":
                return
            open_[0] += 1
            self._invoke(arn, given["job"], json.loads(line), lambda: open_.__setitem__(0, open_[0] - 1))
        while open_[0] and execution["status"] == "RUNNING":
            self.world.sleep(2.0)
        if execution["status"] == "RUNNING":
            execution["status"] = "SUCCEEDED"

    def _invoke(self, arn: str, job: dict[str, Any], item: dict[str, Any], then: Callable[[], None]) -> None:
        """Have a function perform one run; where it dies, the state machine writes that down."""
        world = self.world
        function = world.process(f"function {next(self._numbers)} {job['id'][-4:]}/{item['index']}.{item['attempt']}")
        ended = [False]

        def perform() -> None:
            with suppress(FanfoldError):
                self._perform_one(function, job, item)
                ended[0] = True

        def watch() -> None:
            while not (function.dead or ended[0]) and world.now < begun + 150.0:
                world.sleep(8.0)
            if not ended[0]:
                function.dead = True
                self._write_failure(arn, job, item)
            then()

        begun = world.now
        world.spawn(function, perform, after_s=world.random.uniform(0.0, 2.0))
        world.spawn(Process(arn), watch, after_s=0.5)

    def _perform_one(self, function: Process, job: dict[str, Any], item: dict[str, Any]) -> None:
        """As `fanfold_runtime.realtime.Environment.run` does it, but for the worker process and what it needs."""
        stores = self.stores(function)
        header = get_header(stores, job["id"], item["shard"])
        if header.cancelled_at is not None:
            call = Call(item["index"], item["attempt"], "")
            Recorder(header, stores, lambda runs: [item["key"]] * len(runs)).record([calls.cancelled(header.id, call)])
            return
        run: Any = item
        assignment: Any = SimpleNamespace(job_id=header.id, timeout_s=header.timeout_s)
        results = ShortResults(header, [run], stores)
        facts: dict[str, Any] = {
            "assignment": assignment,
            "continuation": None,
            "results": results,
        }  # none goes on later
        feed = OneRun(header, run, item["arguments"]["text"], stores, **facts)
        asked = _Every(self.world, lambda: is_cancelled(stores.log.job_headers, header.id, item["shard"]))
        pool: Any = Workers(self, function, header.id, 1)
        serve(pool, feed, asked.answer)

    def _write_failure(self, arn: str, job: dict[str, Any], item: dict[str, Any]) -> None:
        now = iso(self.world.now)
        failure = {"Error": "Lambda.Unknown", "Cause": "The runtime exited: signal: terminated"}
        self.services.dynamodb_put_item(
            Item={
                "pk": {"S": cloud.event_partition(job["id"], item["shard"])},
                "sk": {"S": cloud.event_sort_key(now, f"failed-{next(self._numbers)}")},
                cloud.EXPIRES_AT: {"N": str(job["expires_at"])},
                "kind": {"S": "finished"},
                "index": {"N": str(item["index"])},
                "attempt": {"N": str(item["attempt"])},
                "at": {"S": now},
                "status": {"S": FAILED_EXECUTION},
                "failure": {"S": json.dumps(failure)},
                "execution": {"S": arn},
            }
        )

    # --- machines ----------------------------------------------------------------------------------------------------

    def _carry_out_dedicated(self, arn: str, given: dict[str, Any]) -> None:
        execution, world = self.services.executions[arn], self.world
        machines = [f"batch-{next(self._numbers)}" for _ in range(given["machines"])]
        execution["machines"] = machines
        for name in machines:
            self.services.batch_jobs[name] = {"status": "RUNNABLE"}
            world.spawn(
                Process(name),
                lambda name=name: self._keep_up_machine(name, given["job"]["id"], execution),
                after_s=world.random.uniform(1.0, 60.0),
            )
        jobs = [self.services.batch_jobs[name] for name in machines]
        while any(job["status"] not in ("SUCCEEDED", "FAILED") for job in jobs):
            world.sleep(8.0)
        if execution["status"] != "RUNNING":
            return
        good = all(job["status"] == "SUCCEEDED" for job in jobs)
        cause = json.dumps({"JobId": machines[0], "StatusReason": "Host EC2 (instance i-1) terminated."})
        execution.update({"status": "SUCCEEDED"} if good else {"status": "FAILED", "error": "x", "cause": cause})

    def _keep_up_machine(self, name: str, job_id: str, execution: dict[str, Any]) -> None:
        """What AWS Batch does: try a machine again that went away."""
        job = self.services.batch_jobs[name]
        for attempt in range(1, self._attempts + 1):
            if execution["status"] != "RUNNING" or job["status"] == "FAILED":
                break
            machine = self._machines[name] = SimulatedMachine(self, job_id, name, attempt)
            self._names.add(machine.process.name)
            job["status"] = "RUNNING"
            self.world.spawn(machine.process, machine.run)
            while not machine.process.dead:
                if execution["status"] != "RUNNING":
                    machine.stop()
                self.world.sleep(5.0)
            if machine.code == 0:
                job["status"] = "SUCCEEDED"
                jobs = (self.services.batch_jobs[one] for one in execution["machines"])
                if all(one["status"] in ("SUCCEEDED", "FAILED") for one in jobs):
                    self._check_nothing_left(job_id, machine.process)
                return
            self.world.sleep(self.world.random.uniform(1.0, 40.0))
        job["status"] = "FAILED"

    def _terminate(self, name: str) -> None:
        if name in self._machines:
            self._machines[name].stop()
        else:
            self.services.batch_jobs[name]["status"] = "FAILED"

    def _check_nothing_left(self, job_id: str, last: Process) -> None:
        """When the last machine has ended by itself, nothing of the work is left: nobody starts another.

        But for what another held that was seen alive when this one had nothing to do, and died since. No machine can
        tell that of another, however long it looks; and to stay until all others have ended would cost what they cost.
        """
        state = self.oversee(job_id)
        executions = [arn for arn in self.services.executions if job_id in arn]
        laid_out = {run.index for run in Work(self.overseeing_stores(), job_id).laid_out()}
        left = {index for index in state.missing() if index in laid_out}
        if not left or state.header.cancelled_at is not None or len(executions) > 1:
            return
        idle_since = max([last.began, *(one.ended for one in self.performances if one.process is last)])
        left -= self._held_by_who_lived(job_id, idle_since)
        if left:
            self._violate(f"the last machine has ended well, and left the runs {sorted(left)}")

    def _held_by_who_lived(self, job_id: str, since: float) -> set[int]:
        """Runs that machines hold by a lease which was renewed since then; or have given back just now."""
        found = set()
        for held in Work(self.overseeing_stores(), job_id).held_by_all():
            place = cloud.job_partition(job_id), cloud.machine_sort_key(held.machine)
            if self.services.written_at[place] > max(since, self.world.now - _DECIDES_S if held.until == 0 else 0.0):
                found.update(run.index for run in held.runs)
        return found

    def oversee(self, job_id: str) -> JobState:
        """The state of a job as it is, at no time and no risk."""
        stores = self.overseeing_stores()
        return read_state(stores.log, stores.log.get_job(job_id), consistent=True)

    def _violate(self, text: str) -> None:
        self.world.note(f"WRONG: {text}")
        self.violations.append(text)

    # --- what is seen ------------------------------------------------------------------------------------------------

    def begin(self, process: Process, job_id: str, call: Call) -> Performance:
        """A worker begins an attempt."""
        one = Performance(process, job_id, call.index, call.attempt, self.world.now)
        self.world.note(f"{process.name} begins run {call.index}.{call.attempt}")
        if process.name in self._names and not self._has_lease(one, at_least_s=-5.0):
            self._violate(f"{process.name} begins run {call.index}, which it does not hold")
        others = self.under_way.setdefault((job_id, call.index), [])
        others[:] = [other for other in others if not other.process.dead]
        for other in others:
            if other.process is not process and self._has_lease(other) and self._has_lease(one):
                self._violate(f"{process.name} and {other.process.name} hold run {call.index}")
        others.append(one)
        self.performances.append(one)
        return one

    def end(self, one: Performance) -> None:
        """It has ended."""
        one.ended = self.world.now
        others = self.under_way[one.job_id, one.index]
        others[:] = [other for other in others if other is not one]

    def _has_lease(self, one: Performance, at_least_s: float = 5.0) -> bool:
        name = one.process.name
        item = self.services.get(cloud.job_partition(one.job_id), cloud.machine_sort_key(name))
        if item is None or float(item["leased_until"]["N"]) < self.world.now + at_least_s:
            return False
        return any(run.index == one.index for run in unpack(item["held"]["B"]))


class SimulatedMachine:
    """As `fanfold_runtime.machine.Machine`, but for the container around it and the worker processes within."""

    def __init__(self, deployment: SimulatedCloud, job_id: str, batch_job: str, attempt: int) -> None:
        self._deployment, self._world, self._job_id = deployment, deployment.world, job_id
        self._batch_job, self._attempt = batch_job, attempt
        self.process = self._world.process(machine_name(batch_job, attempt))
        self._stopping = Flag(self._world)
        self._feed: ClaimingFeed | None = None
        #: How it ended; None while it has not, or where it was lost.
        self.code: int | None = None

    def run(self) -> None:
        """Perform runs until there are no more, or the job is cancelled."""
        stores = self._stores = self._deployment.stores(self.process)
        work = self._work = Work(stores, self._job_id, lease_s=_LEASE_S)
        self._world.spawn(self.process, self._keep_leases)
        if self._world.chance(self._world.weather.interruptions):
            self._world.spawn(Process("Spot"), self.stop, after_s=self._world.random.uniform(1.0, 60.0))
        try:
            header = get_header(stores, self._job_id, 0)
            work.release_earlier(self._batch_job, self._attempt)
            feed = self._feed = self._new_feed(stores, header, work)
            pool: Any = Workers(self._deployment, self.process, header.id, header.n_processes_per_worker)
            asked = _Every(self._world, lambda: is_cancelled(stores.log.job_headers, header.id, 0))
            if header.cancelled_at is None:
                while serve(pool, feed, asked.answer) and feed.find_more():
                    pass
            code = 0
        except FanfoldError:
            code = 1
        if self._stopping.is_set():
            self._world.sleep(9.0)  # the thread that was told to stop ends the process
        with suppress(FanfoldError):
            work.give_back(self.process.name, self._held())
        self.code = code
        self._world.end(self.process, f"ends with {self.code}")

    def stop(self) -> None:
        """SIGTERM: begin no more, give back what is held, and exit."""
        if not self._stopping.is_set() and not self.process.dead:
            self._stopping.set()
            self._world.note(f"{self.process.name} is told to stop")
            self._world.spawn(self.process, self._give_back)

    def _held(self) -> list[RunRef]:
        return [] if self._feed is None else self._feed.held()

    def _give_back(self) -> None:
        if self._feed is not None:
            self._feed.stopping.set()
            held = self._held()
            with suppress(FanfoldError):
                if is_cancelled(self._stores.log.job_headers, self._job_id, 0):
                    error = RunError("Cancelled", "the job was cancelled while this run was running")
                    self._stores.log.append([_ended(self._job_id, run, RunStatus.CANCELLED, error) for run in held])
                else:
                    self._work.give_back(self.process.name, held)
        self.code = 143
        self._world.end(self.process, "has given back")

    def _keep_leases(self) -> None:
        while not self._stopping.wait(_LEASE_S / 4):
            with suppress(FanfoldError):
                if self._feed is not None:
                    self._feed.hold()

    def _new_feed(self, stores: AwsStores, header: JobHeader, work: Work) -> ClaimingFeed:
        nothing: Any = SimpleNamespace(fetch_for=lambda _: set(), tidy=lambda *_, **__: None, news=dict)
        assignment: Any = SimpleNamespace(job_id=header.id, timeout_s=header.timeout_s)
        feed = ClaimingFeed(
            header, stores, assignment=assignment, work=work, machine=self.process.name, blob_cache=nothing,
            network=nothing, patience_s=120.0,
        )  # fmt: skip
        stopping: Any = self._stopping if self._stopping.is_set() else Flag(self._world)
        feed.stopping = stopping
        feed.holding = Turn(self._world)
        return feed


class Workers:
    """Stands in for `Pool`: performs calls side by side, each for as long as the seed says."""

    def __init__(self, deployment: SimulatedCloud, process: Process, job_id: str, size: int) -> None:
        self._deployment, self._world = deployment, deployment.world
        self._process, self._job_id, self._size = process, job_id, size
        self._running: list[tuple[float, Call, Performance]] = []
        self._ends: dict[Call, Event] = {}
        self._feed: Any = None
        self._empty = False

    def add(self, feed: Any) -> None:
        """Serve a feed."""
        self._feed, self._empty = feed, False

    def serves(self, feed: Any) -> bool:
        """Whether anything of it is under way, or left to take."""
        return bool(self._running) or not self._empty

    def step(self) -> None:
        """Take what there is, and wait a little for what is under way."""
        while len(self._running) < self._size and self._feed is not None:
            call = self._feed.take()
            self._empty = call is None
            if call is None:
                break
            self._begin(call)
        if not self._running:
            return
        due = min(at for at, *_ in self._running)
        self._world.sleep(min(max(0.0, due - self._world.now), _CANCEL_S))
        over = [one for one in self._running if one[0] <= self._world.now]
        self._running = [one for one in self._running if one[0] > self._world.now]
        for _, call, performance in over:
            self._deployment.end(performance)
            self._feed.record([self._end_of(call)])

    def cancel(self, feed: Any) -> None:
        """End what is under way, and take nothing more."""
        ends = [
            _ended(self._job_id, call, RunStatus.CANCELLED, RunError("Cancelled", "")) for _, call, _ in self._running
        ]
        for *_, performance in self._running:
            self._deployment.end(performance)
        self._running, self._empty, self._feed = [], True, None
        feed.record([Report(end) for end in ends])

    def _begin(self, call: Call) -> None:
        performance = self._deployment.begin(self._process, self._job_id, call)
        took_s = self._world.random.choice((0.01, 0.5, 3.0, 20.0))
        if self._deployment.act is not None:
            took_s, self._ends[call] = self._deployment.act(self._job_id, call)
        self._running.append((self._world.now + took_s, call, performance))
        started = Event.new(self._job_id, call.index, call.attempt, EventKind.STARTED)
        self._feed.record([Report(started)])

    def _end_of(self, call: Call) -> Report:
        if call in self._ends:
            return Report(self._ends.pop(call)._replace(at=self._world.now))
        if self._world.chance(self._world.weather.deaths / 4):
            error = RunError("fanfold.WorkerDied", "its worker was killed", infrastructure=True)
            return Report(_ended(self._job_id, call, RunStatus.FAILED, error))
        data = value_of(call.index)
        output = Output("json", f"{call.index:064x}", len(data), data)
        good = _ended(self._job_id, call, RunStatus.SUCCEEDED, None)
        return Report(good._replace(output=output, usage=Usage(1.0, 1.0, 1.0)))


class _Every:
    """Asks for something every few seconds, and remembers that it was so."""

    def __init__(self, world: World, ask: Callable[[], bool]) -> None:
        self._world, self._ask = world, ask
        self._at, self._is = world.now, False

    def answer(self) -> bool:
        """Whether it was so when it was last asked."""
        if not self._is and self._world.now - self._at >= _CANCEL_S:
            self._at = self._world.now
            self._is = self._ask()
        return self._is


def key_of(index: int) -> str:
    """The cache key of run `index`."""
    return f"{index:064x}"


def value_of(index: int) -> bytes:
    """What run `index` returns, as it is stored."""
    return b"%d" % (index * index)


def _ended(job_id: str, run: Any, status: RunStatus, error: RunError | None) -> Event:
    return Event.new(job_id, run.index, run.attempt, EventKind.FINISHED, status=status, error=error)


@cache
def _inputs(count: int) -> dict[str, bytes]:
    """The objects that a manifest of `count` inputs is, by the end of their keys."""
    kept: dict[str, bytes] = {}
    with TemporaryDirectory() as folder, ManifestWriter(Path(folder), "job") as manifest:
        for index in range(count):
            manifest.add(json.dumps({"x": index}), bytes.fromhex(key_of(index)))
        objects: Any = SimpleNamespace(
            put_file=lambda key, path: kept.update({key.rpartition("/")[2]: path.read_bytes()})
        )
        manifest.store(objects)
    return kept
