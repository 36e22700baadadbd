"""Secrets that a job is given as arguments: sealed wherever they are kept, and hidden wherever they are shown."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from pydantic import BaseModel, SecretBytes, SecretStr

import fanfold
from fanfold.codec.registry import HIDDEN
from fanfold.engines.base import engine_for
from fanfold.environments.secrets import SealingFile
from fanfold.errors import CodecError, ConfigurationError, InputError, RunFailed
from tests.environments.test_secrets import on_engine_bytes

__all__ = ["on_engine_bytes"]

#: Made of two halves, so that no source text holds it.
CANARY = "-".join(["kanarien", "vogel", "4711"])


class Token(SecretStr):
    """A class of the user's own that extends pydantic's."""


class Login(BaseModel):
    user: str
    password: SecretStr


LOGIN = Login(user="anna", password=CANARY)
PARTS = [{"key": SecretStr(CANARY)}]


@fanfold.udf(max_retry=0)
def careless(x: int, token: SecretStr, login: Login, more):
    """Uses secrets from everywhere, and tells what it can."""
    values = [token, login.password, *more, LOGIN.password, PARTS[0]["key"]]
    plain = [value.get_secret_value() for value in values]
    texts = {text.decode() if isinstance(text, bytes) else text for text in plain}
    print("see:", *plain, values, vars(token))
    if x == 1:
        raise ValueError("no such login", *plain)
    return [x, type(more[0]).__name__, type(more[1]).__name__, [len(text) for text in texts]]


def submit_careless(inputs, token):
    more = [Token(CANARY), SecretBytes(CANARY.encode())]
    login = Login(user="bert", password=CANARY)
    return fanfold.submit(careless, inputs, token=token, login=login, more=more, collect=False).wait()


def test_what_is_kept_and_shown_of_a_job_holds_no_secret_argument(engine, home, on_engine_bytes, tmp_path):
    job = submit_careless([0, 1], CANARY)
    assert job.counts() == {"succeeded": 1, "failed": 1}, job.errors()
    assert job[0].result() == [0, "Token", "SecretBytes", [len(CANARY)]]
    job.export(tmp_path / "export")
    job.report(tmp_path / "report.html")
    command = [sys.executable, "-m", "fanfold", "errors", job.id, "--json", "--engine", engine]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "no such login" in told.stdout, told.stderr
    shown = [
        repr(job[0].input),
        str(job.errors()[1]),
        job.arg_df().to_csv(),
        job._repr_html_(),
        str(job[0].why()),
        told,
    ]
    shown += [job.df(ignore_exceptions=True).to_csv(), repr(job.logs())]
    assert f"'token': {HIDDEN}" in shown[0]
    assert f"no such login', '{HIDDEN}'" in shown[1]
    assert [text for text in map(str, shown) if CANARY in text] == []
    kept = {**on_engine_bytes(), **{str(path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}}
    assert [name for name, data in kept.items() if CANARY.encode() in data] == []


def test_the_same_secret_finds_what_is_known_and_another_one_does_not():
    assert submit_careless([0], CANARY).counts() == {"succeeded": 1}
    again = submit_careless([0], SecretStr(CANARY))
    assert again.counts() == {"cached": 1}
    assert submit_careless([0], f"{CANARY}2").counts() == {"succeeded": 1}


@fanfold.udf(max_retry=0)
def first(x, token: SecretStr):
    return token.get_secret_value()[:x] + 1


@fanfold.udf(max_retry=0)
def fixed(x, token: SecretStr):
    return len(token.get_secret_value()) + x


def test_runs_that_failed_are_tried_again_with_the_secret_that_they_were_given():
    job = fanfold.submit(first, [1], token=CANARY, collect=False).wait()
    assert job.retry(udf=fixed).wait().results() == [len(CANARY) + 1]


def test_a_failed_run_is_debugged_with_its_secret_and_shows_none():
    job = fanfold.submit(first, [4], token=CANARY, collect=False).wait()
    told = str(job[0].debug(pdb=False))
    assert "can only concatenate" in told
    assert CANARY not in told
    assert fanfold.submit(fixed, [job[0].input]) is not None  # what was read is as good as the secret, in this home


def test_in_aws_runs_alone_open_what_a_job_was_given(on_cloud):
    job = fanfold.submit(fixed, [1], token=CANARY, collect=False).wait()
    assert job.results() == [len(CANARY) + 1]
    with pytest.raises(InputError, match="secret of another job"):
        fanfold.submit(fixed, [job[0].input])
    sealed_with = job.header.sealed_with.split(" ")
    assert sealed_with[0] == "kms"
    kms = on_cloud.client("kms")
    from base64 import b64decode

    with pytest.raises(kms.exceptions.InvalidCiphertextException):  # it is opened for this job alone
        kms.decrypt(CiphertextBlob=b64decode(sealed_with[2]), EncryptionContext={"fanfold:for": "names"})


@fanfold.udf(max_retry=0)
def gives_back(x):
    return {"found": [SecretStr(CANARY)]}


@pytest.mark.parametrize("serializer", ["auto", "pickle"])
def test_a_secret_that_a_run_gives_back_is_refused(serializer):
    with pytest.raises(RunFailed, match=r"is a secret, and only what a job is given is kept sealed"):
        fanfold.submit(gives_back.with_options(serializer=serializer), [1])


@fanfold.udf
def counts(n: int, token: SecretStr):
    return n


@pytest.mark.parametrize(
    "given",
    [
        {"n": "no number", "token": CANARY},
        {"n": 1, "token": [CANARY]},
        {"n": 1, "tokn": CANARY},
        {"token": CANARY},
        {"n": 1, "token": CANARY, "more": {"token": CANARY}},
    ],
)
def test_an_input_that_does_not_fit_is_refused_without_its_secret(given):
    with pytest.raises(InputError) as refused:
        fanfold.submit(counts, [given])
    assert CANARY not in str(refused.value)


def test_two_threads_that_need_the_key_of_this_machine_at_once_have_one(home, monkeypatch):
    home.mkdir(parents=True, exist_ok=True)
    link, keys = os.link, []

    def after_another(*names):
        monkeypatch.setattr(os, "link", link)
        keys.append(SealingFile(home)._made())
        link(*names)

    monkeypatch.setattr(os, "link", after_another)
    keys.append(SealingFile(home)._made())
    assert len({label for _, label in keys}) == 1
    assert [file.name for file in home.iterdir()] == ["sealing.key"]


def test_the_key_of_this_machine_is_a_file_that_nobody_else_may_read(home):
    assert fanfold.run(counts, n=1, token=CANARY) == 1
    key = home / "sealing.key"
    assert key.stat().st_mode & 0o777 == 0o600
    job = fanfold.submit(fixed, [1], token=CANARY, collect=False).wait()
    key.rename(home / "elsewhere")
    with pytest.raises(ConfigurationError, match=r"sealing\.key"):
        engine_for("local").stores.sealing_key(job.header)
    assert fanfold.run(counts, n=2, token=CANARY) == 2  # with a new key, by which the old job is not read
    assert repr(fanfold.get_job(job.id)[0].input) == f"{{'x': 1, 'token': {HIDDEN}}}"


def test_a_secret_sealed_by_another_key_or_damaged_is_an_error_of_its_own():
    from fanfold.codec import decode_json, encode_json
    from fanfold.codec.sealed import Sealing, SealingKey, opened_by, sealed_by

    key, other = (SealingKey(bytes([number]) * 64, b"names") for number in (1, 2))
    with sealed_by(lambda: Sealing(lambda: (key, "home x"))):
        text = encode_json({"a": SecretStr(CANARY)})
    with opened_by(key):
        assert decode_json(text)["a"].get_secret_value() == CANARY
        kind, name, label, token = json.loads(text)["a"]["$sealed"]
        cut = json.dumps({"$sealed": [kind, name, label, token[:8] + "AAAA" + token[12:]]})
        with pytest.raises(CodecError, match="damaged"):
            decode_json(cut)
    with opened_by(other), pytest.raises(CodecError, match="not here any more"):
        decode_json(text)
    with pytest.raises(CodecError, match="is a secret"):
        encode_json(SecretStr(CANARY))
