"""One queue, several workers, any number of feeds."""

from __future__ import annotations

import fcntl
import os
import random
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from hashlib import sha256

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.core.models import RunStatus
from fanfold.core.processes import keep_private
from fanfold.execution import calls as reports
from fanfold.execution.calls import Call
from fanfold.execution.channel import CallQueue, Finished, Packed
from fanfold.execution.pool.process import LimitWatch
from fanfold.execution.pool.scheduler import FeedState, InFlight
from tests.conftest import is_gone, worker_processes


def identify(index: int):
    import os

    return [index, os.getpid()]


def hold(path: str):
    import os
    import time

    while not os.path.exists(path):
        time.sleep(0.005)
    return os.getpid()


def test_there_are_no_more_workers_than_calls_nor_than_the_size(pool, feed, tmp_path):
    before = {one.pid for one in worker_processes()}  # of pools that other tests have had, which may end meanwhile

    def more():
        return len({one.pid for one in worker_processes()} - before)

    one = pool(3)
    assert more() == 0
    one.serve(feed(identify, [{"index": 0}]))
    assert more() == 1
    given = feed(hold, [{"path": str(tmp_path / "go")}] * 20)
    one.add(given)
    while len([told for told in given.told.values() if told.pid]) < 3:
        one.step()  # nobody knows how long these take, until one has run for longer than a worker takes to start
    assert more() == 3
    (tmp_path / "go").touch()
    one.serve(given)
    assert more() == 3
    assert len({told.pid for told in given.told.values() if told.pid}) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker is an interpreter of its own")
def test_all_workers_of_a_pool_are_one_session_and_each_a_group_of_its_own(pool, feed, tmp_path):
    """Where Linux shares its cores out by sessions, many workers count no more than the process they work for."""
    one, given = pool(3), feed(hold, [{"path": str(tmp_path / "go")}] * 3)
    one.add(given)
    while not all(pids := [told.pid for told in given.told.values()]):
        one.step()
    assert len(set(map(os.getsid, pids))) == 1
    assert os.getsid(pids[0]) != os.getsid(0)
    assert list(map(os.getpgid, pids)) == pids
    (tmp_path / "go").touch()
    one.serve(given)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(0, 3), st.floats(0, 9), st.binary(max_size=9), st.floats(0, 5)),
        max_size=5,
    )
)
def test_what_is_told_of_plain_results_together_is_what_is_told_of_each(drawn):
    answers = []
    for index, attempt, used, body, seen_mib in drawn:
        packed = Packed("json/1", len(body), sha256(body).digest(), None)
        done = Finished(index, 1.5e9 + used, used, used / 2, 2 * used, packed, None, body)
        assert reports.is_plain(done)
        answers.append((Call(index, attempt, "{}"), done, seen_mib))
    each = [reports.finished("job", *answer) for answer in answers]
    together = reports.plain_results("job", answers)
    assert [without_id(report) for report in together] == [without_id(report) for report in each]
    assert len({report.event.id for report in together}) == len(answers)


def without_id(report):
    return report._replace(event=report.event._replace(id=""))


def test_a_slow_call_holds_up_nobody(pool, feed, tmp_path):
    slow, quick = feed(hold, [{"path": str(tmp_path / "go")}]), feed(identify, [{"index": i} for i in range(100)])
    one = pool(2)
    one.add(slow)
    one.add(quick)
    while one.serves(quick):
        one.step()
    assert not slow.ended()
    (tmp_path / "go").touch()
    while one.serves(slow):
        one.step()
    assert slow.told[0].status is RunStatus.SUCCEEDED


def test_a_new_feed_gets_its_turn_before_what_an_older_one_has_waiting(pool, feed, tmp_path):
    older = feed(hold, [{"path": str(tmp_path / str(number))} for number in range(30)])
    newer = feed(identify, [{"index": index} for index in range(3)])
    one = pool(1)
    one.add(older)
    while not older.told[0].pid:
        one.step()
    one.add(newer)
    for number in range(30):
        (tmp_path / str(number)).touch()
    while one.serves(newer) or one.serves(older):
        one.step()
    assert max(told.at for told in newer.told.values()) < older.told[7].at  # it was in the queue already
    assert older.order == list(range(30))


def test_what_a_feed_has_to_give_since_it_heard_of_an_end_goes_out_at_once(pool, feed, monkeypatch):
    """As a run that is tried again: the loop never rests with a call that could be with a worker."""
    monkeypatch.setattr(LimitWatch, "INTERVAL_S", 60.0)  # for so long it rests where nothing happens
    given = feed(identify, [{"index": 0}, {"index": 1}])
    again, first = given.calls
    given.calls, record = [first], given.record

    def record_and_go_on(told):
        record(told)
        if given.order == [0]:
            given.calls.append(again)

    given.record, began = record_and_go_on, time.monotonic()
    pool().serve(given)
    assert given.order == [0, 1]
    assert time.monotonic() - began < 60


def test_max_concurrency_bounds_a_feed_and_not_its_neighbour(pool, feed, tmp_path):
    bounded = feed(hold, [{"path": str(tmp_path / "go")}] * 3, max_concurrency=1)
    other = feed(identify, [{"index": index} for index in range(20)])
    one = pool(3)
    one.add(bounded)
    one.add(other)
    while one.serves(other) or not bounded.told[0].pid:
        one.step()
    assert [bool(told.pid) for told in bounded.told.values()] == [True, False, False]
    (tmp_path / "go").touch()
    while one.serves(bounded):
        one.step()


def test_cancel_ends_what_runs_and_takes_back_what_waits_and_touches_no_other_feed(pool, feed, tmp_path):
    doomed = feed(hold, [{"path": str(tmp_path / "never")}] * 20)
    other = feed(identify, [{"index": index} for index in range(20)])
    one = pool(2)
    one.add(doomed)
    one.add(other)
    while sum(bool(told.pid) for told in doomed.told.values()) < 2:
        one.step()
    one.cancel(doomed)
    while one.serves(doomed) or one.serves(other):
        one.step()
    assert {told.status for told in doomed.told.values() if told.ended} == {RunStatus.CANCELLED}
    assert {told.status for told in other.told.values()} == {RunStatus.SUCCEEDED}
    assert sorted(other.order) == list(range(20))


@pytest.mark.slow
def test_kill_9_of_random_workers_costs_only_what_they_were_performing(pool, feed):
    dice, one, kills = random.Random(7), pool(2), 0
    while kills < 40:
        given, before, ended = feed(identify, [{"index": index} for index in range(1000)]), kills, 0
        one.add(given)
        while one.serves(given):
            one.step()
            if len(given.order) == ended or kills == 40:
                continue  # workers that are killed before they can end a call end nothing, for ever
            ended = len(given.order)
            for child in [child for child in worker_processes() if dice.random() < 0.8][:1]:
                with suppress(psutil.NoSuchProcess):  # it has been replaced meanwhile
                    child.kill()
                kills += 1
        assert {told.ended for told in given.told.values()} == {1}
        died = [told for told in given.told.values() if told.status is not RunStatus.SUCCEEDED]
        assert {told.error.type for told in died} <= {"WorkerDied"}
        assert len(died) <= kills - before
        assert all(told.value[0] == index for index, told in given.told.items() if told.value)


def test_what_a_worker_took_and_died_with_before_its_first_word_is_sent_again(pool, feed, tmp_path):
    given, one = feed(hold, [{"path": str(tmp_path / "go")}] * 5), pool(1)
    one.add(given)
    while not given.told[0].pid:
        one.step()
    next(next(iter(one.worker_sets.values())).queue.drain())  # as a worker does that dies right then
    os.kill(given.told[0].pid, signal.SIGKILL)
    (tmp_path / "go").touch()
    while one.serves(given):
        one.step()
    assert [told.status for told in given.told.values()] == [RunStatus.FAILED, *[RunStatus.SUCCEEDED] * 4]
    assert given.order == [0, 2, 3, 4, 1]


def test_a_call_that_died_with_a_worker_unheard_is_lost_once_the_queue_has_gone_past_it():
    class State:
        def note_sent(self):
            pass

        def note_returned(self, number):
            pass

    out = InFlight()
    for number in range(4):
        out.add(number, State(), None)
    out.begin(0)
    out.suspect({0})
    assert out.lost({0}, 100.0, queue_empty=False) == []  # 1, 2 and 3 may all be in the queue
    out.begin(2)
    assert out.lost({0, 2}, 200.0, queue_empty=False) == []  # 1 has been passed; its worker may just be slow
    assert [out.lost({0, 2}, 202.0, queue_empty=False) for _ in range(10)] == [[]] * 9 + [[1]]
    out.close(1)
    assert out.lost({0, 2}, 203.0, queue_empty=True) == []  # 3 is nobody's only now
    assert [out.lost({0, 2}, 205.0, queue_empty=True) for _ in range(10)][-1] == [3]
    assert out.lost({0, 2, 3}, 206.0, queue_empty=True) == []


def test_a_process_with_more_than_a_thousand_open_files_sees_when_the_queue_is_empty(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], 2048), before[1]))
    queue = CallQueue(tmp_path)
    try:
        low, queue.exit = queue.exit, fcntl.fcntl(queue.exit, fcntl.F_DUPFD_CLOEXEC, 1100)
        os.close(low)
        assert queue.empty
        assert queue.put(7, 0, Call(0, 0, "{}"))
        assert not queue.empty
        assert list(queue.drain()) == [7]
        assert queue.empty
    finally:
        queue.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_workers_follow_the_callers_environment_and_folder(pool, feed, tmp_path, monkeypatch):
    def look():
        import os

        return [os.environ.get("ADDED_LATER"), os.getcwd()]

    one, before, after = pool(), feed(look), feed(look)
    one.serve(before)
    monkeypatch.setenv("ADDED_LATER", "yes")
    monkeypatch.chdir(tmp_path)
    one.serve(after)
    assert before.told[0].value[0] is None
    assert after.told[0].value == ["yes", str(tmp_path)]


def test_wake_ends_the_wait_and_is_harmless_when_closed(pool):
    one = pool()
    threading.Timer(0.05, one.wake).start()
    one.step()  # nothing is served: it would wait for ever
    one.close()
    one.wake()


def open_files():
    """What this process has open: others' descriptors come and go beside a pool's, by number."""
    found = set()
    for fd in os.listdir("/dev/fd"):
        with suppress(OSError):  # that of the look itself
            found.add(os.readlink(f"/dev/fd/{fd}"))
    return found


def test_workers_that_are_replaced_leave_no_descriptor_open(pool, feed, tmp_path):
    def stain():
        import signal
        import time

        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        time.sleep(0.3)

    one, told, open_after = pool(), [], []
    for count in (1, 4):
        given = feed(stain, [{}] * count)
        one.serve(given)
        told += [told.pid for told in given.told.values()]
        while any(map(len, one.worker_sets.values())):  # the last one is still to end
            one.step()
        open_after.append(open_files())
    assert len(set(told)) == 5
    more = open_after[1] - open_after[0]
    assert [name for name in more if name.startswith(("pipe:", str(tmp_path)))] == []


def test_close_leaves_no_process(pool, feed, tmp_path, eventually):
    def start_child(path: str):
        import os
        import subprocess
        import time

        child = subprocess.Popen(["sleep", "60"], start_new_session=True)
        with open(path + ".new", "w") as file:
            file.write(f"{os.getpid()} {child.pid}")
        os.rename(path + ".new", path)
        time.sleep(60)

    one, given = pool(), feed(start_child, [{"path": str(tmp_path / "pids")}])
    one.add(given)
    while not (tmp_path / "pids").exists():
        one.step()
    one.step()
    one.close()
    eventually(lambda: all(is_gone(int(pid)) for pid in (tmp_path / "pids").read_text().split()))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_keep_up_its_parents_lifelines():
    watched, held = os.pipe()
    keep_private(held)
    child = os.fork()
    if not child:
        signal.pause()
        os._exit(0)
    from fanfold.core.processes import close_private

    close_private(held)
    assert os.read(watched, 1) == b""  # would wait for the child otherwise
    os.close(watched)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_call_is_not_taken_for_lost_while_the_pool_itself_comes_to_nothing(feed, tmp_path):
    """Its worker may be as slow to say that it has taken the call: it would be performed twice."""
    calls = InFlight()
    calls.add(7, FeedState(feed(identify), 0, tmp_path), Call(0, 0, "{}"))
    calls.suspect(set())
    assert [calls.lost(set(), now, queue_empty=True) for now in (0.0, 60.0, 120.0)] == [[], [], []]
    looks = [calls.lost(set(), 121.0 + look / 10, queue_empty=True) for look in range(10)]
    assert looks[0] == []
    assert looks[-1] == [7]
    assert calls.lost({7}, 200.0, queue_empty=True) == []
