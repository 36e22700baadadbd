"""A machine's runs find the data role's credentials by an address alone, and go on when these have been replaced."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from fanfold.contract.cloud import endpoint_variables
from fanfold_runtime.credentials import Credentials, CredentialsServer
from tests.cloud.cloud import LocalCloud
from tests.cloud.long_reads import READERS
from tests.cloud.test_libraries_reach_s3 import ROOT, bucket

__all__ = ["bucket"]
#: So long the first credentials live, from when they are asked for. Some libraries ask for others minutes before they
#: end, Arrow when they have.
LIFE_S = 4.0


class ChangingRole:
    """A data role whose first sessions are short."""

    arn = "arn:aws:iam::123456789012:role/data"

    def __init__(self) -> None:
        self.key, self.lives_s = "ASIAFIRST", LIFE_S

    def credentials(self) -> Credentials:
        expires = datetime.now(timezone.utc) + timedelta(seconds=self.lives_s)
        return Credentials(self.key, "secret", "token", expires)

    def change(self) -> None:
        """Have credentials that nobody has been given yet."""
        self.key, self.lives_s = "ASIASECOND", 3600.0


@contextmanager
def reading(
    cloud: LocalCloud, variables: dict[str, str], bucket: str, *libraries: str
) -> Iterator[subprocess.Popen[str]]:
    """A process that has what a machine's run has, and no key."""
    around = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DUCKDB_"))}
    around |= {"PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in ("client", "runtime", "."))}
    around |= {**endpoint_variables(cloud.endpoint), "AWS_ENDPOINT_URL": cloud.endpoint, "AWS_REGION": "us-east-1"}
    around |= {"AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true", **variables}
    around |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    # What does not find the address asks the machine's metadata next: here at a port where nobody answers.
    around |= {"AWS_METADATA_ENDPOINT": "http://127.0.0.1:9"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.cloud.long_reads", bucket, *libraries]
    process = subprocess.Popen(command, cwd=ROOT, env=around, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.communicate(timeout=60)


def read_by(process: subprocess.Popen[str]) -> dict[str, str]:
    process.stdin.write("\n")
    process.stdin.flush()
    found: dict[str, str] = json.loads(process.stdout.readline())
    return found


@pytest.fixture
def role() -> ChangingRole:
    return ChangingRole()


@pytest.fixture
def server(role: ChangingRole, tmp_path: Path) -> Iterator[CredentialsServer]:
    (tmp_path / "machine").mkdir()
    server = CredentialsServer(role, tmp_path / "machine")
    yield server
    server.close()


def test_each_library_goes_on_with_new_credentials_when_the_first_have_expired(on_cloud, bucket, role, server):
    sevens = dict.fromkeys(READERS, "7")
    with reading(on_cloud, server.as_variables(), bucket, *READERS) as process:
        assert read_by(process) == sevens
        time.sleep(LIFE_S)
        role.change()
        on_cloud.expire("ASIAFIRST")
        assert read_by(process) == sevens


def test_without_the_file_of_its_token_object_store_finds_no_credentials(on_cloud, bucket, server):
    """Botocore reads the token from its variable as well."""
    variables = server.as_variables()
    del variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"]
    with reading(on_cloud, variables, bucket, "boto3", "obstore") as process:
        found = read_by(process)
    assert {library for library, value in found.items() if value != "7"} == {"obstore"}


def test_nobody_is_given_credentials_for_another_token(on_cloud, bucket, server, tmp_path):
    (tmp_path / "another").write_text("another")
    variables = {**server.as_variables(), "AWS_CONTAINER_AUTHORIZATION_TOKEN": "another"}
    variables["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(tmp_path / "another")
    with reading(on_cloud, variables, bucket, "boto3", "obstore") as process:
        found = read_by(process)
    assert "7" not in found.values()
