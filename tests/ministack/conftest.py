"""The second cloud, for a session; and an empty one's stores, for a test."""

from __future__ import annotations

import pytest

from fanfold.settings import reset
from fanfold.stores.aws.account import Account
from tests.aws.cloud import deploy, open_stores
from tests.cloud.fixtures import point
from tests.ministack.second_cloud import second_cloud


@pytest.fixture(scope="session")
def second(tmp_path_factory):
    with second_cloud(tmp_path_factory.mktemp("second")) as cloud:
        yield cloud


@pytest.fixture(scope="session")
def second_account(second):
    with pytest.MonkeyPatch.context() as patched:
        point(patched, second)
        account = Account()
        for service in ("dynamodb", "s3", "ssm", "stepfunctions", "lambda"):
            account.client(service)
    return account


@pytest.fixture
def on_second(second, second_account, monkeypatch):
    """This process uses the second cloud."""
    point(monkeypatch, second)
    monkeypatch.setattr("fanfold.engines.aws.Account", lambda **_: second_account)
    reset()
    return second


@pytest.fixture
def aws_stores(on_second, second_account, tmp_path):
    """The stores of a deployment of its own."""
    name = f"test{tmp_path.name.replace('_', '')[-40:]}".lower()
    return open_stores(second_account, deploy(second_account, name), tmp_path / "scratch")
