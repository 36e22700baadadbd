"""The local cloud's server: moto over HTTP with its seams, in a process of its own. It is told to do things by lines.

The first line it prints is its port. Then it answers each line of JSON, `[name, arguments]`, with one of JSON; when its
input ends, so does it, and everything it has started.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import boto3
from botocore.config import Config
from moto.server import ThreadedMotoServer

from fanfold.contract.cloud import REALTIME_HANDLER, SHEPHERD_HANDLER
from fanfold.core.processes import usable_cores
from fanfold.execution.worker.sandbox import thread_variables
from tests.aws import moto_answers, moto_tables, moto_writes
from tests.aws.cloud import ACCOUNT, ENVIRONMENT, REGION
from tests.aws.processes import Starter, start_process
from tests.cloud import limits, seams
from tests.cloud.containers import as_it_is, contain
from tests.cloud.deploy import ROOT
from tests.cloud.events import Events
from tests.cloud.executions import Executions
from tests.cloud.faults import BY_AWS, Faults
from tests.cloud.functions import ENVIRONMENTS, Functions
from tests.cloud.images import Images
from tests.cloud.machines import Machines
from tests.cloud.permissions import JOB_KEY, REALTIME_KEY, SHEPHERD_KEY, Permissions
from tests.cloud.states.integrations import Integrations
from tests.cloud.states.interpreter import Surroundings

#: What a lost machine held, another takes over after this; on AWS after 45 s. A machine of a loaded computer stands
#: still for a second or two, and is not lost.
LEASE_S = "6"
#: For what has told its result, and is about to end.
_GOODBYE_S = 0.5


def cores_of_an_environment() -> int:
    """On AWS each environment has cores of its own; here those of two functions share this machine's.

    Threads of OpenMP that wait for each other's cores spin: a sweep of scikit-learn took ten times as long.
    """
    return max(1, usable_cores() // (2 * ENVIRONMENTS))


def image_variables() -> dict[str, str]:
    """What the image sets for GDAL: functions and machines here are no containers of it."""
    text = (ROOT / "runtime" / "Dockerfile").read_text()
    named = re.findall(r"\b((?:GDAL|CPL|VSI)_\w+)=(\S+)", text)
    return dict(named)


class Server:
    """All parts of the cloud, put together."""

    def __init__(self, folder: Path, *, wait_scale: float, port: int, start: Starter) -> None:
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
        limits.install()
        self.faults = Faults()
        self.faults.install()
        self.permissions = Permissions(REGION, ACCOUNT)
        self.permissions.install()
        seams.install_bucket_hosts()
        self._moto.start()
        self.port = self._moto.get_host_and_port()[1]
        endpoint = f"http://127.0.0.1:{self.port}"
        environment = {**ENVIRONMENT, **image_variables(), "AWS_ENDPOINT_URL": endpoint}
        (folder / "machines").mkdir()
        self.images = Images(folder / "images")
        contained = contain if start is start_process else as_it_is
        self.functions = Functions(
            lambda name: seams.find_function(ACCOUNT, REGION, name),
            folder=folder,
            environment={**thread_variables(cores_of_an_environment()), **environment},
            keys={REALTIME_HANDLER: REALTIME_KEY, SHEPHERD_HANDLER: SHEPHERD_KEY},
            start=start,
            contain=contained,
            images=self.images,
        )
        # Batch tells a container nothing of its region: https://github.com/aws/aws-cdk/issues/10952
        told = {name: value for name, value in environment.items() if not name.endswith("_REGION")}
        self.machines = Machines(
            folder / "machines",
            {**told, "AWS_ACCESS_KEY_ID": JOB_KEY, "FANFOLD_LEASE_S": LEASE_S},
            start=start,
            contain=contained,
            images=self.images,
        )
        integrations = Integrations(_clients(endpoint), self.functions, self.permissions.refuses)
        self.integrations = integrations
        self.surroundings = Surroundings(integrations.call, integrations.read_items, wait_scale=wait_scale)
        self.executions = Executions(self.surroundings)
        moto_answers.install()
        moto_tables.install()
        moto_writes.install()
        self.events = Events(ACCOUNT, REGION, self.functions, self.permissions.refuses)
        self.events.install()
        self.executions.tell = self.events.execution_ended
        seams.install_functions(self.functions, self.events)
        seams.install_machines(self.machines)
        seams.install_executions(self.executions)

    def obey(self, order: str, arguments: list[Any]) -> Any:
        """Do one thing that the cloud's owner asks for."""
        orders: dict[str, Callable[..., Any]] = {
            "add_images": self.images.add,
            "limit_concurrency": self._limit_concurrency,
            "scale_waits": self._scale_waits,
            "crash_environments": lambda: self.functions.strike_busy(signal.SIGABRT, of=REALTIME_HANDLER),
            "kill_environments": lambda: self.functions.strike_busy(signal.SIGKILL, of=REALTIME_HANDLER),
            "tell_events": self._tell_events,
            "alarms": self.events.alarms,
            "fire": self.events.fire,
            "deliver_twice": self.executions.deliver_twice,
            "limit_machines": self.machines.limit,
            "lose_machines": self.machines.lose,
            "interrupt_machines": self.machines.interrupt,
            "refuse": self.faults.refuse,
            "expire": self.faults.expire,
            "put_to_sleep": self.functions.put_to_sleep,
            "refused_asleep": lambda: self.functions.refused_asleep,
            "refuse_submits": self.integrations.submit_refusals.extend,
            "submits_to_refuse": lambda: len(self.integrations.submit_refusals),
            "end_faults": self.faults.end_faults,
            "enforce": self.permissions.enforce,
            "forbid": self.permissions.forbid,
            "permissions": lambda: [sorted(self.permissions.asked), self.permissions.refused],
            "forget": self._forget,
            "throttled": lambda: self.functions.throttled,
            "ended": lambda: self.executions.ended,
            "map_runs": self._map_runs,
        }
        return orders[order](*arguments)

    def close(self) -> None:
        """End everything that was started."""
        self.functions.close()
        self.machines.close()

    def _map_runs(self, execution: str) -> list[dict[str, Any]]:
        told = self.executions.map_runs.of(execution)
        return [{"arn": one.arn, "status": one.status, "most": sorted(one.most.items())} for one in told]

    def _limit_concurrency(self, count: int | None) -> None:
        self.functions.concurrency = count

    def _tell_events(self, on: bool) -> None:
        self.events.on = on

    def _forget(self) -> None:
        """What was under way is ended first: it would write into the table that others use by then."""
        tells, self.events.on = self.events.on, False
        self.executions.stop_all()
        may_end_by_itself = time.monotonic() + _GOODBYE_S
        deadline = time.monotonic() + 60
        while not self._is_at_rest():
            if time.monotonic() > deadline:
                raise TimeoutError("what was under way does not end")
            if time.monotonic() > may_end_by_itself:
                self.functions.strike_busy(signal.SIGKILL)
                self.machines.end_all()
            time.sleep(0.02)
        self.events.forget()
        seams.forget(ACCOUNT, REGION)
        self.events.on = tells

    def _is_at_rest(self) -> bool:
        at_rest = self.executions.are_over and self.functions.are_idle and self.machines.are_idle
        return at_rest and self.events.are_delivered

    def _scale_waits(self, by: float) -> None:
        self.surroundings.wait_scale = by


def _clients(endpoint: str) -> Callable[[str], Any]:
    lock = threading.Lock()

    @cache
    def make(service: str) -> Any:
        session = boto3.Session("testing", "testing", region_name=REGION)
        return session.client(
            service, endpoint_url=endpoint, config=Config(max_pool_connections=64, user_agent_extra=BY_AWS)
        )

    def client(service: str) -> Any:
        with lock:  # sessions are not safe to share while they make clients
            return make(service)

    return client


def main() -> None:
    """Serve until the input ends."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    faulthandler.register(signal.SIGUSR1)  # where every thread is, into the log
    folder, wait_scale, port = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    start: Starter = resolve_name(sys.argv[4])
    server = Server(folder, wait_scale=wait_scale, port=port, start=start)
    try:
        print(server.port, flush=True)
        for line in sys.stdin:
            print(json.dumps(server.obey(*json.loads(line))), flush=True)
    finally:
        server.close()
        os._exit(0)  # whatever threads still wait for something


if __name__ == "__main__":
    main()
