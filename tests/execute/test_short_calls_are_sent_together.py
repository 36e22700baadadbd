"""Short calls go to a worker several at a time; to a call it is nothing which others its worker has taken with it."""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.core.models import EventKind, RunStatus
from fanfold.execution.channel import (
    CHUNK_CALLS,
    Finished,
    Packed,
    SoFar,
    Started,
    numbers_in,
    pack_call,
    pack_chunk,
    pack_finished,
    pack_started,
    unpack_answers,
    unpack_calls,
)
from fanfold.execution.pool.pool import Pool
from fanfold.execution.pool.scheduler import Autoscaler
from fanfold.execution.worker.chunk import shown_memory
from tests.conftest import LIMIT_S, worker_processes


def doubled(index: int):
    return 2 * index


def doubled_or_held(index: int, at: int, path: str):
    import os
    import time

    if index == at:
        while not os.path.exists(path):
            time.sleep(0.005)
    return 2 * index


def doubled_or_slow(index: int, at: int, steps: int):
    if index == at:
        for _ in range(steps):
            sum(range(1000))
    return 2 * index


def doubled_or_asleep(index: int, at: int, seconds: float):
    import time

    time.sleep(seconds if index == at else 0)
    return 2 * index


SEEN = []


def all_seen(index: int, at: int, steps: int):
    SEEN.append(index)
    return [doubled_or_slow(index, at, steps), *SEEN]


def doubled_or_endless(index: int, at: int):
    while index == at:
        pass
    return 2 * index


def doubled_or_dead(index: int, at: int):
    import os

    if index == at:
        os.abort()
    return 2 * index


def printing(index: int):
    if index % 7 == 3:
        print("seven", index, end="" if index % 2 else "\n")
    return index


def failing(index: int):
    if index % 5 == 0:
        raise ValueError(f"no {index}")
    return index


def large(index: int):
    return "x" * (20_000 if index % 9 == 4 else index)


def inputs(count, **others):
    return [{"index": index, **others} for index in range(count)]


@pytest.fixture
def together(monkeypatch):
    """Calls are sent together from the first on, whatever they take: what is seen does not depend on the machine."""
    monkeypatch.setattr(Autoscaler, "together", 16)


@pytest.fixture
def answers(monkeypatch):
    """What workers answer, in their order."""
    seen, hear = [], Pool._on_results

    def listen(self, workers, worker, results):
        seen.append(results)
        hear(self, workers, worker, results)

    monkeypatch.setattr(Pool, "_on_results", listen)
    return seen


def values(feed):
    return [told.value for told in feed.told.values()]


def serve_until(pool, condition, within_s=100.0):
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        pool.step()


@pytest.mark.usefixtures("together")
def test_all_are_performed_once(pool, feed, answers):
    one, given = pool(1), feed(doubled, inputs(200))
    one.serve(given)
    assert values(given) == [2 * index for index in range(200)]
    assert sorted(given.order) == list(range(200))  # a worker that is slow for a moment gives back what it has left
    assert {told.ended for told in given.told.values()} == {1}
    assert sum(len(results.bodies) for results in answers) > 150


@pytest.mark.usefixtures("together")
def test_what_each_took_is_told(pool, feed):
    one, given = pool(1), feed(doubled_or_asleep, inputs(64, at=40, seconds=0.5))
    began = time.monotonic()
    one.serve(given)
    passed_s = time.monotonic() - began
    took = [told.usage.duration_s for told in given.told.values()]
    assert took[40] >= 0.5
    assert sum(took) < passed_s + 0.1  # to no other call's time was that of another added; 64 are rounded
    assert all(told.usage.peak_memory_mib > 1 for told in given.told.values())


def test_calls_are_sent_alone_until_they_are_known_to_be_short():
    growth = Autoscaler()
    assert growth.together == 1
    for _ in range(20):
        growth.note(0.00002)
    assert growth.together == 32
    for _ in range(20):
        growth.note(0.0001)
    assert 5 <= growth.together <= 12
    for _ in range(20):
        growth.note(0.1)
    assert growth.together == 1


@pytest.mark.usefixtures("together")
def test_a_slow_call_holds_up_none_that_were_sent_with_it(pool, feed, tmp_path):
    go = tmp_path / "go"
    one, given = pool(2), feed(doubled_or_held, inputs(60, at=20, path=str(go)))
    one.add(given)
    serve_until(one, lambda: len(given.order) == 59)
    assert given.told[20].status is None
    assert given.told[20].pid
    go.touch()
    serve_until(one, lambda: not one.serves(given))
    assert values(given) == [2 * index for index in range(60)]
    assert {told.ended for told in given.told.values()} == {1}


@pytest.mark.usefixtures("together")
def test_a_call_that_only_computes_holds_up_none_that_were_sent_with_it(pool, feed):
    one, given = pool(2), feed(doubled_or_slow, inputs(60, at=20, steps=40_000))
    one.add(given)
    serve_until(one, lambda: len(given.order) == 59)
    assert 20 not in given.order
    serve_until(one, lambda: not one.serves(given))
    assert values(given) == [2 * index for index in range(60)]
    assert {told.ended for told in given.told.values()} == {1}
    assert all(told.usage.peak_memory_mib > 1 for told in given.told.values())


@pytest.mark.usefixtures("together")
def test_what_was_taken_back_is_begun_once(pool, feed):
    one, given = pool(1), feed(all_seen, inputs(60, at=20, steps=40_000))
    one.serve(given)
    _, *seen = max(values(given), key=len)
    assert sorted(seen) == list(range(60))

    given = feed(all_seen, [{"index": index, "at": index, "steps": 20} for index in range(300)])
    one.add(given)
    while one.serves(given):
        one.step()
        one.where(-1)  # which wants to know what each worker performs, at any moment
    _, *seen = max(values(given), key=len)
    assert sorted(seen[60:]) == list(range(300))


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("at", [0, 5, 17, 31])
def test_a_crash_is_the_fault_of_the_one_call_that_was_performed(pool, feed, at):
    one, given = pool(1), feed(doubled_or_dead, inputs(48, at=at))
    one.serve(given)
    assert [index for index, told in given.told.items() if told.status is RunStatus.FAILED] == [at]
    assert given.told[at].error.type == "WorkerDied"
    assert {told.ended for told in given.told.values()} == {1}


@pytest.mark.usefixtures("together")
def test_a_worker_that_is_killed_fails_one_call_and_no_other_is_lost(pool, feed):
    one, given = pool(1), feed(doubled_or_slow, inputs(120, at=50, steps=4_000_000))
    one.add(given)
    serve_until(one, lambda: given.told[50].pid)
    os.kill(given.told[50].pid, signal.SIGKILL)
    serve_until(one, lambda: not one.serves(given))
    assert [index for index, told in given.told.items() if told.status is not RunStatus.SUCCEEDED] == [50]
    assert {told.ended for told in given.told.values()} == {1}


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("fn", [doubled_or_held, doubled_or_endless])
def test_a_limit_of_time_ends_the_one_call_that_exceeds_it(pool, feed, tmp_path, fn):
    given = {"path": str(tmp_path / "never")} if fn is doubled_or_held else {}
    one, given = pool(1), feed(fn, inputs(40, at=9, **given), timeout_s=LIMIT_S)
    one.serve(given)
    assert given.told[9].status is RunStatus.TIMED_OUT
    assert given.told[9].usage.duration_s >= LIMIT_S
    assert [index for index, told in given.told.items() if told.status is not RunStatus.SUCCEEDED] == [9]


@pytest.mark.usefixtures("together")
def test_cancelling_ends_the_one_that_runs_and_those_that_wait_begin_nowhere(pool, feed, tmp_path):
    one, given = pool(1), feed(doubled_or_held, inputs(48, at=20, path=str(tmp_path / "never")))
    one.add(given)
    serve_until(one, lambda: given.told[20].pid)
    one.cancel(given)
    serve_until(one, lambda: not one.serves(given))
    ended = [told.status for told in given.told.values() if told.status is not None]
    assert ended[:20] == [RunStatus.SUCCEEDED] * 20
    assert set(ended[20:]) == {RunStatus.CANCELLED}


@pytest.mark.usefixtures("together")
def test_it_is_found_out_which_call_runs_where_somebody_asks(pool, feed, tmp_path):
    go = tmp_path / "go"
    one, given = pool(1), feed(doubled_or_held, inputs(16, at=11, path=str(go)))
    one.add(given)
    serve_until(one, lambda: any(worker.taken for each in one.worker_sets.values() for worker in each))
    serve_until(one, lambda: "in doubled_or_held" in (one.where(11) or ""))
    go.touch()
    serve_until(one, lambda: not one.serves(given))
    assert values(given) == [2 * index for index in range(16)]


@pytest.mark.usefixtures("together")
def test_what_a_call_prints_is_told_of_it_alone(pool, feed):
    one, given = pool(1), feed(printing, inputs(60))
    one.serve(given)
    printed = {index: told.printed for index, told in given.told.items() if told.printed}
    assert printed == {i: f"seven {i}" + ("" if i % 2 else "\n") for i in range(60) if i % 7 == 3}


@pytest.mark.usefixtures("together")
def test_a_call_that_raises_fails_alone(pool, feed):
    one, given = pool(1), feed(failing, inputs(60))
    one.serve(given)
    failed = [index for index, told in given.told.items() if told.status is RunStatus.FAILED]
    assert failed == list(range(0, 60, 5))
    assert given.told[35].error.message == "no 35"
    assert [told.value for told in given.told.values() if told.value is not None] == [i for i in range(60) if i % 5]


@pytest.mark.usefixtures("together")
def test_large_results_and_long_arguments_go_through_files_as_ever(pool, feed):
    one, given = pool(1), feed(large, inputs(40))
    one.serve(given)
    assert [len(value) for value in values(given)] == [20_000 if i % 9 == 4 else i for i in range(40)]

    def length(index: int, text: str):
        return len(text) + index

    long = [{"index": i, "text": "x" * (5_000 if i % 11 == 3 else 300)} for i in range(60)]
    given = feed(length, long)
    one.serve(given)
    assert values(given) == [len(each["text"]) + each["index"] for each in long]


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("asked", [{"fresh": True}, {"calls_per_worker": 3}])
def test_calls_that_are_not_alike_are_sent_alone(pool, feed, answers, asked):
    one, given = pool(1), feed(doubled, inputs(12), **asked)
    one.serve(given)
    assert values(given) == [2 * index for index in range(12)]
    assert not answers


def test_others_workers_get_what_one_has_taken_and_not_begun(pool, feed, tmp_path, monkeypatch):
    monkeypatch.setattr(Autoscaler, "together", 16)
    go = tmp_path / "go"
    one, given = pool(2), feed(doubled_or_held, inputs(16, at=0, path=str(go)))
    one.add(given)
    serve_until(one, lambda: len(given.order) == 15)
    assert len(worker_processes()) >= 2
    go.touch()
    serve_until(one, lambda: not one.serves(given))
    assert given.order[-1] == 0


def test_a_started_event_names_the_call_that_runs(pool, feed, tmp_path, monkeypatch):
    monkeypatch.setattr(Autoscaler, "together", 16)
    go = tmp_path / "go"
    one, given = pool(1), feed(doubled_or_held, inputs(16, at=7, path=str(go)))
    one.add(given)
    serve_until(one, lambda: EventKind.STARTED in given.told[7].kinds)
    assert [index for index, told in given.told.items() if told.pid and told.status is None] in ([7], [0, 7])
    threading.Timer(0.0, go.touch).start()
    serve_until(one, lambda: not one.serves(given))


def stealing(index: int, at: int, size: int):
    import os
    import stat

    for fd in range(3, 64) if index == at else ():
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.set_blocking(fd, False)
                os.read(fd, size)
        except OSError:
            continue
    return index


#: Every place once at least, and every size.
_READ_BY_EACH_COMMIT = {(0, 5), (6, 8), (20, 4096), (43, 8)}


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize(
    ("at", "size"),
    [
        pytest.param(at, size, marks=() if (at, size) in _READ_BY_EACH_COMMIT else pytest.mark.long)
        for at in (0, 6, 20, 43)
        for size in (5, 8, 4096)
    ],
)
def test_calls_whose_claims_a_udf_has_read_go_out_again(pool, feed, at, size):
    one, given = pool(1), feed(stealing, inputs(60, at=at, size=size))
    one.add(given)
    serve_until(one, lambda: not one.serves(given))
    assert values(given) == list(range(60))
    assert {told.ended for told in given.told.values()} == {1}


@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("size", [5, 8, 4096])
@pytest.mark.parametrize("at", [0, 5, 14])
def test_they_do_so_too_where_no_other_call_comes_to_that_worker(pool, feed, monkeypatch, at, size):
    monkeypatch.setattr("fanfold.execution.pool.pool._OVER_BY_S", math.inf)  # nor does the pool look what it performs
    one, given = pool(1), feed(stealing, inputs(16, at=at, size=size))
    one.add(given)
    serve_until(one, lambda: not one.serves(given))
    assert values(given) == list(range(16))
    assert {told.ended for told in given.told.values()} == {1}


def waiting_where_it_reads(index: int):
    import os
    import stat

    for fd in range(3, 64):
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.set_blocking(fd, True)
        except OSError:
            continue
    return index


@pytest.mark.parametrize("together", [1, 16])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_udf_that_has_all_reading_wait_holds_up_nobody(pool, feed, monkeypatch, workers, together):
    monkeypatch.setattr(Autoscaler, "together", together)
    monkeypatch.setattr("fanfold.execution.pool.pool._OVER_BY_S", 0.0)  # the pool reads along all the time
    one, given = pool(workers), feed(waiting_where_it_reads, inputs(100))
    assert within_a_minute(lambda: one.serve(given))
    assert values(given) == list(range(100))
    assert {told.ended for told in given.told.values()} == {1}


def waiting_and_held(index: int, at: int, path: str):
    import os
    import stat
    import time

    for fd in range(3, 64) if index == at else ():
        try:
            if stat.S_ISFIFO(os.fstat(fd).st_mode):
                os.set_blocking(fd, True)
        except OSError:
            continue
    while index == at and not os.path.exists(path):
        time.sleep(0.005)
    return index


@pytest.mark.usefixtures("together")
def test_nor_does_it_while_it_goes_on(pool, feed, tmp_path):
    go = tmp_path / "go"
    one, given = pool(2), feed(waiting_and_held, inputs(60, at=20, path=str(go)))
    one.add(given)
    assert within_a_minute(lambda: serve_until(one, lambda: len(given.order) == 59 and given.told[20].pid))
    go.touch()
    assert within_a_minute(lambda: serve_until(one, lambda: not one.serves(given)))
    assert values(given) == list(range(60))


def within_a_minute(act):
    """Whether `act` returns by then, in a thread of its own: one that waits for ever cannot be ended."""
    acting = threading.Thread(target=act, daemon=True)
    acting.start()
    acting.join(60)
    return not acting.is_alive()


def test_where_there_is_no_room_for_results_to_be_seen_they_are_answered_all_the_same(tmp_path):
    whole = shown_memory(str(tmp_path / "results"))
    assert (tmp_path / "results").stat().st_size == len(whole) == SoFar.SIZE
    for nowhere in ("/dev/full", str(tmp_path / "none" / "results")):
        memory = shown_memory(nowhere)
        so_far = SoFar(memory)
        so_far.begin(7, 1.0)
        so_far.add(1.0, 0.5, "json/1", sha256(b"12").digest(), b"12")
        [told], _ = unpack_answers(so_far.answer(cpu_share=1.0, peak_mib=1.0, returned=[]))
        assert (told.first, told.stop, list(told.bodies)) == (7, 8, [b"12"])


@pytest.mark.usefixtures("together")
def test_arguments_that_cannot_be_read_together_are_read_one_by_one(pool, feed):
    one, given = pool(1), feed(doubled, inputs(40))
    given.calls[20] = given.calls[20]._replace(arguments='{"index": 1e}')  # the calls are in reverse order
    one.serve(given)
    broken = 39 - 20
    assert [index for index, told in given.told.items() if told.status is not RunStatus.SUCCEEDED] == [broken]
    assert given.told[broken].error.type.endswith("CodecError")
    assert {told.ended for told in given.told.values()} == {1}


# What is said on the way.

_CALLS = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 9), st.text(max_size=20)), min_size=1, max_size=9)


@given(st.integers(0, 2**60), _CALLS)
def test_a_chunk_of_calls_is_what_was_packed(first, calls):
    message = pack_chunk(first, 3, calls)
    assert list(numbers_in(message)) == list(range(first, first + len(calls)))
    assert [(c.number, c.assignment, c.index, c.attempt, c.arguments.decode()) for c in unpack_calls(message)] == [
        (first + place, 3, *call) for place, call in enumerate(calls)
    ]
    one = pack_call(first, 3, (7, 1), b"{}")
    assert list(numbers_in(one)) == [first]
    assert [called[:4] for called in unpack_calls(one)] == [(first, 3, 7, 1)]


_RESULTS = st.lists(st.tuples(st.floats(0, 2e9), st.floats(0, 1), st.sampled_from(["json/1", "npy/1"]), st.binary()))


def said(results, returned=()):
    """What a worker keeps by now, and says, of these results."""
    memory = bytearray(SoFar.SIZE)
    so_far = SoFar(memory)
    so_far.begin(5, 12.5)
    for at, took, codec, body in results:
        so_far.add(at, took, codec, sha256(body).digest(), body)
    return memory, so_far.answer(cpu_share=0.5, peak_mib=13.5, returned=returned)


@given(_RESULTS, st.lists(st.integers(0, 2**60), max_size=3), st.integers(0, 200))
def test_results_are_what_was_said_wherever_the_stream_is_cut(results, returned, cut):
    results = results[:CHUNK_CALLS]
    alone = Finished(5 + len(results), 1.0, 2.0, 3.0, 4.0, Packed("npy/1", 3, bytes(32), None), None, b"abc")
    memory, told = said(results, returned)
    stream = pack_started(5, 1.0, 2, len(results) + len(returned)) + told + pack_finished(alone)
    early, rest = unpack_answers(stream[:cut])
    late, left = unpack_answers(rest + stream[cut:])
    assert left == b""
    heard = [answer for answer in [*early, *late] if not isinstance(answer, Started)]
    assert list(heard[0].returned) == returned
    assert heard[0].peak_memory_mib == 13.5
    assert heard[1] == alone
    for one in (heard[0], SoFar.read(bytes(memory))):
        assert (one.first, one.stop) == (5, 5 + len(results))
        assert list(zip(one.at, one.duration_s, one.codecs, one.bodies, strict=True)) == results
        assert [done.call for done in one.each()] == list(range(5, 5 + len(results)))


def test_what_is_read_while_the_worker_begins_other_calls_is_of_neither():
    """Each part is whole, and a result's hash is right: but the number that stands before it is an earlier call's."""
    memory, _ = said([(1.0, 0.1, "json/1", b"123")])
    before = bytes(memory)
    later = SoFar(memory)
    later.begin(37, 12.5)
    later.add(2.0, 0.2, "json/1", sha256(b"456").digest(), b"456")
    torn = before[:8] + bytes(memory[8:])
    assert SoFar.read(torn).bodies == [b"456"]
    reads = [torn, bytes(memory)]
    assert SoFar.read_through(lambda size, at: reads.pop(0)[at : at + size]) is None
    [again] = SoFar.read_through(lambda size, at: bytes(memory[at : at + size])).each()
    assert (again.call, again.body) == (37, b"456")


def test_what_is_only_half_written_is_not_read():
    memory, _ = said([(1.0, 0.1, "json/1", b"123"), (2.0, 0.1, "json/1", b"456")])
    memory[memory.index(b"456")] = 0
    assert SoFar.read(bytes(memory)) is None
    assert SoFar.read(bytes(memory[:100])) is None
