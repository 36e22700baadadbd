"""Sessions of the data role are named for whose run it is: CloudTrail and a bucket's log show who has read what."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone

import pytest

from fanfold_runtime.credentials import DataRole

#: https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
ALLOWED = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)


class Sts:
    """Notes how the sessions are called that are asked for."""

    def __init__(self):
        self.sessions = []

    def call(self, service, operation, *, RoleSessionName, **_):  # noqa: N803  AWS's name
        self.sessions.append(RoleSessionName)
        later = datetime.now(timezone.utc) + timedelta(hours=1)
        told = {"AccessKeyId": "k", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": later}
        return {"Credentials": told}


@pytest.mark.parametrize(
    ("whose", "named"),
    [
        (("ada",), "fanfold@ada"),
        (("ada", "20260131-141502-river-7f3a"), "fanfold@ada@20260131-141502-river-7f3a"),
        (("Ada Lovelace <ada@example.org>",), "fanfold@Ada-Lovelace--ada@example.org-"),
        (("æ" * 80,), "fanfold@" + 56 * "-"),
    ],
)
def test_a_session_is_named_for_its_owner_and_its_job(whose, named):
    sts = Sts()
    role = DataRole(sts, "arn:aws:iam::123456789012:role/data")
    role.serve(*whose)
    role.credentials()
    assert sts.sessions == [named]
    assert ALLOWED.fullmatch(named)


def test_another_owner_gets_a_session_of_another_name_and_the_same_one_keeps_it():
    sts = Sts()
    role = DataRole(sts, "arn:aws:iam::123456789012:role/data")
    for owner in ("ada", "ada", "grace"):
        role.serve(owner)
        role.credentials()
    assert sts.sessions == ["fanfold@ada", "fanfold@grace"]
