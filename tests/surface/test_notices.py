"""`submit(notify=...)`: a job that ends tells somebody. `tests/cloud/test_shepherd.py` has how a deployment does it."""

from __future__ import annotations

import pytest

import fanfold
from tests.address import listening


@fanfold.udf
def halved(x: int):
    if x == 3:
        raise ValueError("3 is odd")
    return x // 2


@pytest.fixture
def address():
    with listening() as address:
        yield address


def test_the_end_of_a_job_is_told_with_its_counts_and_cost(address, eventually):
    job = fanfold.submit(halved, range(3), notify=address.url, tags={"project": "x"}, collect=False).wait(timeout=60)
    (told,) = eventually(lambda: address.heard)
    assert told["job"] == job.id
    assert (told["status"], told["outcome"], told["counts"], told["runs"]) == ("Completed", "done", {"succeeded": 3}, 3)
    assert (told["cost_usd"], told["reason"], told["tags"]) == (0.0, "", {"project": "x"})
    assert told["text"].startswith(f"halved · {job.id} · Completed: 3 runs, 3 succeeded, ")
    fanfold.submit(halved, range(3), notify=address.url, collect=False).wait(timeout=60)
    eventually(lambda: len(address.heard) == 2)
    assert address.heard[1]["counts"] == {"cached": 3}, "what the cache answers has ended as well"


def test_a_failure_is_told_with_its_reason_and_its_retry_again(address, eventually):
    job = fanfold.submit(halved, [2, 3], notify=address.url, collect=False).wait(timeout=60)
    eventually(lambda: address.heard)
    assert address.heard[0]["outcome"] == "failed"
    assert address.heard[0]["reason"] == "ValueError: 3 is odd"
    job.retry().wait(timeout=60)
    eventually(lambda: len(address.heard) == 2)


def test_what_cannot_be_told_is_said_by_the_job(address, eventually, monkeypatch):
    monkeypatch.setattr("fanfold.engines.notice._PAUSES_S", (0.0, 0.0))
    address.answers = 404
    job = fanfold.submit(halved, [2], notify=address.url, collect=False).wait(timeout=60)
    said = "nobody could be told of its end: http://127.0.0.1: it answers 404 Not Found"
    eventually(lambda: said in " ".join(str(fanfold.get_job(job.id).summary()).split()))
    assert len(address.heard) == 2
    assert job.results() == [1]


@pytest.mark.long
def test_a_job_that_was_handed_over_tells_it_too(address, eventually):
    job = fanfold.submit(halved, range(2), instance_type="small", notify=address.url, collect=False)
    eventually(lambda: address.heard, within_s=60)
    assert address.heard[0]["job"] == job.id


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("https://", "is no address"),
        ("ada@example.com", "is no address"),
        (7, "is no address"),
        ("http://example.com/hook", "can be read by others on its way"),
        ("arn:aws:sqs:eu-west-1:123456789012:jobs", "is no SNS topic"),
        ("arn:aws:sns:eu-west-1:123456789012:jobs", "is for jobs of a deployment"),
    ],
)
def test_an_address_at_which_nobody_can_be_told_is_refused_before_anything_starts(target, says):
    with pytest.raises(fanfold.InputError, match=says):
        fanfold.submit(halved, range(2), notify=target)
    assert fanfold.get_jobs() == []
