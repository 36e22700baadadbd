"""A local cloud with Fanfold deployed in it: start, deploy, faults, stop.

What is real: the synthesised templates and state machines, the Lambda handler under AWS's runtime client, the command
of the Batch machines. What stands in for AWS: moto's DynamoDB, S3, SSM, IAM and logs, and the interpreter in `states`.
What is not emulated is refused by name (`NotEmulated`); networks and memory limits are not enforced, permissions are.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from fanfold.contract.cloud import endpoint_variables, parameter_name
from tests.aws.cloud import ACCOUNT, ENVIRONMENT, REGION
from tests.cloud.aws_errors import THROTTLE_MESSAGE
from tests.cloud.deploy import ROOT, Deployer, announced, own_locks, synthesise, templates_in

#: Two clones, so that runs are spread over several functions; and every machine that there is a name for.
#: Beside the default image one with a function, and one for machines alone.
_IMAGES = {
    "geo": {"system_packages": ["libgl1"], "instance_types": ["small"]},
    "batch": {"realtime": False, "instance_types": ["small", "medium"]},
}
#: A topic that may be told of a job's end.
TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:jobs"
SETTINGS: Mapping[str, Any] = {
    #: What its processes are: wheels of `packages=` are chosen by it, and so is what may travel compiled.
    "python_version": "{}.{}".format(*sys.version_info),
    "realtime_functions": 2,
    "ultramem": True,
    "images": _IMAGES,
    "seal_arguments": True,
    "notify_topics": [TOPIC],
}
#: A folder with what these settings come to, which takes 5 s to synthesise: all processes of a test session share one.
SYNTHESISED_THERE = "FANFOLD_TEST_SYNTHESISED"
#: What starts environments and machines, as `module:function`.
STARTER = "tests.aws.processes:start_process"


class LocalCloud:
    """A running cloud. Use it as a context; `folder` holds what its parts print."""

    def __init__(self, folder: Path, *, wait_scale: float = 1.0, port: int = 0, starter: str = STARTER) -> None:
        """Start it, at any free port by default. Waits between tries of a state, on AWS seconds, are scaled."""
        self.folder = folder
        self._wait_scale = wait_scale
        self._log = (folder / "server.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.cloud.server", str(folder), str(wait_scale), str(port), starter],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
            start_new_session=True,  # a terminal's Ctrl-C is for who has started it, and who then ends it
            env={**_without_aws(), **ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(ROOT / "client"), str(ROOT)])},
        )
        self._lock = threading.Lock()
        self._policies: dict[str, Any] = {}
        self._roles: dict[str, str] = {}
        answers_at = self._process.stdout.readline().strip()
        if not answers_at:
            raise RuntimeError(f"the local cloud did not start: {(folder / 'server.log').read_text()[-2000:]}")
        self.endpoint = f"http://127.0.0.1:{answers_at}"
        self.client = self._clients()

    def __enter__(self) -> LocalCloud:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def deploy(self, settings: Mapping[str, Any] = SETTINGS, checkout: Path = ROOT) -> str:
        """Synthesise and deploy Fanfold, of this checkout or of another; the deployment's name."""
        shared = os.environ.get(SYNTHESISED_THERE) if (settings, checkout) == (SETTINGS, ROOT) else None
        folder = Path(shared) if shared else self.folder / "cdk.out"
        templates = templates_in(folder) if shared else synthesise(folder, settings, checkout)
        self._order("add_images", own_locks(folder))
        deployer = Deployer(self.client, region=REGION, account=ACCOUNT)
        locked = {name for name, image in settings.get("images", {}).items() if "requirements" in image}
        locked |= {""} if "requirements" in settings else set()
        for template in templates:
            deployer.deploy(announced(template, locked))
        for whose, statements in deployer.policies.items():
            self._policies.setdefault(whose, []).extend(statements)
        self._roles.update(deployer.roles)
        self.enforce_permissions()
        name = str(settings.get("deployment", "main"))
        self.client("ssm").get_parameter(Name=parameter_name(name))
        return name

    def environment(self, deployment: str = "main") -> dict[str, str]:
        """What makes Fanfold and boto3 use this cloud."""
        credentials = {name: value for name, value in ENVIRONMENT.items() if name != "AWS_SESSION_TOKEN"}
        where = {"AWS_ENDPOINT_URL": self.endpoint, **endpoint_variables(self.endpoint)}
        return {**credentials, **where, "FANFOLD_DEPLOYMENT": deployment}

    def limit_concurrency(self, count: int | None) -> None:
        """Throttle invocations beyond so many at once; None for no limit."""
        self._order("limit_concurrency", count)

    def scale_waits(self, by: float) -> None:
        """Wait between a state's tries so many times as long as AWS does."""
        self._order("scale_waits", by)

    def crash_environments(self) -> int:
        """Crash the Lambda environments that are in the middle of a run; how many."""
        return int(self._order("crash_environments"))

    def kill_environments(self) -> int:
        """Kill them, as Lambda does when their memory is used up; how many."""
        return int(self._order("kill_environments"))

    def deliver_twice(self, times: int) -> None:
        """Run so many of the coming Express executions twice: they are promised to run at least once."""
        self._order("deliver_twice", times)

    def limit_machines(self, count: int | None, reason: str = "") -> None:
        """Start no machine beyond so many, and give that reason; None for as many as there were."""
        self._order("limit_machines", count, reason)

    def lose_machines(self) -> int:
        """The hosts of all Batch jobs that run now fail; how many."""
        return int(self._order("lose_machines"))

    def interrupt_machines(self) -> int:
        """Tell all Batch jobs that run now to stop, as before a Spot interruption; how many."""
        return int(self._order("interrupt_machines"))

    def refuse(self, kind: str, service: str, operation: str = "", *, times: int, every: int = 1) -> None:
        """Have `times` of the coming requests to a service, every n-th, meet a fault of `tests.cloud.faults.KINDS`."""
        self._order("refuse", kind, service, operation, times, every)

    def expire(self, key: str) -> None:
        """Refuse whatever this access key has signed, from now on until `end_faults`."""
        self._order("expire", key)

    def enforce_permissions(self, on: bool = True) -> None:
        """Refuse what the templates' policies do not allow, as is done from the deployment on; or no more."""
        self._order("enforce", self._policies if on else {}, self._roles)

    def forbid(self, whose: str, action: str) -> None:
        """Take an action out of a role's or a policy's statements, by how its logical id begins."""
        self._order("forbid", whose, action)

    def permissions(self) -> tuple[set[tuple[str, str]], list[tuple[str, str, str]]]:
        """Whose policies were asked for which actions, and what was refused: whose, action and resource."""
        asked, refused = self._order("permissions")
        return {(whose, action) for whose, action in asked}, [(one[0], one[1], one[2]) for one in refused]

    def freeze(self, seconds: float) -> int:
        """Answer nothing for so long; returns then: 1, the one process that this is."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)
        return 1

    def put_functions_to_sleep(self, seconds: float) -> None:
        """Refuse calls as of an image function that nobody called for weeks, until so long after the next call."""
        self._order("put_to_sleep", seconds)

    def refused_asleep(self) -> int:
        """How many calls have been refused because the function slept."""
        return int(self._order("refused_asleep"))

    def refuse_submits(self, *names: str, message: str = THROTTLE_MESSAGE) -> None:
        """Refuse the coming SubmitJobs of state machines as throttled, under these names; or for another reason."""
        self._order("refuse_submits", [[name, message] for name in names])

    def submits_to_refuse(self) -> int:
        """How many SubmitJobs are still to be refused."""
        return int(self._order("submits_to_refuse"))

    def end_faults(self) -> int:
        """Let all be as it was at the start; how many requests were still to be refused."""
        self.limit_concurrency(None)
        self.limit_machines(None)
        self.scale_waits(self._wait_scale)
        self.deliver_twice(0)
        self.put_functions_to_sleep(0)
        self.tell_events(False)
        self.enforce_permissions()
        return int(self._order("end_faults"))

    def forget(self) -> None:
        """End what still runs, and empty the table and the bucket, as if nothing had been run in the deployment."""
        self._order("forget")

    def tell_events(self, on: bool = True) -> None:
        """Have the shepherd hear of what happens; by default it sleeps, for what tests look at is a client's doing."""
        self._order("tell_events", on)

    def alarms(self) -> dict[str, float]:
        """When the shepherd is to be woken for each job, in seconds since 1970."""
        found: dict[str, float] = self._order("alarms")
        return found

    def fire(self, schedule: str, at: str = "") -> None:
        """Let the time of a schedule have come: now, or the one that is named in UTC."""
        self._order("fire", schedule, at)

    def throttled(self) -> int:
        """How many invocations have been refused because of the concurrency."""
        return int(self._order("throttled"))

    def ended(self) -> dict[str, int]:
        """How many executions have ended, by kind and status."""
        found: dict[str, int] = self._order("ended")
        return found

    def map_runs(self, execution: str) -> list[dict[str, Any]]:
        """The Map Runs of an execution, the latest first: `most` has the most children at once, under each limit."""
        found: list[dict[str, Any]] = self._order("map_runs", execution)
        return found

    def machines_of(self, job_id: str) -> list[dict[str, Any]]:
        """The Batch jobs, of small machines, that a job's runs were given to, as Batch describes them."""
        batch = self.client("batch")
        by_name = [{"name": "JOB_NAME", "values": [f"fanfold-{job_id}"]}]
        listed = batch.list_jobs(jobQueue="fanfold-main-c5-large", filters=by_name)["jobSummaryList"]
        found: list[dict[str, Any]] = batch.describe_jobs(jobs=[one["jobId"] for one in listed])["jobs"]
        return found

    def stop(self) -> None:
        """End it, and all that it has started."""
        self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()
        self._log.close()

    def _order(self, name: str, *arguments: Any) -> Any:
        with self._lock:
            self._process.stdin.write(json.dumps([name, arguments]) + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the local cloud is gone; see {self.folder / 'server.log'}")
        return json.loads(answer)

    def _clients(self) -> Callable[[str], Any]:
        import boto3

        session = boto3.Session("testing", "testing", region_name=REGION)

        @cache
        def client(service: str) -> Any:
            return session.client(service, endpoint_url=self.endpoint)

        return client


def _without_aws() -> dict[str, str]:
    kept = (name for name in os.environ if not name.startswith(("AWS_", "FANFOLD_")) or "_TEST_" in name)
    return {name: os.environ[name] for name in kept}
