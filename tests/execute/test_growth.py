from __future__ import annotations

from fanfold.execution.pool.scheduler import Autoscaler


def after(*durations_s: float) -> Autoscaler:
    growth = Autoscaler()
    for duration_s in durations_s:
        growth.note(duration_s)
    return growth


def test_there_is_a_worker_for_the_first_call():
    assert Autoscaler().worth(0, 1_000, 0.0) == 1


def test_calls_that_are_over_before_a_worker_has_come_up_get_no_other():
    assert after(*[0.00003] * 50).worth(1, 200, 0.0001) == 1


def test_a_backlog_gets_as_many_workers_as_it_is_worth():
    assert 2 <= after(*[0.003] * 50).worth(1, 10, 0.0) <= 4
    assert after(*[1.0] * 50).worth(1, 64, 0.0) > 64


def test_a_call_that_has_not_ended_tells_by_how_long_it_runs():
    growth = Autoscaler()
    assert growth.worth(1, 100, 0.01) == 1  # it may be loading its UDF still
    assert growth.worth(1, 100, 0.03) > 10
    assert growth.worth(1, 1, 0.031) == 2


def test_a_first_call_that_took_long_does_not_tell_of_the_others():
    assert after(0.2).worth(1, 200, 0.0) == 1
    assert after(0.2, 0.0001, 0.0001).worth(1, 200, 0.0) == 1
    assert after(0.2, 0.2).worth(1, 200, 0.0) > 10


def test_the_pool_looks_again_when_another_worker_may_have_become_worth_its_start():
    growth = Autoscaler()
    for waiting in (1, 7, 100):
        assert growth.worth(1, waiting, growth.look_again_s(waiting) * 1.01) >= 2


def test_what_waits_is_judged_by_what_has_ended_of_late():
    growth = after(*[1.0] * 10, *[0.00003] * 50)
    assert growth.worth(1, 100, 0.0) == 1
