"""A run that ends between two of its steps, near its time limit, is started again from here: no client need look."""

from __future__ import annotations

import os

from fanfold.contract.cloud import ENV_EXPRESS, EXPRESS
from fanfold.contract.payloads import DispatchJob, RunItem
from fanfold.core.models import JobHeader, RunRef
from fanfold.engines.aws.dispatch import express_input, make_dispatch, to_event
from fanfold.engines.aws.paths.base import execution_name
from fanfold.errors import FanfoldError
from fanfold.stores.aws import AwsStores
from fanfold_runtime import telemetry


class Continuation:
    """The next attempt of a run, as an Express execution of its own.

    Where the deployment's function reaches no Step Functions (it has a mount, and so is in a network of its own), this
    does nothing: the client that waits starts it.
    """

    def __init__(self, stores: AwsStores, header: JobHeader, job: DispatchJob, run: RunItem) -> None:
        self._stores, self._header, self._job = stores, header, job
        self._machine = os.environ.get(ENV_EXPRESS, "")
        self._item: RunItem = {**run, "attempt": run["attempt"] + 1}
        self._item.pop("more", None)
        self._dispatch = make_dispatch(EXPRESS, [RunRef(run["index"], run["attempt"] + 1)])

    def announce(self) -> None:
        """Say that it is about to be started: before the end of this attempt is told, or a client would start it."""
        if self._machine:
            self._stores.log.append([to_event(self._header.id, self._dispatch, "starting")])

    def start(self) -> None:
        """Start it. Where that fails, a client finds out when it should long have begun."""
        if not self._machine:
            return
        name = f"{execution_name(self._header, self._dispatch)}-0"
        given = express_input(self._job, [self._item])
        parameters = {"stateMachineArn": self._machine, "name": name, "input": given}
        try:
            self._stores.account.call("stepfunctions", "start_execution", on=self._machine, **parameters)
        except FanfoldError as error:
            telemetry.logger.warning("run not started again", error=type(error).__name__, reason=error.message)
            return
        self._stores.log.append([to_event(self._header.id, self._dispatch, "started")])
