"""How often AWS is asked: what a job's results cost their reader goes by pages, not by runs."""

from __future__ import annotations

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fanfold.contract.cloud import shards
from fanfold.core.models import Event, EventKind, JobHeader, Output, RunStatus, Usage
from fanfold.engines.feed import Recorder
from fanfold.execution.calls import Report
from fanfold.job.job import Job
from fanfold.stores.packing import Manifest
from tests.aws.udfs import put_job
from tests.cloud.udfs import squared

MANY, KEYS_A_REQUEST = 1_200, 100
_ID = "test-requests"


@pytest.fixture
def requests(account) -> Iterator[Counter[str]]:
    """How often the client asks for what."""
    seen: Counter[str] = Counter()
    clients = [account.client(service) for service in ("dynamodb", "s3")]

    def note(model: Any, **_: Any) -> None:
        seen[model.name] += 1

    for client in clients:
        client.meta.events.register("before-call", note, unique_id=_ID)
    yield seen
    for client in clients:
        client.meta.events.unregister("before-call", unique_id=_ID)


@pytest.fixture
def put_ended(engine, tmp_path) -> Callable[..., JobHeader]:
    """Writes a job down, and what becomes of its runs, as functions do."""

    def put(count: int, bytes_each: int = 0) -> JobHeader:
        header = put_job(engine.stores, squared, list(range(count)))
        reports = []
        for index in range(count):
            body = f"{index * index}".rjust(bytes_each).encode()
            path = tmp_path / str(index)
            if bytes_each:
                path.write_bytes(body)
            output = Output("json/1", hashlib.sha256(body).hexdigest(), len(body), None if bytes_each else body)
            facts = {"status": RunStatus.SUCCEEDED, "output": output, "usage": Usage(0.001, 0.001, 20.0)}
            event = Event.new(header.id, index, 0, EventKind.FINISHED, **facts)
            reports.append(Report(event, path if bytes_each else None))
        Recorder(header, engine.stores, Manifest(engine.stores.objects, header.id, count).cache_keys).record(reports)
        return header

    return put


def test_results_of_many_runs_are_a_request_a_shard_and_from_the_cache_one_for_a_hundred(engine, put_ended, requests):
    squares = [index * index for index in range(MANY)]
    header = put_ended(MANY)
    requests.clear()
    assert Job(header, engine).results() == squares
    assert requests.pop("UpdateItem") <= 2  # how the job stands, for lists; that nobody need wait for it
    assert requests == {"Query": shards(MANY)}
    requests.clear()
    again = put_job(engine.stores, squared, list(range(MANY)))
    assert requests["BatchGetItem"] == MANY / KEYS_A_REQUEST
    of_runs = sum(count for name, count in requests.items() if name != "BatchGetItem")
    assert of_runs <= 10  # what is written down of a job: its UDF, inputs, header with copies, and what is known
    requests.clear()
    assert Job(again, engine).results() == squares
    assert requests["Query"] == shards(MANY)


def test_large_results_are_a_request_each_side_by_side(engine, put_ended, account, requests):
    count = 8
    header = put_ended(count, bytes_each=20_000)
    requests.clear()
    meet = threading.Barrier(2)  # the first waits here until there is a second, which one after the other never is
    events = account.client("s3").meta.events

    turns = iter(range(count))

    def wait_for_another(**_: Any) -> None:
        if next(turns) < 2:
            meet.wait(timeout=60)

    events.register_last("before-call.s3.GetObject", wait_for_another, unique_id=f"{_ID}-meet")
    try:
        assert Job(header, engine).results() == [index * index for index in range(count)]
    finally:
        events.unregister("before-call.s3.GetObject", unique_id=f"{_ID}-meet")
    assert (requests["GetObject"], requests["Query"]) == (count, 1)
