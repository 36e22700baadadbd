"""A worker loads a bundle once and serves its runs; runs of another bundle never meet what it keeps."""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys

import psutil
import pytest

from fanfold.core.models import RunStatus
from fanfold.execution.pool import pool as pools
from fanfold.execution.pool.spawn import Launcher
from tests.conftest import is_gone, worker_processes

LOADS = []


@functools.lru_cache
def model():
    LOADS.append(1)
    return 2


def predict(x: int):
    return [model() * x, len(LOADS), os.getpid()]


def test_what_a_run_has_cached_serves_the_next(work):
    told = work(predict, [{"x": x} for x in range(5)])
    assert [one.value[:2] for one in told] == [[2 * x, 1] for x in range(5)]
    assert len({one.value[2] for one in told}) == 1


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Imports a module of the user's own: `project(text)`."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(text: str):
        (tmp_path / "kept_by_workers.py").write_text(text)
        sys.modules.pop("kept_by_workers", None)
        return importlib.import_module("kept_by_workers")

    yield make
    sys.modules.pop("kept_by_workers", None)


def test_what_loading_sets_up_is_what_each_run_finds(work, project):
    kept_by_workers = project(
        "import decimal, logging, os, signal, socket, threading, warnings\n"
        "log = logging.getLogger('kept_by_workers')\n"
        "log.addHandler(logging.StreamHandler())\n"
        "decimal.getcontext().prec = 5\n"
        "os.environ['SET_BY_LOADING'] = 'yes'\n"
        "signal.signal(signal.SIGUSR1, signal.SIG_IGN)\n"
        "socket.setdefaulttimeout(7)\n"
        "warnings.filterwarnings('error', message='careful')\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "def look():\n"
        "    log.warning('once')\n"
        "    found = [str(decimal.Decimal(1) / 3), os.environ.get('SET_BY_LOADING'), socket.getdefaulttimeout()]\n"
        "    found += [signal.getsignal(signal.SIGUSR1) == signal.SIG_IGN, warnings.filters[0][0], os.getpid()]\n"
        "    decimal.getcontext().prec = 9\n"
        "    os.environ['SET_BY_LOADING'] = 'no'\n"
        "    socket.setdefaulttimeout(9)\n"
        "    warnings.resetwarnings()\n"
        "    return found\n"
    )
    try:

        def look():
            return kept_by_workers.look()

        told = work(look, [{}] * 3)
    finally:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        importlib.import_module("decimal").getcontext().prec = 28
        importlib.import_module("socket").setdefaulttimeout(None)
        os.environ.pop("SET_BY_LOADING", None)
    assert [one.value[:5] for one in told] == [["0.33333", "yes", 7, True, "error"]] * 3
    assert [one.printed for one in told] == ["once\n"] * 3
    assert len({one.value[5] for one in told}) == 1


def plant(leak: str):
    import copyreg
    import json
    import os.path
    import ssl
    import sys
    import types
    import urllib.parse

    if leak == "a private name":
        ssl._create_default_https_context = ssl._create_unverified_context
    if leak == "a method":
        json.JSONEncoder.default = lambda self, o: "patched"
    if leak == "a function of a submodule":
        urllib.parse.quote = lambda *_: "patched"
    if leak == "a constant":
        json.encoder.INFINITY = 0.0
        os.path.sep = "!"
    if leak == "sys.modules":
        sys.modules["json"] = types.ModuleType("json")
    if leak == "copyreg":
        copyreg.pickle(complex, lambda z: (complex, (0, 0)))
    if leak == "a hook":
        sys.excepthook = print
        sys.meta_path.insert(0, type("Finder", (), {"find_spec": lambda *_: None}))


def look(leak: str):
    import copy
    import json
    import os.path
    import ssl
    import sys
    import urllib.parse

    try:
        patched = json.dumps({"a": object})
    except TypeError:
        patched = "TypeError"
    verified = ssl._create_default_https_context is ssl.create_default_context
    hooks = [sys.excepthook is sys.__excepthook__, sys.meta_path[0].__name__ != "Finder"]
    return [verified, patched, urllib.parse.quote("a b"), os.path.sep, copy.copy(1 + 2j) == 1 + 2j, *hooks]


@pytest.mark.parametrize(
    "leak",
    [
        "a private name",
        "a method",
        "a function of a submodule",
        "a constant",
        "sys.modules",
        "copyreg",
        "a hook",
    ],
)
def test_what_a_run_patches_reaches_no_run_of_another_bundle(work, leak):
    (before,) = work(look, [{"leak": ""}])
    (planted,) = work(plant, [{"leak": leak}])
    (after,) = work(look, [{"leak": ""}])
    assert planted.status is RunStatus.SUCCEEDED, planted.error
    assert after.value == before.value == [True, "TypeError", "a%20b", "/", True, True, True]


def whose():
    import os

    return os.getpid()


def another():
    import os

    return [os.getpid()]


def test_an_owner_has_workers_of_their_own(pool, feed):
    one, pids = pool(), []
    for owner in ("ann", "ben"):
        given = feed(whose, owner=owner)
        one.serve(given)
        pids.append(given.told[0].value)
    assert pids[0] != pids[1]


def test_the_same_udf_finds_its_warm_workers_again(tmp_path, feed):
    one = pools.Pool(1, tmp_path / "pool", idle=1)
    try:
        seen = []
        for fn in (whose, another, whose, another):
            given = feed(fn)
            one.serve(given)
            seen.append(given.told[0].value)
        assert seen[0] == seen[2]
        assert seen[1] == seen[3]
        assert len(worker_processes()) >= 2
    finally:
        one.close()


def test_without_room_for_idle_workers_the_ones_used_longest_ago_make_room(pool, feed):
    one, before = pool(1), len(worker_processes())
    for fn in (whose, another, whose):
        one.serve(feed(fn))
        assert len(worker_processes()) == before + 1


def test_more_bundles_than_workers_take_turns(pool, feed, monkeypatch):
    from fanfold.execution.pool import scheduler as turns

    monkeypatch.setattr(turns, "_PATIENCE_S", 0.05)

    def slow():
        import time

        time.sleep(0.02)

    def slower():
        import time

        time.sleep(0.03)

    def slowest():
        import time

        time.sleep(0.04)

    one, feeds = pool(1), [feed(fn, [{}] * 20) for fn in (slow, slower, slowest)]
    for given in feeds:
        one.add(given)
    while any(one.serves(given) for given in feeds):
        one.step()
    assert all(told.ended == 1 for given in feeds for told in given.told.values())
    begun = [min(told.at for told in given.told.values()) for given in feeds]
    over = [max(told.at for told in given.told.values()) for given in feeds]
    assert max(begun) < min(over)


def count():
    LOADS.append(1)
    return [len(LOADS), os.getpid()]


def test_fresh_gives_each_run_a_process_of_its_own(work):
    told = work(count, [{}] * 4, fresh=True)
    assert [one.value[0] for one in told] == [1] * 4
    assert len({one.value[1] for one in told}) == 4


def threads():
    import os

    return [os.environ.get(name) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")]


def test_a_worker_has_its_share_of_the_cores_unless_the_user_has_set_it(work, monkeypatch):
    from fanfold.execution.pool import pool as shares

    monkeypatch.setattr(shares, "usable_cores", lambda: 8)
    assert work(threads, workers=2)[0].value == ["4", "4", "4"]
    assert work(threads, workers=2, max_concurrency=1)[0].value == ["8", "8", "8"]
    assert work(threads, workers=2, threads=3)[0].value == ["3", "3", "3"]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert work(threads, workers=2)[0].value == ["5", "4", "4"]


def threads_of_duckdb():
    import duckdb

    asked = "SELECT current_setting('threads')"
    own = duckdb.connect(config={"threads": 7})
    return [each.sql(asked).fetchone()[0] for each in (duckdb, duckdb.connect(), own)]


def test_duckdb_starts_its_workers_share_of_threads_unless_the_user_has_said_how_many(work, monkeypatch):
    pytest.importorskip("duckdb")
    monkeypatch.delenv("SLURM_CPUS_ON_NODE", raising=False)
    assert work(threads_of_duckdb, workers=2, threads=3)[0].value == [3, 3, 7]
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "5")
    assert work(threads_of_duckdb, workers=2, threads=3)[0].value == [5, 5, 7]


def blocks_in_memory():
    import os

    return os.environ.get("GDAL_CACHEMAX")


def test_gdal_keeps_no_more_of_a_raster_than_in_the_image_unless_the_user_has_said_so(work, monkeypatch):
    monkeypatch.delenv("GDAL_CACHEMAX", raising=False)
    assert work(blocks_in_memory)[0].value == "256"
    monkeypatch.setenv("GDAL_CACHEMAX", "64")
    assert work(blocks_in_memory)[0].value == "64"


def folder():
    import os
    import tempfile

    found = [os.listdir(), os.listdir(tempfile.gettempdir())]
    for place in (".", tempfile.gettempdir()):
        os.makedirs(os.path.join(place, "left", "below"))
        with open(os.path.join(place, "left", "file"), "w") as file:
            file.write("x")
    return [*found, os.getpid(), tempfile.gettempdir(), os.environ["FANFOLD_SCRATCH"]]


def test_files_of_one_run_are_not_there_for_the_next(work, eventually):
    told = work(folder, [{}] * 3, own_folder=True)
    assert [one.value[:2] for one in told] == [[[], []]] * 3
    assert len({one.value[2] for one in told}) == 1
    work(whose)  # of another bundle: the worker makes room
    eventually(lambda: not any(os.path.exists(path) for one in told for path in one.value[3:]))


def test_a_worker_may_keep_files_in_its_scratch_folder(work):
    def keep():
        import fanfold

        path = fanfold.scratch_path() / "kept"
        before = path.read_text() if path.exists() else ""
        path.write_text(before + "x")
        return [before, fanfold.job_id(), fanfold.run_id(), fanfold.attempt()]

    told = work(keep, [{}] * 3)
    assert [one.value for one in told] == [["x" * n, "job-1", f"job-1/{n}", 0] for n in range(3)]


def test_workers_end_with_their_fork_server_and_another_takes_its_place(pool, feed, tmp_path, eventually):
    def hang(path: str):
        import os
        import time

        first = not os.path.exists(path)
        open(path, "w").close()
        while first:
            time.sleep(0.01)
        return os.getpid()

    one, given = pool(), feed(hang, [{"path": str(tmp_path / "seen")}] * 2)
    one.add(given)
    while not (given.told[0].pid and (tmp_path / "seen").exists()):  # else the second would wait as the first does
        one.step()
    psutil.Process(psutil.Process(given.told[0].pid).ppid()).kill()
    while one.serves(given):
        one.step()
    assert given.told[0].error.type == "WorkerDied"
    assert given.told[1].status is RunStatus.SUCCEEDED
    eventually(lambda: is_gone(given.told[0].pid))


def test_where_there_is_no_fork_server_workers_are_started_one_by_one(pool, feed, monkeypatch, eventually):
    def leave_a_child():
        import os
        import subprocess

        return [os.getpid(), subprocess.Popen(["sleep", "60"]).pid]

    monkeypatch.setattr(pools, "spawner", lambda environment, by: Launcher(environment, by.python))
    one, given, more = pool(2), feed(leave_a_child, [{}] * 2), feed(predict, [{"x": 3}] * 4)
    one.add(given)
    one.serve(more)
    while one.serves(given):
        one.step()
    assert {told.value[0] for told in more.told.values()} == {6}
    eventually(lambda: all(is_gone(pid) for told in given.told.values() for pid in told.value))


def prepare():
    LOADS.append("prepared")


def test_setup_is_called_once_in_each_worker_before_its_first_run(work):
    import fanfold

    def prepared():
        return [list(LOADS), os.getpid()]

    told = work(fanfold.udf(setup=prepare)(prepared), [{}] * 3)
    assert [one.value[0] for one in told] == [["prepared"]] * 3
    assert len({one.value[1] for one in told}) == 1


def test_a_setup_that_fails_fails_the_runs(work):
    import fanfold

    def broken():
        raise LookupError("no model here")

    def unprepared():
        return 1

    told = work(fanfold.udf(setup=broken)(unprepared), [{}] * 2)
    assert [one.error.type for one in told] == ["LookupError"] * 2
