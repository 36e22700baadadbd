"""A ministack of one's own, and the real CDK command line pointed at it.

`python -m tests.infra.local_cloud` deploys there, tells what was made, and takes it away again (`make deploy-local`).
"""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.infra.templates import ROOT, STACKS
from tests.infra.tooling import ministack_python, npm_program, offline_environment

ACCOUNT, REGION = "000000000000", "us-east-1"
NAMES = [f"Fanfold-main-{stack}" for stack in STACKS]


class LocalCloud:
    """An endpoint that answers as AWS does, and the CDK's commands against it."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint

    def cdk(self, *arguments: str) -> str:
        """Run the CDK command line and give what it wrote. Fails with that where the CDK does."""
        command = [*npm_program("aws-cdk", "bin/cdk"), "--no-notices", *arguments]
        environment = offline_environment(
            AWS_ENDPOINT_URL=self.endpoint,
            AWS_ACCESS_KEY_ID="test",
            AWS_SECRET_ACCESS_KEY="test",
            AWS_DEFAULT_REGION=REGION,
            AWS_REGION=REGION,
            CI="true",
        )
        done = subprocess.run(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        assert done.returncode == 0, f"cdk {' '.join(arguments)}\n{done.stdout[-4000:]}"
        return done.stdout

    def client(self, service: str) -> Any:
        """A boto3 client of this cloud."""
        import boto3

        return boto3.client(
            service,  # type: ignore[call-overload]
            endpoint_url=self.endpoint,
            region_name=REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def stacks(self) -> dict[str, str]:
        """Status by name of every stack there is."""
        found = self.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"]: stack["StackStatus"] for stack in found}

    def resources(self, stack: str) -> dict[str, tuple[str, str]]:
        """(type, physical id) by logical id of what a stack made."""
        pages = self.client("cloudformation").get_paginator("list_stack_resources").paginate(StackName=stack)
        return {
            row["LogicalResourceId"]: (row["ResourceType"], row.get("PhysicalResourceId", ""))
            for page in pages
            for row in page["StackResourceSummaries"]
        }


@contextmanager
def local_cloud(folder: Path) -> Iterator[LocalCloud]:
    """A ministack, bootstrapped, gone afterwards."""
    with ministack(folder) as endpoint:
        cloud = LocalCloud(endpoint)
        cloud.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}")
        yield cloud


@contextmanager
def ministack(folder: Path) -> Iterator[str]:
    """The endpoint of a ministack on a free port, gone afterwards."""
    port = _free_port()
    environment = offline_environment(
        BIND_HOST="127.0.0.1", GATEWAY_PORT=str(port), MINISTACK_ACCOUNT_ID=ACCOUNT, HOME=str(folder)
    )
    command = [ministack_python(), str(Path(__file__).with_name("ministack_server.py"))]
    with (folder / "ministack.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(port, server)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(timeout=60)


def _free_port() -> int:
    """One that stays free until the server takes it: to who asks for any the system gives one above these."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port := random.randrange(20_000, 32_000)))
            return port


def _wait_for(port: int, server: subprocess.Popen[bytes], patience_s: float = 60) -> None:
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline and server.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError("ministack did not come up; see ministack.log")


def main() -> None:
    """Show a person what a deployment makes."""
    with TemporaryDirectory() as folder, local_cloud(Path(folder)) as cloud:
        print(cloud.cdk("deploy", "--all", "--require-approval", "never"))
        for stack in NAMES:
            for kind, physical in sorted(cloud.resources(stack).values()):
                print(f"{stack:30} {kind:40} {physical}")
        parameter = cloud.client("ssm").get_parameter(Name="/fanfold/main")["Parameter"]
        print(f"\n/fanfold/main: {parameter['Value']}")


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
