"""The AWS engine: runs on Lambda functions and on machines of a deployment, each job by the path that suits it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.contract.cloud import DEDICATED, OwnImage
from fanfold.core.fold import JobState
from fanfold.core.models import FOLLOWING, DispatchRecord, EventKind, JobHeader, RunRef, records
from fanfold.engines.aws import reconcile
from fanfold.engines.aws.discovery import Deployment, discover
from fanfold.engines.aws.dispatch import DIRECT, REFUSED, Dispatch, split, to_event
from fanfold.engines.aws.lost_machines import LostMachines
from fanfold.engines.aws.paths import LaunchContext, new_dispatch, open_paths
from fanfold.engines.aws.paths.dedicated import lane_of
from fanfold.engines.aws.paths.executions import Executions
from fanfold.engines.aws.queueing import Queueing
from fanfold.engines.aws.reconcile import Findings
from fanfold.engines.aws.work import Work
from fanfold.engines.base import Description, reason_to_stop, stop_job
from fanfold.engines.following import Following
from fanfold.errors import DeploymentGone, FanfoldError, ResultDamaged, StoreUnavailable
from fanfold.settings import current
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.account import Account
from fanfold.stores.keys import libraries_key
from fanfold.stores.state import read_state

if TYPE_CHECKING:
    from fanfold.engines.schedule import ScheduleKeeper
    from fanfold.engines.steward import Steward

_log = logging.getLogger(__name__)

#: One client at a time looks after a job's lost runs, for as long as this.
_REPAIR_LEASE_S = 20.0
#: A process that waits for a job moves its expiry on where that is due, for so long at a time.
_KEEP_S = 10.0
#: A deployment's descriptor is read again when it is so old: before each job, and before runs are tried again.
_REFRESH_S, _RETRIED_S = 300.0, 2.0


class AwsEngine:
    """Runs jobs in a deployment. One for each deployment and process."""

    def __init__(
        self,
        account: Account,
        deployment: Deployment,
        scratch: Path,
        *,
        find: Callable[[Account, str], Deployment] = discover,
    ) -> None:
        """`find` finds the deployment again, by its name, where it may have changed."""
        self.account = account
        descriptor = deployment.descriptor
        scratch.mkdir(parents=True, exist_ok=True)
        self.stores = AwsStores(
            account,
            table=descriptor["table"],
            bucket=descriptor["bucket"],
            retention_s=descriptor["limits"]["retention_days"] * 86400.0,
            scratch=scratch,
            secrets=descriptor.get("secrets", ""),
            sealing_key=descriptor.get("sealing_key", ""),
        )
        self.context = LaunchContext(account, self.stores, deployment)
        self.paths = open_paths(self.context)
        self.inspector = reconcile.Inspector(self.paths, account.clock)
        self.queueing = Queueing(account)
        self._lost_machines = LostMachines(account)
        self.looked_at: dict[str, float] = {}
        self._followings: dict[str, Following] = {}
        self._stewards: dict[str, Steward] = {}
        self._find, self._discovered_at = find, time.monotonic()
        self.detached = False  # its runs are in AWS; True: nor does this process stay to call a function itself

    def serve_everyone(self) -> None:
        """Look after the jobs of all owners, as the deployment's own shepherd."""
        self.context.is_shepherd = True
        self.inspector.takes_unreleased = False

    def get_ready(self, *, dedicated: bool, **_: object) -> None:
        """Make the clients that a start needs, which takes as long as a job's inputs take to be checked."""
        self.account.client("stepfunctions")
        if not dedicated:
            self.account.client("lambda")

    def start(self, header: JobHeader, runs: Iterable[RunRef]) -> None:
        """Start these runs by the path that suits them. A start that was cut off anywhere can be repeated."""
        given = list(runs)
        if not given:
            return
        self.stores.keep(header.id)
        if any(run.attempt for run in given):
            self._refresh(_RETRIED_S)  # what failed may have been called by a name that is gone
        try:
            self._start(header, given)
        except DeploymentGone:
            if not self._refresh(0.0):
                raise
            self._start(header, given)

    def _start(self, header: JobHeader, given: list[RunRef]) -> None:
        if header.instance_type is not None:
            lane_of(self.context, header)
        # A ramp goes on without its client, which a run that the client calls itself would not survive.
        may_call = not (self.context.is_shepherd or self.detached or header.stages)
        dispatch = new_dispatch(header, given, self.context.capacity.runs, may_call=may_call)
        _log.info("job %s: %d runs by the %s path, dispatch %s", header.id, len(given), dispatch.path, dispatch.name)
        # Recorded before it is done: a reader who finds a record of nothing done starts these runs again.
        self.stores.log.append([to_event(header.id, dispatch, "starting")])
        try:
            self.paths[dispatch.path].start(header, dispatch, given)
        except FanfoldError as error:
            self._say_failed(header, dispatch, given, error)
            raise
        if dispatch.path != DEDICATED:  # of machines, "starting" stays true until one says that it is up
            self.stores.log.append([to_event(header.id, dispatch, "started")])

    def follow(self, header: JobHeader) -> None:
        """Nothing: what it waits for is in its log, and the client that waits takes it over (`reconcile`)."""

    def cancel(self, header: JobHeader) -> None:
        """Stop the job's executions, and its machines with them; realtime runs see the flag within seconds.

        One that cannot be stopped now keeps no other from it; cancelling again tries it again.
        """
        state, failures = read_state(self.stores.log, header, consistent=True), []
        if header.ladder:
            from fanfold.engines.larger import cancel_larger

            cancel_larger(self, state)
        for dispatch in reconcile.dispatches_of(state):
            try:
                self.paths[dispatch.path].stop(header, dispatch)
            except FanfoldError as error:
                failures.append(error)
        for failure in failures:
            raise failure

    def reconcile(self, header: JobHeader, state: JobState) -> bool:
        """Record runs as lost that nobody runs any more, and start those that are due; True where there were any.

        Where the first runs have all failed the same way, the job is stopped instead. Of another owner's job nothing is
        done: reading a job must not start it on paid machines.
        """
        now = time.monotonic()
        if state.done or now - self.looked_at.get(header.id, 0.0) < _look_every_s(header.count):
            return state.done and self._tell_why_machines_ended(header, state)
        self.looked_at[header.id] = now
        if reason := reason_to_stop(state):
            stop_job(self.stores.log, header.id, reason)
            self.cancel(header)
            return True
        told = self._tell_why_it_waits(header, state)
        if header.owner != current().owner and not self.context.is_shepherd:
            return self._look_only(header, state) or told
        self.stores.keep(header.id, within_s=_KEEP_S)
        if self._take_over(header, state) or self._goes_on(header, state):
            return True
        headers = self.stores.log.job_headers
        findings = self.inspector.look(header, state)
        if not (findings or findings.duplicates) or not headers.take_lease(header.id, _REPAIR_LEASE_S):
            return told
        # What this reader has missed so far must not be taken for lost, nor what another has seen to already.
        headers.forget(header.id)
        header = self.stores.log.get_job(header.id)
        findings = self.inspector.look(header, read_state(self.stores.log, header, consistent=True))
        state.has_missed = not (
            findings or findings.duplicates
        )  # else who waits here for what is behind it would wait for ever
        self.stores.log.append(list(reconcile.lost_events(header, findings)))
        for run, fate in findings.lost:
            _log.warning("job %s: run %d, attempt %d, is lost: %s", header.id, *run[:2], fate.reason)
        self._start_found(header, findings)
        if findings.lost:
            self.looked_at.pop(header.id, None)  # the fold may want them started again at once
        headers.release_lease(header.id)
        return bool(findings.lost or findings.to_start) or state.has_missed or told

    def _start_found(self, header: JobHeader, findings: Findings) -> None:
        """Start what is due, and duplicates of slow runs: of a job on machines by one of those that has room."""
        if header.instance_type is None:
            self.start(header, findings.to_start)
            return
        self.start(header, findings.due)
        for run in findings.duplicates:
            Work(self.stores, header.id).offer_try(run)
            self.inspector.laid_out.add((header.id, *run[:2]))

    def wait_for_news(self, timeout_s: float) -> bool:
        """Wait until something was recorded here, or it is time to ask what was recorded elsewhere."""
        return self.stores.log.wait_for_news(timeout_s)

    def describe(self, image: str = "") -> Description:
        """The deployment's limits, and an image's machines and packages, as of some minutes ago at most."""
        self._refresh(_REFRESH_S)
        deployment, descriptor = self.context.deployment, self.context.descriptor
        facts, machines = deployment.image(image), deployment.instance_types
        return Description(
            name="aws",
            realtime_timeout_s=descriptor["limits"]["timeout_s"],
            realtime_memory_mib=descriptor["limits"]["memory_mib"],
            ask_concurrency=self.context.capacity.runs,
            instance_types={name: machines[name] for name in facts["instance_types"] if name in machines},
            image=facts["identity"],
            image_name=image,
            has_realtime=bool(facts["functions"]),
            functions=len(facts["functions"]),
            packages=deployment.packages_of(image),
            spot=descriptor["spot"],
            notify_topics=descriptor.get("notify_topics"),
            architecture=facts["architecture"],
            python=facts["python"],
            realtime_disk_mib=descriptor["limits"]["realtime_disk_mib"],
            machine_disk_mib=descriptor["limits"]["disk_size_gb"] * 1000,
            has_shared_memory=False,
            ask_libraries=lambda: self._libraries(facts),
            ask_scheduler=self._scheduler if "scheduler" in descriptor else None,
        )

    def _libraries(self, image: OwnImage) -> Collection[str] | None:
        """What the image has announced when it ran; before, what one of the usual base is known to have."""
        from fanfold.environments.libraries import IMAGE_LIBRARIES

        try:
            return self.stores.objects.get(libraries_key(image["identity"])).decode().split("\n")
        except ResultDamaged:
            return IMAGE_LIBRARIES if image["plain"] else None

    def _scheduler(self) -> ScheduleKeeper:
        from fanfold.engines.aws.kept_schedules import DeploymentSchedules

        return DeploymentSchedules(self.stores, self.context.deployment.name, self.context.descriptor["scheduler"])

    def _take_over(self, header: JobHeader, state: JobState) -> bool:
        """Take over what earlier jobs have performed for this one by now; whether there was anything.

        What they have left is due then, and started as all that is.
        """
        if all(record.path != FOLLOWING for record in records(state.job_events(EventKind.DISPATCH), DispatchRecord)):
            return False
        if header.id not in self._followings:
            self._followings[header.id] = Following(self.stores, state, self._look_after)
        following = self._followings[header.id]
        before = len(following)
        following.advance()
        self.looked_at.pop(header.id, None)
        return len(following) < before

    def steward_of(self, header: JobHeader) -> Steward:
        """What goes on with that job: stages of its ramp and how wide they are, larger machines."""
        if header.id not in self._stewards:
            from fanfold.engines.aws.map_runs import MapRuns
            from fanfold.engines.steward import Steward

            map_runs = MapRuns(self.context, Executions(self.context))
            self._stewards[header.id] = Steward(self, self._turn, widener=map_runs)
        return self._stewards[header.id]

    def _goes_on(self, header: JobHeader, state: JobState) -> bool:
        """Begin what is to begin later than the job; whether there was anything."""
        if not (header.stages or header.ladder) or not self.steward_of(header).advance(state):
            return False
        self.looked_at.pop(header.id, None)
        return True

    @contextmanager
    def _turn(self, header: JobHeader) -> Iterator[JobState | None]:
        """How the job stands, for one that looks after it at a time."""
        headers = self.stores.log.job_headers
        if not headers.take_lease(header.id, _REPAIR_LEASE_S):
            yield None
            return
        try:
            headers.forget(header.id)
            state = read_state(self.stores.log, self.stores.log.get_job(header.id), consistent=True)
            state.now = self.stores.log.now
            yield state
        finally:
            headers.release_lease(header.id)

    def _look_only(self, header: JobHeader, state: JobState) -> bool:
        """Note what a reader has missed of a job that is not his; True where it is to read all anew.

        Looking starts nothing, and takes nothing for lost: the job's owner pays for it. Runs that nobody performs wait
        until a client of his looks at the job, and the reader is told so.
        """
        state.waits_for_owner = False
        if not self.inspector.look(header, state):
            return False
        state.waits_for_owner = bool(self.inspector.look(header, read_state(self.stores.log, header, consistent=True)))
        state.has_missed = not state.waits_for_owner
        return state.has_missed

    def _look_after(self, header: JobHeader, state: JobState) -> set[int]:
        """Runs of an earlier job, perhaps another owner's, that nobody performs."""
        findings = self.inspector.look(header, state)
        return {run.index for run in (*(run for run, _ in findings.lost), *findings.due)}

    def _refresh(self, older_than_s: float) -> bool:
        """Read the deployment's descriptor again where it was read so long ago; whether it has changed.

        A client that stays up while somebody deploys would else call functions that are gone, and keep results under
        the image that was.
        """
        if time.monotonic() - self._discovered_at < older_than_s:
            return False
        before = self.context.deployment
        with suppress(StoreUnavailable):  # what is known will do
            self.context.deployment = self._find(self.account, before.name)
            self._discovered_at = time.monotonic()
        return self.context.deployment != before

    def _tell_why_it_waits(self, header: JobHeader, state: JobState) -> bool:
        """Write down why a dedicated job's machines are not up, where there is news of it: for all who look."""
        lane = self.context.deployment.lane(header.instance_type or "", header.image_name)
        news = self.queueing.news(header, state, lane) if lane is not None else []
        news += self._lost_machines.news(header, state)
        self.stores.log.append(news)
        return bool(news)

    def _tell_why_machines_ended(self, header: JobHeader, state: JobState) -> bool:
        """Write down, of a job that is over, why machines of it are gone that have not said so."""
        news = self._lost_machines.news(header, state, at_once=True)
        self.stores.log.append(news)
        return bool(news)

    def _say_failed(self, header: JobHeader, dispatch: Dispatch, runs: list[RunRef], error: FanfoldError) -> None:
        """Write down what is known of a start that failed: of what AWS has refused, that nothing has begun."""
        refused = dispatch.path != DIRECT and getattr(error, "refused", False)
        told = [(dispatch, REFUSED if refused else "starting")]
        if apart := set(getattr(error, "refused_runs", ())):
            parts = split(dispatch, runs, apart)
            told = list(zip(parts, ("started" if refused else "starting", REFUSED), strict=False))
            told = told or [(dispatch, "starting")]
        with suppress(FanfoldError):  # the first error is the one to tell
            self.stores.log.append([to_event(header.id, *one, reason=error.message) for one in told])


def _look_every_s(count: int) -> float:
    """Seconds between looks at every open run of a job of `count`, each of which takes some microseconds."""
    return max(1.0, min(count / 1_000, 15.0), count / 20_000)
