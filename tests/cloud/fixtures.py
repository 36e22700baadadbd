"""A local cloud for a test session, and one test's use of it: an empty deployment, and Fanfold pointed at it."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanfold.settings import configure
from fanfold.stores.aws.account import Account
from tests.cloud.cloud import SETTINGS, SYNTHESISED_THERE, LocalCloud
from tests.cloud.deploy import synthesise

#: Of AWS's waits between tries, so that nothing here waits for 16 s.
WAIT_SCALE = 0.1


@pytest.fixture(scope="session")
def synthesised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the local cloud deploys: the first worker of pytest's that wants it makes it for all of them."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "synthesised"
    shared.mkdir(exist_ok=True)
    with (shared / "lock").open("w") as lock, pytest.MonkeyPatch.context() as patched:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "done").exists():
            synthesise(shared / "cdk.out", SETTINGS)
            (shared / "done").touch()
        fcntl.flock(lock, fcntl.LOCK_UN)
        patched.setenv(SYNTHESISED_THERE, str(shared / "cdk.out"))
        yield shared / "cdk.out"


@pytest.fixture(scope="session")
def cloud(synthesised: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """The cloud, with one deployment named main."""
    with LocalCloud(tmp_path_factory.mktemp("cloud"), wait_scale=WAIT_SCALE) as cloud:
        cloud.deploy()
        yield cloud


@pytest.fixture(scope="session")
def cloud_account(cloud: LocalCloud) -> Account:
    """One for all tests, as a process has one: making clients takes 0.4 s."""
    with pytest.MonkeyPatch.context() as patched:
        point(patched, cloud)
        account = Account()
        for service in ("dynamodb", "s3", "ssm", "stepfunctions", "lambda", "batch"):
            account.client(service)
    return account


@pytest.fixture
def on_cloud(cloud: LocalCloud, cloud_account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCloud]:
    """This process, and those it starts, use the cloud's deployment, in which nothing has happened yet."""
    point(monkeypatch, cloud)
    monkeypatch.setattr("fanfold.engines.aws.Account", lambda **_: cloud_account)
    yield cloud
    cloud.forget()
    cloud.end_faults()


@pytest.fixture(params=["local", "aws"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The engine that this test uses, and every process that it starts: tests that ask for it are run once on each."""
    if request.param == "aws":
        request.getfixturevalue("on_cloud")
    monkeypatch.setenv("FANFOLD_ENGINE", request.param)
    configure(engine=request.param)
    return str(request.param)


def point(patched: pytest.MonkeyPatch, cloud: LocalCloud) -> None:
    """Have this process, and those it starts, use the cloud."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        patched.delenv(name)
    for name, value in cloud.environment().items():
        patched.setenv(name, value)
