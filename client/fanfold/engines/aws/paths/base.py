"""What a launch path can do, and what all of them work with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from fanfold.contract.cloud import DeploymentDescriptor
from fanfold.contract.payloads import DispatchJob
from fanfold.contract.records import NamedTuple
from fanfold.core.models import JobHeader, RunRef
from fanfold.engines.aws.capacity import Capacity
from fanfold.engines.aws.discovery import Deployment
from fanfold.engines.aws.dispatch import REFUSED, Dispatch
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.account import Account

#: How far the clock of who wrote something may be from that of who reads it: every patience below allows for that.
CLOCKS_S = 90.0
#: A client that has said "starting" and nothing more for so long is gone.
STARTING_S = 90.0 + CLOCKS_S


#: How long an execution may go on: a Distributed Map as long as `infra` lets it, one of machines as AWS does.
_REALTIME_EXECUTION_S, _DEDICATED_EXECUTION_S = 7 * 86_400, 365 * 86_400


class Fate(NamedTuple):
    """Why nothing more comes of a dispatch. `throttled`: nothing of it has begun, and trying again costs no attempt."""

    reason: str
    throttled: bool = False


#: EventBridge tells of the end of a Standard execution. In case that is lost, it is looked at this often.
STANDARD_LOOK_S = 3600.0

CUT_OFF = Fate("the client exited before all runs were started")
#: What AWS has refused to start for now, as a whole, is started again after so long.
_REFUSED_S = 10.0


def refusal(dispatch: Dispatch, age_s: float) -> Fate | None:
    """The fate of a dispatch of which AWS has begun nothing, since it refused the start."""
    if dispatch.state != REFUSED or age_s < _REFUSED_S:
        return None
    return Fate("AWS refused to start it for now", throttled=True)


def start_is_known_within_s(dispatch: Dispatch) -> float | None:
    """At which age something is known of a dispatch that was not seen to start; None for one that was."""
    return {"starting": STARTING_S, REFUSED: _REFUSED_S}.get(dispatch.state)


class LaunchPath(Protocol):
    """One way in which runs get to where they are executed."""

    def start(self, header: JobHeader, dispatch: Dispatch, runs: Sequence[RunRef]) -> None:
        """Start these runs. Starting them again is harmless."""

    def stop(self, header: JobHeader, dispatch: Dispatch) -> None:
        """End what goes on by itself: runs that see the job's cancel flag need no more."""

    def fate(self, header: JobHeader, dispatch: Dispatch, age_s: float) -> Fate | None:
        """Why nothing more comes of a dispatch that is so many seconds old, or None while something may."""

    def lasts_s(self, dispatch: Dispatch) -> float:
        """At which age its `fate` is to be asked for, where AWS tells nobody of it before."""


class LaunchContext:
    """The deployment that a process uses. Its descriptor is read anew when the deployment has changed."""

    def __init__(self, account: Account, stores: AwsStores, deployment: Deployment) -> None:
        self.account = account
        self.stores = stores
        self.deployment = deployment
        self.capacity = Capacity(account, deployment.descriptor["limits"].get("concurrency", 0))
        #: Whether this is the deployment's shepherd: it looks after every owner's jobs, does not last for as long as a
        #: run that it calls, and is told when an execution ends.
        self.is_shepherd = False

    @property
    def descriptor(self) -> DeploymentDescriptor:
        """What the deployment says of itself."""
        return self.deployment.descriptor

    def functions(self, header: JobHeader) -> list[str]:
        """The clones of the function that performs a job's runs. Raises `InputError` for an image that is gone."""
        return self.deployment.image(header.image_name)["functions"]

    def job(self, header: JobHeader) -> DispatchJob:
        """What of a job goes with every run.

        What a state machine writes by itself has this expiry, which nobody can move on before it is written: it has to
        last until the execution may have ended.
        """
        expires_at = self.stores.log.job_headers.known(header.id).expires_at
        lasts_s = _REALTIME_EXECUTION_S if header.instance_type is None else _DEDICATED_EXECUTION_S
        return {"id": header.id, "expires_at": expires_at + lasts_s}


def execution_name(header: JobHeader, dispatch: Dispatch) -> str:
    """The name of what a dispatch starts in Step Functions: the same for the same runs."""
    return f"{header.id}-{dispatch.name}"
