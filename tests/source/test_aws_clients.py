"""Clients of boto3 in a UDF's code: made anew in the run, of the same settings; never with keys, never as another."""

from __future__ import annotations

import boto3
import pytest

import fanfold
from fanfold.errors import CaptureError, InputError, RunFailed
from fanfold.source.capture import capture
from tests.source.conftest import Desk

MODULE = """
import boto3
from botocore import UNSIGNED
from botocore.config import Config
PATHS = Config(max_pool_connections=33, s3={"addressing_style": "path"})
SET = boto3.client("s3", region_name="eu-north-1", config=PATHS)
NEAR = boto3.client("s3", endpoint_url="http://localhost:9", config=Config(signature_version=UNSIGNED))
SESSION = boto3.Session(region_name="eu-west-2")
SESSION.client("sts")
TABLE = boto3.resource("dynamodb").Table("days")
class Store:
    def __init__(self): self.s3 = boto3.client("s3")
STORE = Store()
KEYS = boto3.client("s3", aws_access_key_id="AKIAMINE", aws_secret_access_key="not told")
KEYED = boto3.Session(aws_access_key_id="AKIAMINE", aws_secret_access_key="not told")
CHANGED = boto3.client("s3")
CHANGED.meta.events.register("before-call.s3", lambda **given: None)
"""


@pytest.fixture(autouse=True)
def aws(monkeypatch):
    given = {"AWS_ACCESS_KEY_ID": "AKIAHERE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "eu-west-1"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["", "AKIABEFORE"])
def session_before(request, monkeypatch):
    """What boto3 has made its own session with: now, or by keys that were here before."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    if request.param:
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", request.param)
        boto3.client("s3")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAHERE")


@pytest.mark.usefixtures("session_before")
def test_a_client_is_made_anew_in_the_run_with_the_same_settings_and_no_keys(desk: Desk) -> None:
    asked = """
    def main():
        config = SET.meta.config
        return (
            (SET.meta.region_name, config.max_pool_connections, config.s3["addressing_style"]),
            (NEAR.meta.endpoint_url, NEAR.meta.config.signature_version is UNSIGNED),
            (SESSION.region_name, TABLE.name, TABLE.meta.client.meta.region_name, STORE.s3.meta.region_name),
        )
    """
    text = MODULE + asked.replace("\n    ", "\n")
    assert desk.result(text) == (
        ("eu-north-1", 33, "path"),
        ("http://localhost:9", True),
        ("eu-west-2", "days", "eu-west-1", "eu-west-1"),
    )
    assert "AKIA" not in capture(desk.module(text).main).graph


@pytest.mark.parametrize(
    ("name", "reason"),
    [("KEYS", "with keys of its own"), ("KEYED", "with keys of its own"), ("CHANGED", "which was changed since")],
)
def test_one_with_keys_of_its_own_or_that_was_changed_is_refused(desk: Desk, name: str, reason: str) -> None:
    with pytest.raises(CaptureError, match=f"'main' uses '{name}', .*{reason}"):
        desk.capture(f"{MODULE}def main(): return {name}\n")


class Store:
    def __init__(self, client):
        self.client = client


def settings(client, more=None):
    client = client.client if isinstance(client, Store) else client
    name = getattr(client, "name", type(client).__name__)
    return name, getattr(client, "region_name", None) or getattr(client.meta, "client", client).meta.region_name


def test_one_is_made_anew_as_an_argument_too_and_within_one():
    near, table = boto3.client("s3", region_name="eu-north-1"), boto3.resource("dynamodb").Table("days")
    given = [near, Store(near), table, boto3.Session(region_name="eu-west-2")]
    job = fanfold.submit(settings, [{"client": each} for each in given], more=[near], collect=False)
    there = ("S3", "eu-north-1")
    assert [tuple(each) for each in job.results()] == [there, there, ("days", "eu-west-1"), ("Session", "eu-west-2")]
    with fanfold.Executor(max_workers=1) as executor:
        assert list(executor.map(settings, given)) == [tuple(each) for each in job.results()]


def _used(session):
    session.client("sts")
    return session


def test_none_goes_along_or_comes_back_with_keys():
    mine = {"aws_access_key_id": "AKIAMINE", "aws_secret_access_key": "not told"}
    session = boto3.Session()
    session._session.set_credentials("AKIAMINE", "not told")
    for each in (boto3.client("s3", **mine), _used(boto3.Session(**mine)), session):
        with pytest.raises(InputError, match=r"with keys of its own.*make it inside the function"):
            fanfold.submit(settings, [{"client": each}])
        with fanfold.Executor(max_workers=1) as executor, pytest.raises(Exception, match="with keys of its own"):
            executor.submit(settings, each).result()
    with pytest.raises(RunFailed, match=r"is a boto3\.session\.Session, which has no codec"):
        fanfold.run(boto3.Session)
