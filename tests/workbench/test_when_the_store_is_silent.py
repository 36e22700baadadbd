"""A store that stops answering: the page says so, keeps what it has, and goes on by itself when there are answers."""

from __future__ import annotations

import threading
import time

import pytest
from playwright.sync_api import expect

from fanfold.core.models import Event, EventKind
from fanfold.errors import StoreError
from fanfold.workbench import following
from fanfold.workbench.following import FollowedJobs, SeenEvents, SharedReader
from tests.workbench.conftest import within
from tests.workbench.samples import Store, unanswering
from tests.workbench.test_jobs_reader import of_a_kind_to_come, rewritten


def test_the_pages_say_so_and_recover(visit, store, picture):
    header = store.job(lambda_free, range(4), cache=False)
    store.starts(header, 0)
    jobs, job = visit(), visit(f"/job/{header.id}")
    expect(job.get_by_text("1 running")).to_be_visible()
    with unanswering(store):
        for page in (job, jobs):
            expect(page.get_by_text("No answer; trying again. What you see is from")).to_be_visible()
        expect(job.get_by_text("1 running")).to_be_visible()
        picture(job, "job-stale")
    for page in (job, jobs):
        expect(page.get_by_text("No answer")).to_be_hidden()
    store.ends(header, *range(4))
    expect(job.get_by_role("status").first).to_have_text("Completed")


def test_a_job_that_a_newer_fanfold_has_written_says_so_on_each_of_its_pages(visit, workbench, store):
    header, kept = store.finished(2), []
    rewritten(store, header, lambda heads: kept.append(heads) or of_a_kind_to_come(heads))
    page = visit()
    for path in ("", "?tab=Runs", "/run/1"):
        page.goto(f"{workbench.root}/job/{header.id}{path}")
        expect(page.get_by_role("heading", name="The job cannot be read now.")).to_be_visible()
        expect(page.get_by_text("A newer Fanfold has recorded")).to_be_visible()
    for name in ("runs.json", "report.html", "logs.txt"):
        answer = page.request.get(f"{workbench.root}/job/{header.id}/{name}")
        assert (answer.status, "A newer Fanfold" in answer.text()) == (409, True), name
    rewritten(store, header, lambda _: kept.pop(0))
    within(30, lambda: page.request.get(f"{workbench.root}/job/{header.id}/runs.json").ok)
    page.goto(f"{workbench.root}/job/{header.id}")
    expect(page.get_by_role("status").first).to_have_text("Completed")


def lambda_free(x: int):
    return x


class Slow(SharedReader):
    """A store that answers when it is told to."""

    def __init__(self):
        super().__init__(0.0)
        self.go_on = threading.Event()
        self.begun = threading.Event()

    def _read(self):
        self.begun.set()
        assert self.go_on.wait(120)


@pytest.fixture
def slow():
    reader = Slow()
    thread = threading.Thread(target=reader.look)
    thread.start()
    assert reader.begun.wait(60)
    yield reader
    reader.go_on.set()
    thread.join(60)
    assert not thread.is_alive()


def test_who_looks_meanwhile_does_not_wait(slow):
    slow.look()
    with slow.at_hand() as mine:
        assert not mine


def test_an_answer_that_is_late_is_said_to_be(slow, monkeypatch):
    assert not slow.silence()
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert slow.silence() == "No answer; trying again."


def test_a_failure_is_told_in_its_own_words_until_a_look_succeeds():
    reader = Slow()
    reader.trouble = StoreError("The table is away.")
    assert reader.silence().endswith("The table is away.")
    reader.go_on.set()
    reader.look()
    assert not reader.silence()


def test_a_job_that_is_removed_while_it_is_looked_at_is_said_to_be_and_what_was_read_stays(visit, store):
    header = store.finished(4)
    page = visit(f"/job/{header.id}")
    expect(page.get_by_text("4 succeeded")).to_be_visible()
    store.engine.stores.remove_jobs([header.id])
    expect(page.get_by_text("This job has been removed. What you see is from")).to_be_visible()
    expect(page.get_by_text("4 succeeded")).to_be_visible()
    assert not page.get_by_text("trying again").is_visible()


def test_of_a_large_job_that_nobody_looks_at_nothing_is_held_and_a_page_that_comes_back_reads_it_anew(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("FANFOLD_HOME", str(tmp_path))
    monkeypatch.setattr(following, "_FULL_RUNS", 3)
    store, jobs = Store(tmp_path), FollowedJobs("local")
    header = store.finished(3)
    store.says(header, 1, "one line\n")
    held = jobs.followed(header.id)
    held.look_now()
    held.seen_by(viewer := Viewer())
    held.asked_at -= following._IDLE_LEFT_S
    assert not jobs.forget_idle()  # its page is open
    viewer.has_socket_connection = False
    assert jobs.forget_idle()
    assert (len(held.log), held.version) == (0, -1)
    held.look()
    assert (len(held.log), held.job.status) == (1, "Completed")
    assert jobs.followed(header.id) is held
    held.asked_at -= following._IDLE_S
    jobs.forget_idle()
    assert jobs.followed(header.id) is not held
    jobs.followed(header.id).log.close()


class Viewer:
    """A page's client."""

    has_socket_connection = True


def test_an_event_that_is_read_again_is_noticed_and_ids_are_kept_for_minutes_alone():
    seen = SeenEvents()
    events = [Event.new("job", 0, 0, EventKind.LOG, at=at) for at in range(0, 4000, 10)]
    assert seen.new_among(events[:300]) == events[:300]
    assert seen.new_among(events[290:]) == events[300:]
    assert len(seen) < 200
