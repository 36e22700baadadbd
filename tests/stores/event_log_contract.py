"""What every event log does. An implementation's tests inherit the class and hand in the fixture `log`."""

from __future__ import annotations

import threading
from itertools import permutations

import pytest

from fanfold.core.models import (
    DispatchRecord,
    Event,
    EventKind,
    ExecutionFailureRecord,
    JobHeader,
    MachineRecord,
    Output,
    ProcessRecord,
    QueueRecord,
    RunnerRecord,
    RunStatus,
    ThrottleRecord,
    Usage,
    to_event,
)
from fanfold.errors import JobNotFound
from fanfold.stores.protocols import Channel, EventLog
from tests.stores.samples import a_job, an_output, failed, finished, printed

#: One record of each kind that tells of a job as a whole.
RECORDS = (
    ProcessRecord("process-1", "here", 42),
    RunnerRecord("runner-1", "here", "starting", 1795451331.5),
    DispatchRecord("direct-1", "direct", "started", "0:0-0"),
    QueueRecord("AWS Batch", "no capacity"),
    ThrottleRecord("AWS Lambda", "too many"),
    MachineRecord("job-1.2", "failed", "job-1", 2, "m5.large", 2.5, "no room"),
    ExecutionFailureRecord("arn:execution-1", "no queue"),
)


def read_all(log: EventLog, job_id: str, channel: Channel = "state") -> list[Event]:
    """Every event of the job, page after page."""
    events: list[Event] = []
    page, cursor = log.read_since(job_id, channel=channel)
    while page:
        events += page
        page, cursor = log.read_since(job_id, cursor, channel=channel)
    return events


def by_id(events: list[Event]) -> dict[str, Event]:
    return {event.id: event for event in events}


class EventLogContract:
    """Jobs are listed, events are appended and read back exactly, and a reader can go on where it left off."""

    @pytest.fixture
    def log(self) -> EventLog:
        raise NotImplementedError

    @pytest.fixture
    def job(self, log: EventLog) -> JobHeader:
        header = a_job()
        log.put_job(header)
        return header

    def test_a_job_comes_back_as_it_was_put(self, log):
        header = a_job(instance_type="large", timeout_s=12.5, memory_mib=2048, constants='{"städte":["Köln"]}')
        log.put_job(header)
        assert log.get_job(header.id) == header

    def test_putting_a_job_again_changes_nothing_not_even_a_cancel(self, log, job):
        log.request_cancel(job.id, 5.0)
        log.put_job(job)
        assert log.get_job(job.id) == job.cancelled(5.0)
        assert [header.id for header in log.list_jobs()] == [job.id]

    def test_a_header_may_be_replaced_and_keeps_its_cancel_flag(self, log, job):
        log.request_cancel(job.id, 5.0)
        fixed = job.with_fixed_code("d" * 64, "e" * 64)
        log.replace_header(fixed)
        assert log.get_job(job.id) == fixed.cancelled(5.0)
        assert log.get_job(job.id).current_bundle_sha256 == "d" * 64

    def test_a_header_of_no_job_is_not_replaced(self, log):
        with pytest.raises(JobNotFound):
            log.replace_header(a_job())

    def test_an_unknown_job_is_an_error_that_names_a_near_one(self, log):
        log.put_job(a_job(id="20260131-141502-river-7f3a"))
        with pytest.raises(JobNotFound) as error:
            log.get_job("20260131-141502-river-7f3b")
        assert "20260131-141502-river-7f3b" in error.value.message
        assert "20260131-141502-river-7f3a" in error.value.next_step

    def test_an_unknown_job_of_an_empty_log_is_an_error_with_a_next_step(self, log):
        with pytest.raises(JobNotFound) as error:
            log.get_job("20260131-141502-river-7f3a")
        assert error.value.next_step

    def test_jobs_are_listed_newest_first_a_page_at_a_time(self, log):
        ids = [f"2026013{day}-000000-elm-000{day}" for day in range(5)]
        for job_id in (ids[2], ids[0], ids[4], ids[1], ids[3]):
            log.put_job(a_job(id=job_id))
        assert [header.id for header in log.list_jobs()] == ids[::-1]
        first = [header.id for header in log.list_jobs(limit=2)]
        assert first == [ids[4], ids[3]]
        assert [header.id for header in log.list_jobs(limit=2, before=first[-1])] == [ids[2], ids[1]]
        assert log.list_jobs(before=ids[0]) == []

    def test_jobs_are_listed_by_owner(self, log):
        for number, owner in enumerate(["ada", "bob", "ada", "bob"]):
            log.put_job(a_job(id=f"20260131-00000{number}-elm-0000", owner=owner))
        assert [header.id[14] for header in log.list_jobs(owner="bob")] == ["3", "1"]
        assert [header.id[14] for header in log.list_jobs(owner="ada", before="20260131-000002-elm-0000")] == ["0"]
        assert log.list_jobs(owner="eve") == []

    def test_a_cancel_flag_is_set_and_cleared(self, log, job):
        log.request_cancel(job.id, 123.5)
        assert log.get_job(job.id).cancelled_at == 123.5
        assert log.list_jobs()[0].cancelled_at == 123.5
        log.request_cancel(job.id, None)
        assert log.get_job(job.id) == job

    def test_an_unknown_job_cannot_be_cancelled(self, log):
        with pytest.raises(JobNotFound):
            log.request_cancel("20260131-141502-river-7f3a", 1.0)
        header = a_job()
        log.put_job(header)  # what was refused does not stand in the way
        assert log.list_jobs() == [header]

    def test_every_kind_of_event_comes_back_exactly(self, log, job):
        events = [
            Event.new(job.id, 0, 0, EventKind.STARTED, at=1_700_000_000.123456),
            finished(job.id, 0),
            finished(job.id, 1, output=an_output(b"")),
            finished(job.id, 2, output=an_output(b"\x00\n" * 4000)),
            finished(job.id, 3, output=an_output(b"large", key=f"results/{'d' * 64}/{'e' * 64}")),
            finished(job.id, 4, output=Output("parquet", "f" * 64, 7, b"1234567"), usage=None),
            finished(job.id, 5, status=RunStatus.CACHED, usage=Usage()),
            finished(job.id, 6, output=None),
            failed(job.id, 7, 2),
            Event.new(job.id, 7, 3, EventKind.QUEUED),
            *(
                Event.new(job.id, 8, n, EventKind.FINISHED, status=status)
                for n, status in enumerate(RunStatus)
                if status.final
            ),
            *(to_event(job.id, record) for record in RECORDS),
        ]
        log.append(events)
        assert by_id(read_all(log, job.id)) == by_id(events)

    def test_logs_and_usage_come_back_exactly_and_apart_from_the_state(self, log, job):
        usage = Event.new(job.id, -1, 0, EventKind.USAGE, data={"cpu_percent": 99.5, "memory_mib": 12})
        telemetry = [printed(job.id, 0, "größer\n\tals \N{SNOWMAN}\x1b[0m"), printed(job.id, 1, ""), usage]
        end = finished(job.id, 0)
        log.append([*telemetry, end])
        assert by_id(read_all(log, job.id, "telemetry")) == by_id(telemetry)
        assert read_all(log, job.id) == [end]

    def test_a_reader_goes_on_where_it_left_off(self, log, job):
        first, second = finished(job.id, 0), finished(job.id, 1)
        log.append([first])
        events, cursor = log.read_since(job.id)
        assert events == [first]
        log.append([second])
        later, cursor = log.read_since(job.id, cursor)
        assert second in later
        nothing_new, _ = log.read_since(job.id, log.read_since(job.id, cursor)[1])
        assert set(by_id(nothing_new)) <= {first.id, second.id}

    def test_a_job_without_events_reads_as_an_empty_page(self, log, job):
        events, cursor = log.read_since(job.id)
        assert events == []
        assert log.read_since(job.id, cursor)[0] == []

    def test_events_of_many_jobs_stay_apart(self, log):
        jobs = [a_job(id=f"20260131-00000{number}-elm-0000") for number in range(3)]
        for header in jobs:
            log.put_job(header)
        events = [finished(header.id, index) for index in range(4) for header in jobs]
        log.append(events)  # of all jobs, mixed
        for header in jobs:
            assert by_id(read_all(log, header.id)) == by_id([event for event in events if event.job_id == header.id])

    def test_appending_again_is_harmless(self, log, job):
        events = [finished(job.id, 0), finished(job.id, 1)]
        log.append(events)
        log.append(events)
        assert by_id(read_all(log, job.id)) == by_id(events)

    def test_appending_nothing_is_nothing(self, log, job):
        log.append([])
        assert read_all(log, job.id) == []

    def test_thousands_of_events_are_read_in_bounded_pages(self, log, job):
        events = [finished(job.id, index) for index in range(12_000)]
        for start in range(0, len(events), 3000):
            log.append(events[start : start + 3000])
        first, _ = log.read_since(job.id)
        assert 0 < len(first) < len(events)
        assert by_id(read_all(log, job.id)) == by_id(events)

    def test_waiting_for_news_ends_when_another_thread_appends(self, log, job):
        _, cursor = log.read_since(job.id)
        event = finished(job.id, 0)
        writer = threading.Thread(target=log.append, args=([event],))
        writer.start()
        news = []
        while not news:
            assert log.wait_for_news(30.0)
            news, cursor = log.read_since(job.id, cursor)
        writer.join()
        assert news == [event]

    def test_news_that_came_before_the_wait_are_not_missed(self, log, job):
        log.read_since(job.id)
        log.append([finished(job.id, 0)])
        assert log.wait_for_news(30.0)

    def test_one_reader_does_not_take_another_readers_news(self, log, job):
        log.read_since(job.id)
        log.append([finished(job.id, 0)])
        log.read_since(job.id, channel="telemetry")
        other = threading.Thread(target=lambda: (log.read_since(job.id), log.wait_for_news(0.0)))
        other.start()
        other.join()
        assert log.wait_for_news(30.0)

    def test_threads_that_append_at_once_lose_nothing(self, log, job):
        portions = [[finished(job.id, 10 * n + index) for index in range(10)] for n in range(6)]
        threads = [threading.Thread(target=log.append, args=(portion,)) for portion in portions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert by_id(read_all(log, job.id)) == by_id([event for portion in portions for event in portion])

    def test_the_order_in_which_events_arrive_does_not_matter(self, log):
        for number, order in enumerate(permutations(range(3))):
            header = a_job(id=f"20260131-00000{number}-elm-0000")
            log.put_job(header)
            events = [finished(header.id, index) for index in range(3)]
            for index in order:
                log.append([events[index]])
            assert by_id(read_all(log, header.id)) == by_id(events)
