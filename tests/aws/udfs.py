"""Jobs to run in the cloud that tests make up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fanfold.api.decorator import Udf
from fanfold.contract.payloads import RunPayload
from fanfold.core.models import JobHeader, RunRef
from fanfold.core.options import Options, Request
from fanfold.engines.aws.dispatch import run_items
from fanfold.engines.base import Description
from fanfold.submission.prepare import prepare

FUNCTIONS = ["fanfold-test-run-0"]


class StoresOnly:
    """An engine that keeps jobs and starts nothing: tests start runs themselves."""

    detached = True

    def __init__(self, stores: Any) -> None:
        self.stores = stores

    def get_ready(self, *, dedicated: bool, **_: object) -> None:
        pass

    def describe(self, image: str = "") -> Description:
        image = "0123456789abcdef"
        return Description("aws", 120.0, 4096, lambda: 1000, {}, image, runs_follow_anywhere=False)


def put_job(stores: Any, udf: Callable[..., Any], inputs: Sequence[Any], **asked: Any) -> JobHeader:
    """Write a job down, as `submit` does before it starts anything."""
    options = {name: asked.pop(name) for name in ("timeout_s", "memory_mib", "serializer") if name in asked}
    constants, hedge = asked.pop("constants", {}), asked.pop("hedge", False)
    wrapped = Udf(udf, Options(**options))
    request = Request.of(wrapped.options, **asked)._replace(hedge=hedge)
    return prepare(wrapped, inputs, StoresOnly(stores), request, constants).header


def payload(stores: Any, header: JobHeader, index: int, attempt: int = 0) -> RunPayload:
    """What the function is invoked with for one attempt."""
    [item] = run_items(header, [RunRef(index, attempt)], objects=stores.objects, functions=FUNCTIONS)
    return {"job": {"id": header.id, "expires_at": stores.log.job_headers.known(header.id).expires_at}, "run": item}
