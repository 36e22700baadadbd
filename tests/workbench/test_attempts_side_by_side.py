"""Which attempts of a run are drawn beside the one that counts: earlier ones, lost ones, duplicates."""

from __future__ import annotations

from playwright.sync_api import expect

from fanfold.core.fold import fold
from fanfold.core.models import Event, EventKind, JobHeader, RunStatus, Usage
from fanfold.job import chart_data
from fanfold.workbench.following import Tries

STARTED, AT = EventKind.STARTED, 1000.0


def header(*, hedge):
    job_id = "20260131-141502-river-7f3a"
    return JobHeader(job_id, "delays", 1, "local", "ada", AT, "b" * 64, "c" * 64, hedge=hedge)


def began(attempt, at_s):
    return Event.new(header(hedge=False).id, 0, attempt, STARTED, at=AT + at_s)


def ended(attempt, at_s, took_s, status=RunStatus.SUCCEEDED):
    usage = Usage(took_s, took_s, 100.0)
    job_id = header(hedge=False).id
    return Event.new(job_id, 0, attempt, EventKind.FINISHED, at=AT + at_s, status=status, usage=usage)


def beside(events, *, hedge=True):
    """Each attempt that does not count: its number, when it began and ended, and how."""
    tries = Tries(1)
    tries.take(events)
    found = tries.beside(fold(header(hedge=hedge), events))
    return [(one.attempt, one.began - AT, one.ended - AT, one.status) for one in found]


def test_of_two_at_once_the_one_that_does_not_count_is_told_whichever_it_is():
    both = [began(0, 1), began(1, 10)]
    assert beside([*both, ended(0, 12, 11), ended(1, 13, 3)]) == [(1, 10, 13, "succeeded")]
    late = ended(0, 14, 13, RunStatus.CANCELLED)
    assert beside([*both, ended(1, 12, 2), late]) == [(0, 1, 14, "cancelled")]


def test_of_two_at_once_one_that_was_let_go_without_a_word_ended_with_the_run():
    assert beside([began(0, 1), began(1, 8), ended(1, 9, 1)]) == [(0, 1, 9, "cancelled")]


def test_an_attempt_whose_worker_was_lost_without_a_word_lasted_until_the_next_began():
    assert beside([began(0, 1), began(1, 8), ended(1, 9, 1)], hedge=False) == [(0, 1, 8, "lost")]
    assert beside([began(0, 1), ended(0, 3, 2)], hedge=False) == []


def test_the_attempt_that_counts_is_drawn_over_the_others():
    events = [began(0, 1), began(1, 10), ended(1, 12, 2), ended(0, 14, 13, RunStatus.CANCELLED)]
    state = fold(header(hedge=True), events)
    others = [chart_data.RunSpan(0, 1.0, 14.0, "cancelled")]
    every = chart_data.spans(state, AT + 20).joined(others)
    drawn = chart_data.timeline(state, every).bars
    assert [(start, end, status) for _, start, end, status, *_ in drawn] == [
        (1.0, 14.0, "cancelled"),
        (10.0, 12.0, "succeeded"),
    ]


def test_the_page_of_a_run_tells_both_of_two_at_once(visit, store):
    from tests.workbench.samples import delays

    made = store.job(delays, range(1), cache=False)
    store.log.append([one._replace(job_id=made.id, at=one.at - AT + made.created_at) for one in (
        began(0, 1), began(1, 10), ended(1, 12, 2), ended(0, 14, 13, RunStatus.CANCELLED))])  # fmt: skip
    page = visit(f"/job/{made.id}/run/0")
    facts = page.get_by_label("Facts")
    expect(facts).to_contain_text("attempt 1 cancelled, 13.0 s")
    expect(facts).to_contain_text("attempt 2 succeeded, 2.0 s beside the one before")
