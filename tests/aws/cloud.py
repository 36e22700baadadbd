"""An AWS account to test against: moto over HTTP, with the table and the bucket that a deployment has."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fanfold.contract import cloud as contract
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.account import Account

REGION = "us-east-1"
ACCOUNT = "123456789012"
_numbers = itertools.count()
_servers: dict[str, subprocess.Popen[str]] = {}

#: What makes boto3 talk to moto, in this process and in those it starts.
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "testing",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": "/dev/null",
    "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
}


@dataclass(frozen=True)
class Deployment:
    """A deployment's storage, and the deployment descriptor that leads to it."""

    name: str
    descriptor: contract.DeploymentDescriptor

    @property
    def table(self) -> str:
        return self.descriptor["table"]

    @property
    def bucket(self) -> str:
        return self.descriptor["bucket"]


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """The address of a moto server."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.aws.moto_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parents[2],
        env={**os.environ, **ENVIRONMENT},
    )
    address = f"http://127.0.0.1:{process.stdout.readline().strip()}"
    _servers[address] = process
    yield address
    del _servers[address]
    process.kill()
    process.communicate()


@contextmanager
def frozen(address: str) -> Iterator[None]:
    """moto takes calls and answers none, within."""
    _servers[address].send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        _servers[address].send_signal(signal.SIGCONT)


@pytest.fixture
def aws(moto: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """This process's own AWS is moto, for one test."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": moto}.items():
        monkeypatch.setenv(name, value)
    return moto


@pytest.fixture(scope="session")
def account(moto: str) -> Account:
    """One for all tests, as a process has one: making clients takes 0.4 s."""
    with pytest.MonkeyPatch.context() as patched:
        for name, value in {**ENVIRONMENT, "AWS_ENDPOINT_URL": moto}.items():
            patched.setenv(name, value)
        account = Account()
        for service in ("dynamodb", "s3", "ssm"):
            account.client(service)
    return account


@pytest.fixture
def deployment(aws: str, account: Account) -> Deployment:
    """A deployment of its own for each test."""
    return deploy(account, f"test{os.getpid()}x{next(_numbers)}")


@pytest.fixture
def aws_stores(account: Account, deployment: Deployment, tmp_path: Path) -> AwsStores:
    return open_stores(account, deployment, tmp_path / "scratch")


def open_stores(account: Account, deployment: Deployment, scratch: Path) -> AwsStores:
    scratch.mkdir(exist_ok=True)
    return AwsStores(
        account, table=deployment.table, bucket=deployment.bucket, retention_s=30 * 86400.0, scratch=scratch
    )


def deploy(account: Account, name: str) -> Deployment:
    """Make the table and the bucket, and write their descriptor, as the stacks do."""
    deployment = Deployment(name, describe_deployment(name))
    _make_table(account.client("dynamodb"), deployment.table)
    account.client("s3").create_bucket(Bucket=deployment.bucket)
    ssm = account.client("ssm")
    lane = {"queue": f"q-{name}", "definition": f"d-{name}"}
    small = {**lane, "host": "c5.large", "vcpus": 2, "memory_gib": 2, "memory_mib": 2304, "usd_per_hour": 0.085}
    gpu = {**lane, "host": "g5.xlarge", "vcpus": 4, "memory_gib": 16, "memory_mib": 14_589, "usd_per_hour": 1.006}
    for path, value in {
        contract.parameter_name(name): deployment.descriptor,
        f"{contract.instance_types_path(name)}/0": {"small": small, "gpu": gpu},
        f"{contract.packages_path(name)}/0": {"pandas": "2.3.3", "numpy": "2.2.6", "pillow": "12.3.0"},
    }.items():
        ssm.put_parameter(Name=path, Value=json.dumps(value), Type="String", Overwrite=True)  # a try may come twice
    return deployment


def describe_deployment(name: str) -> contract.DeploymentDescriptor:
    machines = {
        path: f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:{contract.resource_name(name, path)}"
        for path in (contract.EXPRESS, contract.DISTRIBUTED, contract.DEDICATED)
    }
    return {
        "version": contract.DESCRIPTOR_VERSION,
        "deployment": name,
        "table": f"fanfold-{name}",
        "bucket": f"fanfold-{name}",
        "functions": [contract.resource_name(name, "run", str(n)) for n in range(2)],
        "state_machines": machines,
        "image": {"identity": "0123456789abcdef", "python": "3.12", "architecture": "x86_64"},
        "limits": {
            "timeout_s": 120,
            "memory_mib": 4096,
            "realtime_disk_mib": 512,
            "disk_size_gb": 100,
            "retention_days": 30,
            "concurrency": 0,
        },
        "spot": False,
        "mount": "",
        "log_groups": {"realtime": "realtime", contract.DEDICATED: "dedicated"},
    }


def _make_table(dynamodb: Any, name: str) -> None:
    indexes = ((contract.INDEX_BY_OWNER, contract.OWNER_KEY), (contract.INDEX_BY_TEAM, contract.TEAM_KEY))
    texts = [contract.PARTITION_KEY, contract.SORT_KEY, contract.INDEX_SORT_KEY, *(key for _, key in indexes)]
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_keys(contract.PARTITION_KEY, contract.SORT_KEY),
        AttributeDefinitions=[{"AttributeName": text, "AttributeType": "S"} for text in texts],
        GlobalSecondaryIndexes=[
            {
                "IndexName": index,
                "KeySchema": _keys(key, contract.INDEX_SORT_KEY),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index, key in indexes
        ],
    )


def _keys(partition: str, sort: str) -> list[dict[str, str]]:
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]
