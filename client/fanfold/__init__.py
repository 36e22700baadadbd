"""Fanfold scales a Python function out: on this laptop, on thousands of Lambda functions, or on big machines.

    import fanfold

    @fanfold.udf
    def squared(x: int):
        return x * x

    frame = fanfold.submit(squared, range(1000))

Importing this does nothing: each name below is fetched from its module when it is first used.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fanfold.api.cached import cache as cache
    from fanfold.api.conditions import local as local
    from fanfold.api.decorator import Udf as Udf
    from fanfold.api.decorator import udf as udf
    from fanfold.api.executor import Executor as Executor
    from fanfold.api.inside import attempt as attempt
    from fanfold.api.inside import checkpoint as checkpoint
    from fanfold.api.inside import job_id as job_id
    from fanfold.api.inside import run_id as run_id
    from fanfold.api.inside import scratch_path as scratch_path
    from fanfold.api.inside import secret as secret
    from fanfold.api.inside import step as step
    from fanfold.api.mount import data_path as data_path
    from fanfold.api.mount import mount_path as mount_path
    from fanfold.api.older import context as context
    from fanfold.api.older import file_path as file_path
    from fanfold.api.older import load as load
    from fanfold.api.older import load_async as load_async
    from fanfold.api.older import options as options
    from fanfold.api.older import types as types
    from fanfold.api.submit import get_job as get_job
    from fanfold.api.submit import get_jobs as get_jobs
    from fanfold.api.submit import run as run
    from fanfold.api.submit import run_async as run_async
    from fanfold.api.submit import submit as submit
    from fanfold.core.options import Retry as Retry
    from fanfold.diagnosis import doctor as doctor
    from fanfold.errors import CaptureError as CaptureError
    from fanfold.errors import CodecError as CodecError
    from fanfold.errors import ConfigurationError as ConfigurationError
    from fanfold.errors import DeploymentGone as DeploymentGone
    from fanfold.errors import FanfoldError as FanfoldError
    from fanfold.errors import InputError as InputError
    from fanfold.errors import InputMissing as InputMissing
    from fanfold.errors import JobNotFound as JobNotFound
    from fanfold.errors import MissingPackage as MissingPackage
    from fanfold.errors import NestedSubmitError as NestedSubmitError
    from fanfold.errors import RampStopped as RampStopped
    from fanfold.errors import ResultDamaged as ResultDamaged
    from fanfold.errors import RunCancelled as RunCancelled
    from fanfold.errors import RunFailed as RunFailed
    from fanfold.errors import RunLost as RunLost
    from fanfold.errors import RunOutOfMemory as RunOutOfMemory
    from fanfold.errors import RunTimedOut as RunTimedOut
    from fanfold.errors import SignInNeeded as SignInNeeded
    from fanfold.errors import StoreError as StoreError
    from fanfold.errors import StoreFull as StoreFull
    from fanfold.errors import StoreTooNew as StoreTooNew
    from fanfold.errors import StoreUnavailable as StoreUnavailable
    from fanfold.errors import UnknownInstanceType as UnknownInstanceType
    from fanfold.errors import WaitTimeout as WaitTimeout
    from fanfold.errors import WorkerDied as WorkerDied
    from fanfold.inputs import chunks as chunks
    from fanfold.inputs.stored import files as files
    from fanfold.inputs.stored import rows as rows
    from fanfold.job import Job as Job
    from fanfold.job import Run as Run
    from fanfold.settings import configure as configure
    from fanfold.source.explain import explain as explain
    from fanfold.submission.estimates import Plan as Plan
    from fanfold.submission.plan import plan as plan

__version__ = "0.1.0"

_HOME_OF = {
    **dict.fromkeys(
        (
            "CaptureError CodecError ConfigurationError DeploymentGone FanfoldError InputError InputMissing "
            "JobNotFound MissingPackage NestedSubmitError RampStopped ResultDamaged RunCancelled RunFailed "
            "RunLost RunOutOfMemory RunTimedOut SignInNeeded StoreError StoreFull StoreTooNew "
            "StoreUnavailable UnknownInstanceType WaitTimeout WorkerDied"
        ).split(),
        "errors",
    ),
    **dict.fromkeys(("Job", "Run"), "job"),
    **dict.fromkeys(("get_job", "get_jobs", "run", "run_async", "submit"), "api.submit"),
    **dict.fromkeys(("Udf", "udf"), "api.decorator"),
    "cache": "api.cached",
    **dict.fromkeys(("context", "file_path", "load", "load_async", "options", "types"), "api.older"),
    "Executor": "api.executor",
    "Plan": "submission.estimates",
    "Retry": "core.options",
    "chunks": "inputs.reading",
    **dict.fromkeys(("files", "rows"), "inputs.stored"),
    "configure": "settings",
    **dict.fromkeys(("data_path", "mount_path"), "api.mount"),
    **dict.fromkeys(("attempt", "checkpoint", "job_id", "run_id", "scratch_path", "secret", "step"), "api.inside"),
    "doctor": "diagnosis",
    "local": "api.conditions",
    "explain": "source.explain",
    "plan": "submission.plan",
}

__all__ = [*_HOME_OF, "__version__"]  # noqa: PLE0604  all are strings


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"fanfold has no {name!r}{_hint(name)}")
    from fanfold.contract.records import no_collection_of_imports

    with no_collection_of_imports():
        value = getattr(_import_module(f"fanfold.{home}"), name)
    globals()[name] = value
    return value


def _hint(name: str) -> str:
    from fanfold.core.elsewhere import OF_PACKAGE, attribute_hint  # only a name that there is not needs it

    return attribute_hint(name, OF_PACKAGE, __all__) or "; dir(fanfold) lists what it has"


def __dir__() -> list[str]:
    return sorted(__all__)
