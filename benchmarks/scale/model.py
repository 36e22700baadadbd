"""What N runs take by each of Fanfold's launch paths, and by the ways of others, under AWS's limits."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import NamedTuple

import simpy

from benchmarks.scale.services import AT_ONCE, Functions, Rate, Steps, Waits
from fanfold.contract.instances import LIST_PRICES as USD
from fanfold.contract.payloads import RUNS_PER_CHILD
from fanfold.engines.aws.capacity import portions, with_spare
from fanfold.submission.limits import DEFAULT, Limits

#: Results up to here travel in the event.
_INLINE_BYTES = 8 * 1024
_GB = 4
#: A machine of the model has so many places for runs: an m5.4xlarge.
_PLACES, _HOST = 16, "m5.4xlarge"


class Work(NamedTuple):
    """N runs of so many seconds (median; they spread by a tenth), each with a result of so many bytes."""

    count: int  # type: ignore[assignment] # over the method of a tuple
    run_s: float
    result_bytes: int = 1_024
    warm: int = 0
    clones: int = 1
    machines: int = 100
    #: Runs side by side at most, where the job asks for that.
    max_workers: int | None = None


class Outcome(NamedTuple):
    """Seconds from `submit` to the first result, the last start and result; dollars of compute, of all else."""

    way: str
    first_s: float
    started_s: float
    done_s: float
    compute_usd: float
    overhead_usd: float
    bottleneck: str


class Scene:
    """One simulated job."""

    def __init__(self, work: Work, limits: Limits = DEFAULT, seed: int = 0) -> None:
        self.env = simpy.Environment()
        self.work, self.limits, self.waits = work, limits, Waits()
        self.random = random.Random(seed)
        self.functions = Functions(self.env, limits, self.waits, clones=work.clones, warm=work.warm)
        self.table = Rate(self.env, "writes of the table", limits.table_writes, self.waits)
        self.puts = Rate(self.env, "puts of the bucket", limits.puts, self.waits)
        self.starts: list[float] = []
        self.ends: list[float] = []
        #: When each host was started, from when on it is paid for.
        self.hosts_since: list[float] = []
        self.compute_usd, self.overhead_usd = 0.0, 0.0
        self.throttled = 0

    def duration_s(self) -> float:
        """What one run takes by itself."""
        return self.work.run_s * max(0.5, self.random.gauss(1, 0.1))

    def in_function(self, *, queued: bool = False) -> Steps:
        """One run in a function, from the call to its event in the table. `queued`: Lambda keeps a call that waits."""
        limits, asked_at = self.limits, self.env.now
        if queued:
            is_new = yield self.functions.take()
        else:
            is_new = yield from self._call_until_taken()
        self.functions.note(asked_at)
        cold_s = limits.cold_s * self.random.lognormvariate(0, limits.cold_spread) if is_new else 0.0
        own_s = self.duration_s() + limits.handler_s + self._storing_s()
        yield self.env.timeout(limits.invoke_s + cold_s)
        self.starts.append(self.env.now)
        yield self.env.timeout(own_s)
        self.compute_usd += (own_s + cold_s) * _GB * USD.lambda_gb_second
        self.overhead_usd += USD.lambda_request
        yield from self.record()
        self.functions.give_back()

    def _call_until_taken(self) -> Steps:
        """Step Functions' way with a throttle: call again after a random pause, which may be ever longer."""
        longest_s = self.limits.retry_s
        while (is_new := self.functions.take_at_once()) is None:
            self.throttled += 1
            yield self.env.timeout(self.random.uniform(0, longest_s))
            longest_s = min(2 * longest_s, self.limits.longest_retry_s)
        return is_new

    def on_machine(self) -> Steps:
        """One run in a place of a machine; the machine is paid for as a whole."""
        yield self.env.timeout(self.duration_s() + self.limits.handler_s + self._storing_s())
        yield from self.record()

    def record(self) -> Steps:
        """Two events, and the result where it is large."""
        if self.work.result_bytes > _INLINE_BYTES:
            yield self.puts.turn()
            self.overhead_usd += USD.s3_put
        yield self.table.turn(2)
        self.overhead_usd += 2 * USD.dynamodb_write
        self.ends.append(self.env.now)

    def outcome(self, way: str) -> Outcome:
        """Run it to its end."""
        self.env.run(until=self.env.process(self._all_ended()))
        looks_s, done_s = self.limits.poll_s / 2, max(self.ends)
        compute_usd = self.compute_usd + sum(done_s - since for since in self.hosts_since) / 3600 * USD.per_hour[_HOST]
        return Outcome(
            way,
            first_s=min(self.ends) + looks_s,
            started_s=max(self.starts, default=0.0),
            done_s=done_s + looks_s,
            compute_usd=compute_usd,
            overhead_usd=self.overhead_usd,
            bottleneck=self.waits.longest,
        )

    def _all_ended(self) -> Steps:
        while len(self.ends) < self.work.count:
            yield self.env.timeout(0.05)

    def _storing_s(self) -> float:
        size = self.work.result_bytes
        return self.limits.put_s + size / self.limits.upload_bytes if size > _INLINE_BYTES else 0.0


def express(scene: Scene) -> Steps:
    """Fanfold up to about 1,000 runs: the client starts an Express execution for each 40, with an inline Map."""
    calls = Rate(scene.env, "the client's calls", scene.limits.calls_at_once / scene.limits.call_s, scene.waits)
    yield scene.env.timeout(scene.limits.calls_before * scene.limits.call_s)
    for size in _children(scene.work.count, RUNS_PER_CHILD):
        yield calls.turn()
        scene.env.process(_child(scene, size))


def distributed(scene: Scene) -> Steps:
    """Fanfold above: one Map Run, whose Express children have 40 runs each in an inline Map."""
    most = scene.work.max_workers
    children, each = (None, RUNS_PER_CHILD) if most is None else portions(most)
    yield from _map_run(scene, each, scene.limits.express_children, at_most=children)


def a_child_each(scene: Scene) -> Steps:
    """A Distributed Map as its tutorials show it: one Express child for each run."""
    yield from _map_run(scene, 1, scene.limits.express_children)


def a_standard_child_each(scene: Scene) -> Steps:
    """The default of a Distributed Map: one Standard child for each run."""
    yield from _map_run(scene, 1, scene.limits.standard_children)


def asynchronous(scene: Scene) -> Steps:
    """Lithops' way: the client calls each function asynchronously; each run's status is an object of its own."""
    calls = Rate(scene.env, "the client's calls", scene.limits.calls_at_once / scene.limits.call_s, scene.waits)
    yield scene.env.timeout(scene.limits.calls_before * scene.limits.call_s)
    for _ in range(scene.work.count):
        yield calls.turn()
        scene.overhead_usd += 2 * USD.s3_put
        scene.env.process(scene.in_function(queued=True))


def dedicated(scene: Scene) -> Steps:
    """Fanfold on machines: array jobs of Batch; each child is a machine that claims runs until there are none."""
    yield from _machines(scene, simpy.Container(scene.env, init=scene.work.count), anew=False)


def a_job_each(scene: Scene) -> Steps:
    """One SubmitJob for each run, each a container of its own in one of a machine's places."""
    submits = Rate(scene.env, "SubmitJob", scene.limits.submit_job, scene.waits)
    submitted = simpy.Container(scene.env)
    scene.env.process(_machines(scene, submitted, anew=True))
    for _ in range(scene.work.count):
        yield submits.turn()
        yield submitted.put(1)


#: Fanfold's launch paths first, then those of others.
WAYS: dict[str, Callable[[Scene], Steps]] = {
    "Fanfold, Express": express,
    "Fanfold, Distributed": distributed,
    "Fanfold, machines": dedicated,
    "one Express child a run": a_child_each,
    "one Standard child a run": a_standard_child_each,
    "asynchronous calls": asynchronous,
    "one SubmitJob a run": a_job_each,
}


def ideal_s(work: Work, limits: Limits = DEFAULT) -> float:
    """What compute alone takes, where as many run at once as the account allows."""
    return max(work.run_s, work.count * work.run_s / limits.concurrency)


def simulate(way: str, work: Work, limits: Limits = DEFAULT, seed: int = 0) -> Outcome:
    """What the work takes by one of `WAYS`."""
    scene = Scene(work, limits, seed)
    scene.env.process(WAYS[way](scene))
    return scene.outcome(way)


def _children(count: int, size: int) -> list[int]:
    return [min(size, count - at) for at in range(0, count, size)]


def _child(scene: Scene, size: int) -> Steps:
    """An Express execution with an inline Map over so many runs."""
    began = scene.env.now
    yield scene.env.timeout(scene.limits.express_start_s)
    yield simpy.AllOf(scene.env, [scene.env.process(scene.in_function()) for _ in range(size)])
    scene.overhead_usd += USD.express_request + (scene.env.now - began) / 3600 * USD.express_gb_hour / 16


def _map_run(scene: Scene, size: int, children_per_s: float, *, at_most: int | None = None) -> Steps:
    limits = scene.limits
    standard = children_per_s == limits.standard_children
    children = Rate(scene.env, "children of the Map Run", children_per_s, scene.waits)
    calls = with_spare(limits.concurrency) if size > 1 else limits.concurrency
    at_once = simpy.Resource(scene.env, min(limits.children_at_once, at_most or -(-calls // size)))
    yield scene.env.timeout(limits.calls_before * limits.call_s + limits.map_run_s)
    for each in _children(scene.work.count, size):
        request, asked_at = at_once.request(), scene.env.now
        yield request
        scene.waits[AT_ONCE] += each * (scene.env.now - asked_at)  # type: ignore[assignment]
        yield children.turn()
        # A child of a Map Run is billed as a transition of its parent; a Standard one also for its own.
        scene.overhead_usd += USD.standard_transition * (2 if standard else 1)
        scene.env.process(_let_go(scene, each, at_once, request))


def _let_go(scene: Scene, size: int, at_once: simpy.Resource, request: simpy.resources.resource.Request) -> Steps:
    yield scene.env.process(_child(scene, size))
    at_once.release(request)


def _machines(scene: Scene, runs: simpy.Container, *, anew: bool) -> Steps:
    """Hosts come up; each of their places takes runs for as long as there are any, `anew`: in a container each."""
    limits, work = scene.limits, scene.work
    hosts = Rate(scene.env, "hosts that come up", limits.hosts, scene.waits)
    yield scene.env.timeout(limits.calls_before * limits.call_s + limits.host_s)
    for _ in range(min(work.machines, -(-work.count // _PLACES))):
        yield hosts.turn()
        scene.hosts_since.append(scene.env.now - limits.host_s)
        for _ in range(_PLACES):
            scene.env.process(_place(scene, runs, anew=anew))


def _place(scene: Scene, runs: simpy.Container, *, anew: bool) -> Steps:
    if not anew:
        yield scene.env.timeout(scene.limits.container_s)
    while True:
        yield runs.get(1)
        if anew:
            yield scene.env.timeout(scene.limits.container_s)
        yield scene.env.process(scene.on_machine())
