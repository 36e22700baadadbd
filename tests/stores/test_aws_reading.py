"""Readers of a deployment's events: clocks that differ, shards that are finished, events that are too large."""

from __future__ import annotations

import time
from bisect import bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanfold.contract import cloud as contract
from fanfold.contract import payloads
from fanfold.core.models import Event, ExecutionFailureRecord, RunError, RunStatus, records
from fanfold.stores.aws import log as items
from fanfold.stores.aws import shard_cursors
from fanfold.stores.aws.clock import ServiceClock
from fanfold.stores.state import read_state
from tests.aws.calls import counted
from tests.aws.cloud import account, aws, aws_stores, deployment, moto, open_stores
from tests.stores.event_log_contract import by_id, read_all
from tests.stores.samples import a_job, an_output, finished, printed

__all__ = ["account", "aws", "aws_stores", "deployment", "moto"]


@pytest.fixture
def log(aws_stores):
    return aws_stores.log


def written_at(monkeypatch, at):
    """Writers' clocks stand at `at` seconds from now."""
    monkeypatch.setattr(ServiceClock, "now", lambda _: time.time() + at)


def follow(log, job_id, cursor):
    """All there is to read now, from `cursor` on."""
    events = []
    while True:
        page, cursor = log.read_since(job_id, cursor)
        if not page:
            return events, cursor
        events += page


@pytest.mark.parametrize("ahead_s", [90.0, -90.0])
def test_a_writer_whose_clock_is_wrong_by_90_s_hides_nothing(log, monkeypatch, ahead_s):
    job = a_job(count=3)
    log.put_job(job)
    strays, others = finished(job.id, 0), finished(job.id, 1)
    if ahead_s > 0:  # its event lies ahead of all that the others write after it
        with monkeypatch.context() as patched:
            written_at(patched, ahead_s)
            log.append([strays])
        first, cursor = follow(log, job.id, None)
        log.append([others])
        assert others.id in by_id(follow(log, job.id, cursor)[0])
        assert by_id(first) == {strays.id: strays}
        return
    log.append([others])
    _, cursor = follow(log, job.id, None)
    with monkeypatch.context() as patched:
        written_at(patched, ahead_s)  # its event lies behind what has been read already
        log.append([strays])
        patched.setattr(shard_cursors, "_QUIET_S", 0.0)
        log.read_since(job.id, cursor)
    found = {}
    deadline = time.monotonic() + 100
    while strays.id not in found and time.monotonic() < deadline:
        events, cursor = log.read_since(job.id, cursor)
        found.update(by_id(events))
    assert found[strays.id] == strays


@pytest.mark.parametrize("few", [300, 0], ids=["few are read again", "many are counted"])
def test_an_event_that_came_late_behind_others_is_found_within_seconds(log, monkeypatch, eventually, few):
    monkeypatch.setattr(shard_cursors, "_FEW", few)
    job = a_job(count=3)
    log.put_job(job)
    log.append([finished(job.id, 1)])
    late, (_, cursor) = finished(job.id, 0), follow(log, job.id, None)
    with monkeypatch.context() as patched:
        written_at(patched, -1.5)  # its write was tried again for so long
        log.append([late])
    found, places = {}, [cursor]

    def seen():
        log.append([finished(job.id, 1)])  # there is news all the time: no round is quiet
        events, cursor = follow(log, job.id, places[-1])
        places.append(cursor)
        found.update(by_id(events))
        return late.id in found

    eventually(seen)
    assert "quiet" not in places[-1]


class Shard:
    """One shard for a minute, in the reader's own time: so many events a second, some of which come late."""

    BEGINS = 1_800_000_000.0

    def __init__(self, each_s, is_late, late_s=1.9):
        times = [self.BEGINS + n / each_s for n in range(60 * each_s)]
        delays_s = [late_s if is_late(n) else 0.02 for n in range(60 * each_s)]
        self.arrives = {f"{items.iso(at)}#{n:08}": at + delays_s[n] for n, at in enumerate(times)}
        self.keys = list(self.arrives)
        self.reads = dict.fromkeys(self.arrives, 0)
        self.counts = 0

    def follow(self, round_s, page=10**9):
        """Read it in rounds, until ten seconds after its end; returns how often an item was read on average.

        What is seen by looking back for minutes once all is quiet does not count.
        """
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(shard_cursors, "_QUIET_S", float("inf"))
            return self._followed(round_s, page)

    def _followed(self, round_s, page):
        cursor, now = None, self.BEGINS
        while now < self.BEGINS + 70:
            now += round_s
            reading = shard_cursors.Reading.of(cursor, 1)
            reading.begin(now, lambda windows, now=now: {0: self._count(windows[0], now)})
            while reading.todo:
                there = [key for key in self._within(reading.todo[0], items.iso(now + 1)) if self.arrives[key] <= now]
                for key in there[:page]:
                    self.reads[key] += 1
                reading.note(0, there[:page], more=len(there) > page, now=now)
            cursor = reading.to_cursor()
        return sum(self.reads.values()) / len(self.reads)

    def _count(self, window, now):
        self.counts += 1
        within = self._within(window.after, window.until)
        assert window.items == sum(self.reads[key] > 0 for key in within)
        return sum(self.arrives[key] <= now for key in within)

    def _within(self, after, until):
        return self.keys[bisect_right(self.keys, after) : bisect_right(self.keys, until)]


@pytest.mark.parametrize("round_s", [0.25, 0.4, 1.0, 2.0, 7.0])
@pytest.mark.parametrize("each_s", [5, 100])
def test_every_event_is_read_however_late_and_none_of_them_many_times(round_s, each_s):
    shard = Shard(each_s, lambda n: n % 7 == 0)
    assert shard.follow(round_s) < 4.5
    assert min(shard.reads.values()) >= 1


@given(
    st.sets(st.integers(0, 599), max_size=30), st.floats(0.25, 4), st.integers(7, 200), st.sampled_from([0.4, 1.0, 1.9])
)
@settings(max_examples=60, deadline=None)
def test_whichever_events_come_late_all_are_read(late, round_s, page, late_s):
    shard = Shard(10, late.__contains__, late_s)
    shard.follow(round_s, page)
    assert min(shard.reads.values()) >= 1


def test_what_came_in_time_is_counted_and_not_read_again():
    shard = Shard(100, lambda _: False)
    assert shard.follow(0.75) < 1.5  # what two rounds overlap by
    assert 15 <= shard.counts <= 25
    late = Shard(100, lambda n: n == 3000)
    assert 0 < late.follow(0.75) - 1.5 < 0.3  # the one window, twice
    assert min(late.reads.values()) >= 1


def test_a_reader_that_begins_late_counts_no_more_than_one_that_was_there(monkeypatch):
    monkeypatch.setattr(shard_cursors, "_FEW", 0)
    shard = Shard(100, lambda _: False)
    reading = shard_cursors.Reading.of(None, 1)
    now = shard.BEGINS + 40
    reading.begin(now, lambda _: pytest.fail("there is nothing to look back at"))
    keys = [key for key, at in shard.arrives.items() if at <= now]
    for page in (keys[:1500], keys[1500:3000], keys[3000:]):
        reading.note(0, page, more=page[-1] != keys[-1], now=now)
    _, window = reading.cursors[0].start(now + 3)
    assert window.items == sum(window.after < key <= window.until for key in keys) < 200


def test_a_shard_whose_runs_all_have_results_is_not_read_again(log, account):
    job = a_job(count=1000)
    log.put_job(job)
    log.append([finished(job.id, index) for index in range(1000) if index % 4 != 3 or index == 3])
    _, cursor = follow(log, job.id, None)
    with counted(account) as calls:
        log.read_since(job.id, cursor)
    assert calls["dynamodb:Query"] == 1
    log.append([finished(job.id, index) for index in range(1000) if index % 4 == 3])
    _, cursor = follow(log, job.id, cursor)
    with counted(account) as calls:
        assert log.read_since(job.id, cursor)[0] == []
    assert calls == {}


def test_what_another_reader_here_has_found_hides_nothing_that_came_late(log, aws_stores, monkeypatch, eventually):
    job = a_job(count=2)
    log.put_job(job)
    late = finished(job.id, 0)
    with monkeypatch.context() as patched:
        written_at(patched, -1.0)
        held_up = list(log.items([late]))
    log.append([finished(job.id, 1)])
    places = [follow(log, job.id, None)[1]]
    aws_stores.table.put_all(held_up)
    assert read_state(log, job).done  # another reader, who comes as far, and finds it at once

    def found():
        events, cursor = follow(log, job.id, places[-1])
        places.append(cursor)
        return late in events

    eventually(found)


def test_what_is_appended_to_other_jobs_is_no_reason_to_ask_again(log, account):
    job, other = a_job(count=2), a_job(count=2)
    for one in (job, other):
        log.put_job(one)
    log.append([finished(job.id, 0)])
    _, cursor = log.read_since(job.id)
    log.append([finished(other.id, 0)])
    with counted(account) as calls:
        assert log.read_since(job.id, cursor)[0] == []
    assert calls == {}
    log.append([finished(job.id, 1)])
    assert 1 in {event.index for event in log.read_since(job.id, cursor)[0]}


@pytest.fixture
def room_for_three_jobs(monkeypatch):
    """The finished shards of three jobs of four runs are remembered."""
    monkeypatch.setattr(shard_cursors, "_RUNS", 3 * (shard_cursors._READING_RUNS + 4))


def test_of_more_jobs_than_are_remembered_no_finished_shard_is_read_again(log, account, room_for_three_jobs):
    jobs = [a_job(count=4) for _ in range(9)]
    cursors = {}
    for job in jobs:
        log.put_job(job)
        log.append([finished(job.id, index) for index in range(4)])
        _, cursors[job.id] = follow(log, job.id, None)
    for _ in range(2):  # what was known when a reader came to the end of a shard, its own cursor keeps
        for job in jobs:
            _, cursors[job.id] = follow(log, job.id, cursors[job.id])
    with counted(account) as calls:
        for job in jobs:
            assert log.read_since(job.id, cursors[job.id])[0] == []
    assert calls == {}


def test_the_reading_that_went_on_longest_ago_is_forgotten_first(log, room_for_three_jobs):
    jobs = [a_job(count=4) for _ in range(4)]
    cursors = {}
    for job in jobs:
        log.put_job(job)
        log.append([finished(job.id, 0)])
    for job in [*jobs[:3], jobs[0], jobs[3]]:
        log.append([finished(job.id, 1)])
        _, cursors[job.id] = follow(log, job.id, cursors.get(job.id))
    ids = [shard_cursors.Reading.of(cursors[job.id], 1).id for job in jobs]
    assert list(log.completed_shards.readings) == [ids[2], ids[0], ids[3]]


def test_a_reader_that_comes_by_rarely_does_not_read_old_events_again(log, monkeypatch):
    job = a_job()
    log.put_job(job)
    with monkeypatch.context() as patched:
        written_at(patched, -100.0)
        log.append([finished(job.id, 0)])
    _, cursor = follow(log, job.id, None)
    log.append([finished(job.id, 1)])
    _, cursor = follow(log, job.id, cursor)
    written_at(monkeypatch, 60.0)
    log.append([finished(job.id, 2)])
    events, _ = follow(log, job.id, cursor)
    assert 0 not in [event.index for event in events]


def test_a_shard_with_a_failure_is_read_on(log, account):
    job = a_job(count=2)
    log.put_job(job)
    log.append([finished(job.id, 0), finished(job.id, 1, status=RunStatus.FAILED, output=None)])
    _, cursor = follow(log, job.id, None)
    again = finished(job.id, 1, 1)
    log.append([again])
    assert again in follow(log, job.id, cursor)[0]


def test_one_round_asks_once_for_each_shard_however_many_runs_have_ended(log, account):
    job = a_job(count=2000)
    log.put_job(job)
    log.append([finished(job.id, index) for index in range(2000)])
    with counted(account) as calls:
        events, _ = follow(log, job.id, None)
    assert len(events) == 2000
    assert calls["dynamodb:Query"] == contract.shards(2000)


def test_ten_thousand_events_are_written_with_a_few_calls(log, account):
    job = a_job(count=10_000)
    log.put_job(job)
    with counted(account) as calls:
        log.append([finished(job.id, index) for index in range(10_000)])
    assert calls["dynamodb:BatchWriteItem"] <= 10


def test_events_too_large_for_an_item_come_back_exactly(log):
    job = a_job()
    log.put_job(job)
    noise = "".join(chr(0x4E00 + (n * 7919) % 20_000) for n in range(400_000))
    failure = RunError("ValueError", noise, "Traceback ...\n" * 100_000, ("builtins.ValueError",))
    events = [
        finished(job.id, 0, status=RunStatus.FAILED, error=failure, output=None),
        *(finished(job.id, index, output=an_output(bytes(8192))) for index in range(1, 10)),
    ]
    log.append([*events, printed(job.id, 1, noise)])
    assert by_id(read_all(log, job.id)) == by_id(events)
    assert read_all(log, job.id, "telemetry")[0].data["text"] == noise


def test_long_constants_are_read_once_however_often_a_header_is_looked_at(aws_stores, account, deployment, tmp_path):
    job, small = a_job(constants=f'{{"text":"{"x" * 500_000}"}}'), a_job()
    for one in (job, small):
        aws_stores.log.put_job(one)
    another = open_stores(account, deployment, tmp_path / "another").log
    with counted(account) as calls:
        for _ in range(5):
            assert another.get_job(job.id) == job
            another.job_headers.forget(job.id)
    assert calls == {"dynamodb:GetItem": 5, "s3:GetObject": 1}
    assert {header.id: header for header in another.list_jobs()} == {job.id: job, small.id: small}
    [item] = aws_stores.table.get_all([{"pk": {"S": f"job#{job.id}"}, "sk": {"S": "head"}}])
    assert len(str(item)) < 4096


def test_a_job_that_has_expired_is_not_found_though_it_is_still_there(aws_stores):
    from fanfold.errors import JobNotFound
    from fanfold.stores.aws.job_headers import JobHeaders

    job = a_job()
    JobHeaders(aws_stores.table, aws_stores.objects, retention_s=-1.0).put(job)
    with pytest.raises(JobNotFound):
        aws_stores.log.get_job(job.id)
    assert aws_stores.log.list_jobs() == []


DEATHS = [
    ("Lambda.Unknown", "The cause could not be determined", RunStatus.TIMED_OUT, False),
    ("Sandbox.Timedout", "RequestId: x Error: Task timed out after 120.00 seconds", RunStatus.TIMED_OUT, False),
    ("States.Timeout", "", RunStatus.TIMED_OUT, False),
    ("Runtime.ExitError", "Error: Runtime exited with error: signal: killed", RunStatus.OUT_OF_MEMORY, False),
    ("Runtime.OutOfMemory", "", RunStatus.OUT_OF_MEMORY, False),
    ("Runtime.ExitError", "Runtime exited with error: exit status 3", RunStatus.FAILED, True),
    ("Lambda.TooManyRequestsException", "Rate Exceeded.", RunStatus.QUEUED, True),  # it has not been tried at all
    ("Lambda.ServiceException", "", RunStatus.FAILED, True),
    ("StoreError", "dynamodb did not answer", RunStatus.FAILED, True),
    ("States.DataLimitExceeded", "too long", RunStatus.FAILED, False),
]


@pytest.mark.parametrize(("name", "cause", "status", "infrastructure"), DEATHS)
def test_what_a_state_machine_wrote_of_a_death_is_an_event_like_any_other(
    aws_stores, name, cause, status, infrastructure
):
    import json

    job = a_job(max_retry=0)
    aws_stores.log.put_job(job)
    at = "2026-11-23T16:28:51.123Z"
    told = json.dumps({"errorMessage": cause, "errorType": name}) if cause else ""
    item = {
        contract.PARTITION_KEY: {"S": contract.event_partition(job.id, 0)},
        contract.SORT_KEY: {"S": f"{at}#6f1ff0f4-0000-4000-8000-000000000000"},
        contract.EXPIRES_AT: {"N": "9999999999"},
        "kind": {"S": "finished"},
        "index": {"N": "4"},
        "attempt": {"N": "0"},
        "at": {"S": at},
        "status": {"S": payloads.FAILED_EXECUTION},
        "failure": {"S": json.dumps({"Error": name, "Cause": told})},
        "execution": {"S": "arn:aws:states:us-east-1:123456789012:express:x"},
        contract.WAKES: {"N": "1"},
    }
    assert set(item) == set(payloads.FAILED_EXECUTION_ATTRIBUTES)
    aws_stores.table.put_all([item])
    state = read_state(aws_stores.log, job)
    assert state.status_of(4) is status
    assert state.error(4).infrastructure is infrastructure
    assert cause in state.error(4).message
    assert state.finished_at(4) == (pytest.approx(1795451331.123) if status.final else None)


@pytest.mark.parametrize("kind", ["execution_failure", "machine"])  # the second is what older deployments write
def test_machines_that_did_not_come_up_say_why(aws_stores, kind):
    job = a_job()
    aws_stores.log.put_job(job)
    item = {
        contract.PARTITION_KEY: {"S": contract.event_partition(job.id, 0)},
        contract.SORT_KEY: {"S": "2026-11-23T16:28:51Z#1"},
        "kind": {"S": kind},
        "index": {"N": "-1"},
        "attempt": {"N": "0"},
        "at": {"S": "2026-11-23T16:28:51Z"},
        "status": {"S": payloads.FAILED_EXECUTION},
        "failure": {"S": '{"Error": "Batch.JobFailed", "Cause": "{\\"StatusReason\\": \\"no capacity\\"}"}'},
        "execution": {"S": "execution-1"},
    }
    aws_stores.table.put_all([item])
    [failure] = records(read_state(aws_stores.log, job).job_events(), ExecutionFailureRecord)
    assert failure.name == "execution-1"
    assert "no capacity" in failure.reason


def test_an_event_of_a_newer_version_is_an_error_that_says_so(aws_stores):
    from fanfold.errors import StoreTooNew

    job = a_job()
    aws_stores.log.put_job(job)
    event: Event = finished(job.id, 0)
    [item] = aws_stores.log.items([event])
    item["e"]["B"] = b"\x09" + item["e"]["B"][1:]
    aws_stores.table.put_all([item])
    with pytest.raises(StoreTooNew):
        aws_stores.log.read_since(job.id)
