"""Each run finds things as the first one did, whatever the one before it has done to its process."""

from __future__ import annotations

import os
import sys

import pytest

from fanfold.core.models import RunStatus
from tests.conftest import is_gone

COUNT = {"calls": 0}


def test_globals_stay_for_runs_of_the_same_udf_and_reach_no_other(work):
    def count():
        COUNT["calls"] += 1
        return COUNT["calls"]

    def count_too():
        COUNT["calls"] += 10
        return COUNT["calls"]

    assert [told.value for told in work(count, [{}] * 3)] == [1, 2, 3]
    assert [told.value for told in work(count_too, [{}] * 2)] == [10, 20]


def test_environment_folder_paths_and_arguments_do_not(work, tmp_path):
    def look(step: int, folder: str):
        import os
        import sys

        seen = [os.environ.get("LEAK"), os.environ.get("HOME"), os.getcwd(), list(sys.path), list(sys.argv)]
        os.environ["LEAK"] = "leaked"
        del os.environ["HOME"]
        os.chdir(folder)
        if step == 0:
            sys.path.insert(0, "/leaked")
            sys.argv.append("leaked")
        elif step == 1:
            sys.path = sys.argv = None
        elif step == 2:
            sys.path, sys.argv = ["/leaked"], ["leaked"]
        os.environ = {}  # noqa: B003
        return [os.getpid(), *seen]

    told = work(look, [{"step": step, "folder": str(tmp_path)} for step in range(4)])
    pids, seen = {one.value[0] for one in told}, [one.value[1:] for one in told]
    assert len(pids) == 1
    assert seen == [seen[0]] * 4
    assert seen[0][:3] == [None, os.environ.get("HOME"), os.getcwd()]


def test_a_folder_that_was_removed_is_not_stood_in(work):
    def vanish():
        import os
        import tempfile

        seen = os.getcwd()
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        os.rmdir(folder)
        return seen

    assert [told.value for told in work(vanish, [{}] * 3)] == [os.getcwd()] * 3


def test_an_alarm_does_not(work):
    def ring(after_s: float):
        import signal
        import time

        time.sleep(after_s)
        signal.setitimer(signal.ITIMER_REAL, 1.0)  # long enough for a slow machine to end the run before it rings

    assert {told.status for told in work(ring, [{"after_s": after_s} for after_s in (0, 1.2)])} == {RunStatus.SUCCEEDED}


def test_a_thread_that_still_runs_the_udfs_code_does_not(work, eventually):
    def leave_thread(how: str):
        import os
        import threading
        import time

        def go_on():
            while True:
                time.sleep(0.01)

        if how == "thread":
            threading.Thread(target=go_on).start()
        elif how == "timer":
            threading.Timer(30, go_on).start()
        return os.getpid()

    told = work(leave_thread, [{"how": how} for how in ("", "thread", "", "timer", "")])
    pids = [one.value for one in told]
    assert pids[0] == pids[1]
    assert pids[2] == pids[3]
    assert len(set(pids)) == 3
    eventually(lambda: all(is_gone(pid) for pid in pids[:4]))


def test_an_idle_thread_of_a_library_is_no_reason_for_a_new_process(work):
    def use_library():
        import concurrent.futures
        import os
        import queue
        import threading

        def idle():
            pass

        del idle
        threading.Thread(target=queue.Queue().get, daemon=True).start()
        executor = concurrent.futures.ThreadPoolExecutor(2)
        executor.submit(os.getpid).result()
        return os.getpid()

    assert len({told.value for told in work(use_library, [{}] * 4)}) == 1


@pytest.mark.parametrize("how", ["child", "session", "daemon", "fork"])
def test_children_that_outlive_their_run_are_ended(work, eventually, tmp_path, how):
    def leave_child(how: str, path: str):
        import os
        import subprocess
        import sys
        import time

        program = "import time; time.sleep(60)"
        if how == "child":
            pid = subprocess.Popen([sys.executable, "-c", program]).pid
        elif how == "session":
            pid = subprocess.Popen([sys.executable, "-c", program], start_new_session=True).pid
        elif how == "daemon":
            if not os.fork():
                os.setsid()
                if not os.fork():
                    with open(path + ".new", "w") as file:
                        file.write(str(os.getpid()))
                    os.rename(path + ".new", path)
                    time.sleep(60)
                os._exit(0)
            os.wait()
            while not os.path.exists(path):
                time.sleep(0.01)
            with open(path) as file:
                pid = int(file.read())
        elif how == "fork":
            pid = os.fork()
            if not pid:
                time.sleep(60)
        return [pid, os.getpid()]

    (told,) = work(leave_child, [{"how": how, "path": str(tmp_path / "pid")}])
    child, worker = told.value
    eventually(lambda: is_gone(child) and is_gone(worker))


def test_a_forked_child_that_returns_answers_nobody(work, tmp_path):
    def fork(path: str):
        import os

        child = os.fork()
        if child:
            os.waitpid(child, 0)
        else:
            print("the child prints", flush=True)
        return "parent" if child else "child"

    told = work(fork, [{"path": str(tmp_path)}] * 20, workers=2)
    assert [one.value for one in told] == ["parent"] * 20
    assert [one.printed for one in told] == ["the child prints\n"] * 20


def test_modules_stay_imported_and_the_process_stays_the_same(work):
    def look():
        import os
        import sys

        had = "wave" in sys.modules
        import wave  # noqa: F401

        return [os.getpid(), had]

    told = work(look, [{}] * 3)
    assert [one.value[1] for one in told] == [False, True, True]
    assert len({one.value[0] for one in told}) == 1


def test_the_callers_own_main_module_is_not_imported_again(work):
    def look():
        import sys

        return [sys.argv[0], "pytest" in sys.modules]

    (told,) = work(look)
    assert told.value == ["-c", False]
    assert "pytest" in sys.modules


def _seen_after(work, change, look):
    """What a run of another UDF sees, in the one worker there is, before and after `change` has run there."""
    (before,) = work(look)
    (changed,) = work(change)
    (after,) = work(look)
    assert changed.status is RunStatus.SUCCEEDED, changed.error
    assert before.status is after.status is RunStatus.SUCCEEDED, after.error
    return before.value, after.value


def look_at_builtins():
    return [sum([2, 2]), len("four"), "leaked" in dir(__builtins__)]


def patch_builtins():
    import builtins

    builtins.sum = lambda *_: 0
    builtins.len = lambda _: 0
    builtins.leaked = 1
    return builtins.len("x")


def patch_builtins_without_an_import():
    print.__self__.sum = lambda *_: 0


@pytest.mark.parametrize("patch", [patch_builtins, patch_builtins_without_an_import])
def test_builtins_that_a_run_has_replaced_do_not(work, patch):
    before, after = _seen_after(work, patch, look_at_builtins)
    assert before == after == [4, 4, False]


def look_at_modules():
    import json
    import os.path
    import random

    return [json.dumps({}), os.path.join("a", "b"), random.choice([1])]


def patch_modules():
    import json
    import os.path

    json.dumps = lambda *_: "patched"
    os.path.join = lambda *_: "patched"


def patch_a_module_as_it_is_first_imported():
    import random

    random.choice = lambda _: "patched"


def stand_in_for_a_module():
    import json  # noqa: F401
    import sys
    import types

    sys.modules["json"] = types.ModuleType("json")


@pytest.mark.parametrize("patch", [patch_modules, patch_a_module_as_it_is_first_imported, stand_in_for_a_module])
def test_functions_of_modules_that_a_run_has_replaced_do_not(work, patch):
    (_,) = work(patch)
    (after,) = work(look_at_modules)
    assert after.value == ["{}", "a/b", 1]


def look_at_settings():
    import decimal
    import gc
    import locale
    import multiprocessing
    import os
    import resource
    import signal
    import socket
    import sys
    import time
    import warnings

    mask = os.umask(0)
    os.umask(mask)
    return [
        str(decimal.Decimal(1) / 3),
        gc.isenabled(),
        locale.setlocale(locale.LC_ALL),
        mask,
        list(resource.getrlimit(resource.RLIMIT_FSIZE)),
        list(resource.getrlimit(resource.RLIMIT_NOFILE)),
        str(signal.getsignal(signal.SIGTERM)),
        len(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
        sys.getrecursionlimit(),
        sys.gettrace() is None,
        time.localtime(0).tm_hour,
        len(warnings.filters),
        sys.get_int_max_str_digits(),
        socket.getdefaulttimeout(),
        multiprocessing.get_start_method(allow_none=True),
        list(gc.get_threshold()),
        len(os.sched_getaffinity(0)),
    ]


def change_settings():
    import decimal
    import gc
    import locale
    import multiprocessing
    import os
    import resource
    import signal
    import socket
    import sys
    import time
    import warnings

    decimal.getcontext().prec = 2
    gc.disable()
    locale.setlocale(locale.LC_ALL, "C" if locale.setlocale(locale.LC_ALL) != "C" else "C.UTF-8")
    os.umask(0o777)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    sys.setrecursionlimit(200)
    sys.settrace(lambda *_: None)
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    warnings.simplefilter("error")
    sys.set_int_max_str_digits(700)
    socket.setdefaulttimeout(1)
    multiprocessing.set_start_method("spawn")
    gc.set_threshold(7)
    os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])


def test_settings_of_the_whole_process_do_not(work):
    before, after = _seen_after(work, change_settings, look_at_settings)
    assert before == after


@pytest.mark.parametrize("library", ["pydantic", "polars", "unittest.mock", "matplotlib.pyplot", "concurrent.futures"])
def test_what_libraries_do_as_they_are_imported_costs_no_new_process(work, library):
    def use(library: str):
        import concurrent.futures
        import importlib
        import os
        import sys
        import typing
        import unittest.mock
        import warnings

        importlib.import_module(library)
        with unittest.mock.patch("os.getcwd"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
        sys.excepthook = print
        concurrent.futures.ThreadPoolExecutor(1).submit(typing.get_origin, list[int]).result()
        return os.getpid()

    assert len({told.value for told in work(use, [{"library": library}] * 3)}) == 1


def test_a_seed_does_not(work):
    def seed():
        import random

        random.seed(1)

    def draw():
        import random

        return random.random()

    (_,), (first,), (_,), (second,) = work(seed), work(draw), work(seed), work(draw)
    assert first.value != second.value


def test_a_limit_on_files_that_a_run_sets_for_itself_is_no_full_disk(work):
    def limit_files():
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (1, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
        return b"x" * 100_000

    (told,) = work(limit_files)
    assert told.status is RunStatus.SUCCEEDED
    assert len(told.value) == 100_000


def test_settings_that_can_be_put_back_cost_no_new_process(work):
    def change():
        import decimal
        import multiprocessing
        import os
        import sys
        import warnings

        decimal.getcontext().prec = 2
        os.umask(0)
        sys.setrecursionlimit(2_000)
        multiprocessing.set_start_method("spawn")
        warnings.simplefilter("ignore")
        return os.getpid()

    assert len({told.value for told in work(change, [{}] * 4)}) == 1
