"""`fanfold.Executor` is a `concurrent.futures.Executor`: what code that takes one expects of it."""

from __future__ import annotations

import concurrent.futures as cf
import contextlib
import datetime
import enum
import functools
import importlib.util
import json
import math
import multiprocessing
import os
import pickle
import random
import re
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from concurrent.futures.process import BrokenProcessPool
from typing import ClassVar

import jinja2
import pytest

import fanfold
from fanfold.api import pickling


def scaled(x: int, by: int = 2):
    return x * by


def odd_only(x: int):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


def held(x: int, flag: str):
    import pathlib
    import time

    while not pathlib.Path(flag).exists():
        time.sleep(0.01)
    return x


@pytest.fixture
def executor():
    with fanfold.Executor() as executor:
        yield executor


def test_it_is_one(executor):
    assert isinstance(executor, cf.Executor)


def test_arguments_go_by_position_and_by_name(executor):
    assert executor.submit(scaled, 2, by=5).result() == 10
    assert executor.submit(scaled, 2, 5).result() == 10


def test_map_keeps_the_order(executor):
    assert list(executor.map(scaled, range(50), [3] * 50)) == [3 * x for x in range(50)]


def test_functions_that_are_not_written_in_python_go_by_name(executor):
    assert executor.submit(math.sqrt, 16).result() == 4
    assert executor.submit(max, 3, 5).result() == 5
    assert executor.submit(int, "12", base=8).result() == 10


@pytest.mark.parametrize(
    ("method", "arguments", "result"),
    [
        ("x y".split, (" ",), ["x", "y"]),
        ({"a": 1}.get, ("a",), 1),
        ((5).__add__, (2,), 7),
        (dict.fromkeys, ([1],), {1: None}),
        (str.upper, ("a",), "A"),
    ],
)
def test_the_object_of_a_builtin_method_goes_along(executor, method, arguments, result):
    assert executor.submit(method, *arguments).result() == result


def test_a_method_of_an_object_that_nobody_sees_goes_by_its_own_name(executor):
    assert 0 <= executor.submit(random.random).result() < 1


def test_udfs_are_functions_too(executor):
    assert executor.submit(fanfold.udf(scaled), 4).result() == 8


def test_each_call_is_made_even_where_an_equal_one_was(executor):
    def unique(x: int):
        import uuid

        return str(uuid.uuid4())

    assert executor.submit(unique, 1).result() != executor.submit(unique, 1).result()


def test_results_are_kept_where_that_is_asked_for():
    for counts in ({"succeeded": 1}, {"cached": 1}):
        with fanfold.Executor(cache=True) as executor:
            assert executor.submit(scaled, 2).result() == 4
        assert fanfold.get_jobs(limit=1)[0].counts() == counts


def test_a_call_leaves_no_job_behind(executor):
    executor.submit(scaled, 1).result(timeout=60)
    assert fanfold.get_jobs() == []


@pytest.mark.parametrize("calls", [20, 200])
def test_calls_of_one_function_that_come_together_make_one_job_where_they_are_kept(calls):
    with fanfold.Executor(cache=True) as executor:
        futures = [executor.submit(scaled, x) for x in range(calls)]
        assert [future.result(timeout=60) for future in futures] == [2 * x for x in range(calls)]
    jobs = fanfold.get_jobs()
    assert sum(len(job) for job in jobs) == calls
    assert len(jobs) < 20


def test_a_call_that_does_not_fit_its_job_fails_alone():
    with fanfold.Executor(cache=True) as executor:
        futures = [executor.submit(scaled, x) for x in [1, 2, "three", 4]]
        assert isinstance(futures[2].exception(timeout=60), fanfold.InputError)
        assert [futures[x].result(timeout=60) for x in (0, 1, 3)] == [2, 4, 8]


# What a call raises.


class OfItsOwn(Exception):
    def __init__(self, code, *, detail):
        super().__init__(f"code {code}")
        self.detail = detail


def raise_own(code):
    raise OfItsOwn(code, detail=[1, 2])


def test_the_original_error_is_raised_with_type_and_arguments(executor):
    with pytest.raises(ZeroDivisionError, match="division"):
        executor.submit(divmod, 1, 0).result(timeout=60)
    with pytest.raises(KeyError) as caught:
        executor.submit({}.__getitem__, "absent").result(timeout=60)
    assert caught.value.args == ("absent",)


def test_an_error_class_that_does_not_take_its_own_arguments_arrives_whole(executor):
    with pytest.raises(OfItsOwn, match="code 7") as caught:
        executor.submit(raise_own, 7).result(timeout=60)
    assert caught.value.detail == [1, 2]


class Coded(Exception):
    def __init__(self, text, code=3):
        super().__init__(f"[{code}] {text}")
        self.code = code


class Keyed(Exception):
    def __init__(self, *, key):
        super().__init__(f"no {key}")
        self.key = key


def coded_with_notes():
    error = Coded("late", code=7)
    error.__notes__ = ["of Monday"]
    raise error


def keyed():
    raise Keyed(key="a")


def test_an_error_whose_init_changes_its_arguments_arrives_as_it_was_raised(executor):
    changed, keyed_error = executor.submit(coded_with_notes).exception(), executor.submit(keyed).exception()
    assert (str(changed), changed.args, changed.code) == ("[7] late", ("[7] late",), 7)
    assert changed.__notes__ == ["of Monday"]
    assert (type(keyed_error).__name__, keyed_error.args, keyed_error.key) == ("Keyed", ("no a",), "a")


def test_the_cause_of_an_error_is_its_traceback_over_there(executor):
    error = executor.submit(raise_own, 7).exception(timeout=60)
    assert "raise OfItsOwn(code, detail=[1, 2])" in str(error.__cause__)


def test_arguments_that_a_function_does_not_take_are_its_own_error(executor):
    with pytest.raises(TypeError, match="unexpected keyword"):
        executor.submit(scaled, 1, of=2).result(timeout=60)


def test_what_cannot_be_pickled_is_told_by_the_future(executor):
    lock = threading.Lock()
    assert isinstance(executor.submit(lambda: lock).exception(timeout=60), TypeError)
    assert isinstance(executor.submit(threading.Lock).exception(timeout=60), TypeError)
    assert executor.submit(scaled, 2).result(timeout=60) == 4


def test_a_result_that_does_not_unpickle_is_told_by_the_future_and_harms_no_other(executor):
    future = executor.submit(unreadable)
    with pytest.raises(BrokenProcessPool, match="nobody reads this"):
        future.result(timeout=60)
    assert executor.submit(scaled, 2).result(timeout=60) == 4


class Exits:
    def __reduce__(self):
        sys.exit(0)


def test_what_would_end_this_program_while_it_is_pickled_is_refused(executor):
    with pytest.raises(pickle.PicklingError, match="cannot pickle 'tuple' object: SystemExit: 0"):
        executor.submit(scaled, Exits()).result(timeout=60)
    assert executor.submit(scaled, 2).result(timeout=60) == 4


class Raises:
    def __reduce__(self):
        return exec, ("raise LookupError('nobody reads this')",)


def unreadable():
    return Raises()


def dying(flag):
    while not os.path.exists(flag):
        time.sleep(0.01)
    os._exit(3)


def test_a_worker_that_dies_breaks_the_executor_for_all_its_calls(tmp_path):
    with fanfold.Executor(1) as executor:
        futures = [executor.submit(dying, tmp_path / "both are there"), executor.submit(scaled, 1)]
        (tmp_path / "both are there").touch()
        for future in futures:
            with pytest.raises(BrokenProcessPool, match="exit code 3"):
                future.result(timeout=60)
        with pytest.raises(BrokenProcessPool):
            executor.submit(scaled, 1)


# What may be called.


def test_lambdas_closures_partials_and_bound_methods_are_called(executor):
    by = 3
    calls = [lambda x: x * by, functools.partial(scaled, by=3), Scaler(3).scale, Scaler(3)]
    assert [executor.submit(call, 2).result(timeout=60) for call in calls] == [6, 6, 6, 6]


class Scaler:
    def __init__(self, by):
        self.by = by

    def scale(self, x):
        return x * self.by

    __call__ = scale


@functools.cache
def remembered(x):
    return x + 1


def test_classes_and_remembering_functions_of_one_s_own_are_called(executor):
    made = executor.submit(Scaler, 4).result(timeout=60)
    assert type(made) is Scaler
    assert made.by == 4
    assert executor.submit(remembered, 1).result(timeout=60) == 2


@pytest.mark.parametrize("call", ["Point", "cached", "lambda x: Point(x)"])
def test_what_a_script_s_main_defines_is_called_and_comes_back_as_itself(tmp_path, call):
    script = tmp_path / "script.py"
    script.write_text(
        "import functools, fanfold\n"
        "class Point:\n"
        "    def __init__(self, x): self.x = x\n"
        "@functools.cache\n"
        "def cached(x): return Point(x)\n"
        "if __name__ == '__main__':\n"
        "    with fanfold.Executor(1) as executor:\n"
        f"        made = executor.submit({call}, 5).result()\n"
        "    assert type(made) is Point and made.x == 5\n"
    )
    subprocess.run([sys.executable, str(script)], check=True, timeout=60)


@pytest.mark.parametrize("function", [json.loads, os.path.exists, textwrap.dedent, re.escape])
def test_functions_of_installed_modules_are_called_by_name(executor, function):
    assert executor.submit(function, "0").result(timeout=60) == function("0")


def test_modules_that_only_this_process_can_import_go_along(executor, tmp_path):
    spec = importlib.util.spec_from_file_location("nowhere_on_the_path", tmp_path / "elsewhere.py")
    (tmp_path / "elsewhere.py").write_text("base = 10\ndef add(x): return base + x\n")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
        assert executor.submit(module.add, 1).result(timeout=60) == 11
    finally:
        del sys.modules[spec.name]


def test_modules_of_the_project_are_found(executor, tmp_path, monkeypatch):
    (tmp_path / "of_the_project.py").write_text("def triple(x): return 3 * x\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("of_the_project")
    monkeypatch.delitem(sys.modules, "of_the_project")
    monkeypatch.setitem(sys.modules, "of_the_project", module)
    assert executor.submit(module.triple, 2).result(timeout=60) == 6


class Parser:
    base = 10

    @classmethod
    def parse(cls, text):
        return cls.base + int(text)


def test_class_methods_are_called_by_their_class_s_name(executor):
    error = executor.submit(Parser.parse, "x").exception(timeout=60)
    assert __file__ in str(error.__cause__)
    assert executor.submit(Parser.parse, "1").result(timeout=60) == 11


def test_a_traceback_names_the_file_of_a_function_that_went_along(executor):
    error = executor.submit(lambda: 1 / 0).exception(timeout=60)
    assert __file__ in str(error.__cause__)


def test_functions_that_dispatch_by_type_go_along(executor):
    @functools.singledispatch
    def kind(x):
        return "any"

    kind.register(int, lambda x: "int")
    assert kind(1) == "int"
    assert executor.submit(kind, 1).result(timeout=60) == "int"


def put(queue, value):
    queue.put(value)


def closures():
    total = 0

    def add(x):
        nonlocal total
        total += x

    return add, lambda: total


ADD, TOTAL = closures()


def add_here_and_read_there(x):
    ADD(x)
    return TOTAL()


class Registered:
    names: ClassVar[list[str]] = []

    def __init_subclass__(cls, *, name, **more):
        super().__init_subclass__(**more)
        Registered.names.append(name)


class Noting(type):
    made: ClassVar[list[str]] = []

    def __new__(cls, name, bases, members):
        cls.made.append(name)
        return super().__new__(cls, name, bases, members)


class Planet(enum.Enum):
    EARTH = (5.97, 6.37)
    HOME = EARTH

    def __init__(self, mass, radius):
        self.radius = radius


class Day(datetime.date):
    pass


def test_classes_and_closures_of_a_script_are_what_they_are(executor, monkeypatch):
    """As in a script, whose classes go along: none is made a second time, and what two functions share stays one."""

    class First(Registered, name="first"):
        class Inner:
            pass

    class Noted(metaclass=Noting):
        pass

    monkeypatch.setattr(pickling, "_is_importable", lambda name: name != __name__)
    assert executor.submit(add_here_and_read_there, 3).result() == 3
    assert executor.submit(lambda: (First, Registered.names)[1]).result() == ["first"]
    assert executor.submit(lambda: (Noted, Noting.made)[1]).result() == ["Noted"]
    assert executor.submit(lambda: First.Inner.__qualname__).result() == First.Inner.__qualname__
    assert executor.submit(lambda: (Planet.EARTH.radius, Planet.HOME is Planet.EARTH)).result() == (6.37, True)
    day = Day(2020, 1, 2)
    day.note = "a holiday"
    assert executor.submit(lambda: day.note).result() == "a holiday"


def test_a_result_leaves_the_classes_of_its_reader_as_they_are(executor, monkeypatch):
    monkeypatch.setattr(pickling, "_is_importable", lambda name: name != __name__)
    before = dict(vars(Registered))
    assert executor.submit(lambda: Planet.HOME).result() is Planet.EARTH
    assert type(executor.submit(Registered).result()) is Registered
    assert dict(vars(Registered)) == before

    def local():
        class Local:
            def twice(self):
                return 2 * self.n

        made = Local()
        made.n = 2
        return made

    assert executor.submit(local).result().twice() == 4


def test_queues_of_a_manager_are_shared_with_calls(executor):
    with multiprocessing.get_context("spawn").Manager() as manager:
        queue = manager.Queue()
        executor.submit(put, queue, 5).result(timeout=60)
        assert queue.get(timeout=10) == 5


# What is kept.


def big(_):
    import numpy as np

    return np.zeros(1_000_000)


def test_a_result_that_was_consumed_is_let_go(executor):
    for result in executor.map(big, range(3)):
        gone = weakref.ref(result)
        del result
        assert gone() is None


def test_arguments_and_functions_are_let_go_once_they_were_sent(executor):
    scaler = Scaler(2)
    gone = weakref.ref(scaler)
    assert executor.submit(scaler.scale, 2).result(timeout=60) == 4
    del scaler
    assert gone() is None


def test_large_arrays_arrive_as_they_are_and_can_be_changed(executor):
    import numpy as np

    array = np.arange(100_000.0)
    back = executor.submit(changed, array).result(timeout=60)
    assert back[0] == -1
    assert array[0] == 0
    back[1] = 5
    frozen = np.arange(100_000.0)
    frozen.setflags(write=False)
    assert not executor.submit(changed, frozen, at=None).result(timeout=60).flags.writeable


def changed(array, at=0):
    if at is not None:
        array[at] = -1
    return array


# What an executor is made of.


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_at_all_are_refused(workers):
    with pytest.raises(ValueError, match="max_workers must be greater than 0"):
        fanfold.Executor(workers)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"max_worker": 3}, "max_worker"),
        ({"plan": True}, "plan"),
        ({"debug_mode": True}, "debug_mode"),
        ({"collect": True}, "collect"),
        ({"max_workers": 2.5}, "max_workers"),
        ({"initializer": 5}, "callable"),
        ({"initializer": print, "initargs": [1]}, "tuple"),
        ({"mp_context": "fork"}, "mp_context"),
    ],
)
def test_options_that_it_does_not_have_are_refused_by_name(options, words):
    with pytest.raises(TypeError, match=words):
        fanfold.Executor(**options)


def test_a_context_whose_processes_are_forks_is_refused():
    with pytest.raises(ValueError, match="spawn"):
        fanfold.Executor(mp_context=multiprocessing.get_context("fork"))
    fanfold.Executor(mp_context=multiprocessing.get_context("spawn")).shutdown()


def test_an_engine_that_there_is_not_is_refused():
    with pytest.raises(fanfold.ConfigurationError, match="nope"):
        fanfold.Executor(engine="nope")


STATUS = "none"


def prepare(status):
    globals()["STATUS"] = status


def status():
    return STATUS


def test_the_initializer_is_called_in_each_worker_first():
    with fanfold.Executor(2, initializer=prepare, initargs=("ready",)) as executor:
        assert {executor.submit(status).result(timeout=60) for _ in range(4)} == {"ready"}
    with fanfold.Executor(2) as executor:
        assert executor.submit(status).result(timeout=60) == "none"


def fail_to_prepare():
    raise ValueError("no licence")


def test_an_initializer_that_fails_breaks_the_executor():
    with fanfold.Executor(1, initializer=fail_to_prepare) as executor:
        with pytest.raises(BrokenProcessPool, match="initializer raised ValueError: no licence"):
            executor.submit(status).result(timeout=60)
        with pytest.raises(BrokenProcessPool):
            executor.submit(status)


def test_a_call_may_have_a_time_limit():
    with fanfold.Executor(1, timeout_s=0.3) as executor, pytest.raises(BrokenProcessPool, match=r"0\.3 s"):
        executor.submit(time.sleep, 60).result(timeout=60)


def test_more_workers_than_cores_are_at_work_at_once(tmp_path):
    with fanfold.Executor(4) as executor:
        assert executor._max_workers == 4
        assert list(executor.map(meet, [str(tmp_path)] * 4, range(4), timeout=60)) == [4] * 4


def meet(folder, me):
    import pathlib
    import time

    pathlib.Path(folder, str(me)).touch()
    deadline = time.monotonic() + 50
    while len(list(pathlib.Path(folder).iterdir())) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(list(pathlib.Path(folder).iterdir()))


# map


def test_map_takes_chunks_and_keeps_the_order(executor):
    assert list(executor.map(pow, range(40), range(40), chunksize=6)) == list(map(pow, range(40), range(40)))
    with pytest.raises(ValueError, match="chunksize"):
        executor.map(pow, [1], [1], chunksize=-1)


def test_map_takes_no_more_inputs_than_its_buffer_has_room_for(executor):
    taken = []
    results = executor.map(scaled, (taken.append(x) or x for x in range(10)), buffersize=3)
    assert len(taken) == 3
    assert next(results) == 0
    assert len(taken) == 4
    assert list(results) == [2 * x for x in range(1, 10)]
    with pytest.raises(ValueError, match="buffersize"):
        executor.map(scaled, [1], buffersize=0)


def test_map_gives_up_after_its_timeout(executor):
    with pytest.raises(cf.TimeoutError):
        list(executor.map(time.sleep, [0, 2], timeout=0.5))


# What is printed, and the end.


def say(text):
    print(text)


def test_what_a_call_prints_is_printed_here(executor, capsys, eventually):
    executor.submit(say, "hello from there").result(timeout=60)
    eventually(lambda: "hello from there" in capsys.readouterr().out)


def test_calls_that_are_made_while_python_ends_are_refused(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import atexit, fanfold\n"
        "executor = fanfold.Executor(1)\n"
        "def last():\n"
        "    try: executor.submit(id, None)\n"
        "    except RuntimeError as error: print(error)\n"
        "atexit.register(last)\n"
        "executor.submit(id, 1).result()\n"
        "atexit.register(last)\n"
    )
    done = subprocess.run([sys.executable, str(script)], check=True, timeout=60, capture_output=True, text=True)
    assert done.stdout.count("cannot schedule new futures after interpreter shutdown") == 2


def test_a_call_may_make_calls_of_its_own(executor):
    assert executor.submit(nested, 3).result(timeout=60) == 6


def nested(x):
    import fanfold

    with fanfold.Executor(1) as executor:
        return executor.submit(scaled, x).result(timeout=50)


def test_as_completed_and_wait_work(executor):
    futures = {executor.submit(scaled, x): x for x in range(10)}
    assert {futures[future]: future.result() for future in cf.as_completed(futures, timeout=30)} == {
        x: 2 * x for x in range(10)
    }
    assert not cf.wait(futures, timeout=30).not_done


def test_what_has_not_begun_can_be_cancelled(tmp_path, eventually):
    flag = tmp_path / "flag"
    with fanfold.Executor(max_workers=1) as executor:
        futures = [executor.submit(held, x, str(flag)) for x in range(5)]
        first = eventually(lambda: next((future for future in futures if future.running()), None))
        others = [future for future in futures if future is not first]
        assert not first.cancel()
        assert all(future.cancel() for future in others)
        flag.touch()
        assert first.result() == futures.index(first)
        assert all(future.cancelled() for future in others)


def test_shutdown_may_leave_out_what_has_not_begun(tmp_path, eventually):
    flag = tmp_path / "flag"
    executor = fanfold.Executor(max_workers=1)
    futures = [executor.submit(held, x, str(flag)) for x in range(5)]
    eventually(lambda: any(future.running() for future in futures))
    executor.shutdown(wait=False, cancel_futures=True)
    flag.touch()
    executor.shutdown()
    assert sorted(future.cancelled() for future in futures) == [False, True, True, True, True]


def test_after_shutdown_nothing_is_taken():
    executor = fanfold.Executor()
    future = executor.submit(scaled, 1)
    executor.shutdown()
    assert future.result(timeout=0) == 2
    with pytest.raises(RuntimeError, match="shut down"):
        executor.submit(scaled, 1)


def test_options_are_those_of_submit():
    with fanfold.Executor(instance_type="small") as executor:
        assert executor.submit(scaled, 2).result() == 4
    assert fanfold.get_jobs(limit=1)[0].header.instance_type == "small"


def test_a_script_that_forgets_to_wait_gets_its_work_done(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import fanfold\n"
        "def note(path: str):\n"
        "    open(path, 'w').close()\n"
        f"fanfold.Executor().submit(note, {str(tmp_path / 'noted')!r})\n"
    )
    subprocess.run([sys.executable, str(script)], check=True, timeout=60, capture_output=True)
    assert (tmp_path / "noted").exists()


class _ByItsName:
    """Goes to pickle by its own name, as a function behind a cache of cachetools does."""

    def __init__(self, fn):
        functools.update_wrapper(self, fn)
        self.known = {}

    def __reduce__(self):
        return self.__qualname__

    def __call__(self, x):
        return self.known.setdefault(x, self.__wrapped__(x))


def test_what_pickle_knows_by_a_name_that_this_process_alone_has_goes_along(executor):
    @_ByItsName
    def twice(x):
        return 2 * x

    assert executor.submit(twice, 2).result() == 4
    assert executor.submit(lambda x: (twice(x), twice.known), 3).result() == (6, {3: 6})


def test_what_pickle_knows_by_another_name_of_its_module_is_that_very_object_there(executor, tmp_path, monkeypatch):
    text = "class Missing:\n    def __reduce__(self):\n        return 'MISSING'\n\n\nMISSING = Missing()\n"
    (tmp_path / "with_missing.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with_missing = importlib.import_module("with_missing")
    there = executor.submit(lambda value: (value is with_missing.MISSING, value), with_missing.MISSING).result()
    assert there == (True, with_missing.MISSING)


def test_a_template_of_jinja_goes_along(executor):
    pages = jinja2.Environment(loader=jinja2.DictLoader({"page": "page {{ y|twice }}"}))
    pages.filters["twice"] = lambda value: value * 2
    page, plain = pages.get_template("page"), jinja2.Template("hi {{ x|upper }}")
    there = executor.submit(lambda: (plain.render(x="k"), page.render(y=2), page.environment is pages)).result()
    assert there == ("hi K", "page 4", True)


class _MethodByItsClass:
    """Goes to pickle by the class that holds it, as a method with a cache of cachetools does."""

    def __init__(self, fn):
        self.__wrapped__ = fn
        self.owner = self.name = None

    def __set_name__(self, owner, name):
        self.owner, self.name = owner, name

    def __reduce__(self):
        return self.found, (self.owner, self.name)

    @staticmethod
    def found(owner, name):
        return owner.__dict__[name]

    def __get__(self, obj, kind=None):
        return self if obj is None else lambda x: obj.known.setdefault(x, self.__wrapped__(obj, x))


def test_a_method_that_pickle_knows_by_its_class_goes_along_with_it(executor):
    class Model:
        def __init__(self):
            self.known = {}

        @_MethodByItsClass
        def twice(self, x):
            return 2 * x

    model = Model()
    assert executor.submit(lambda: (model.twice(2), model.known, Model.twice.owner is Model)).result() == (
        4,
        {2: 4},
        True,
    )


def test_a_function_that_a_context_manager_decorates_goes_along(executor):
    @contextlib.contextmanager
    def timer(log):
        log.append("in")
        yield log
        log.append("out")

    log = []
    decorated, entered = timer(log)(lambda x: (x, list(log))), timer([])
    assert executor.submit(decorated, 1).result() == (1, ["in"])
    with entered, pytest.raises(Exception, match="it has been entered"):
        executor.submit(lambda: entered).result()


def own_pid(_):
    return os.getpid()


@pytest.mark.parametrize(("most", "workers"), [(2, 3), (1, 5), (None, 1)])
def test_a_worker_is_replaced_after_as_many_calls_as_it_may_make(most, workers):
    with fanfold.Executor(1, max_tasks_per_child=most) as executor:
        pids = list(executor.map(own_pid, range(5)))
    assert len(set(pids)) == workers


@pytest.mark.parametrize(("most", "kind"), [(0, ValueError), ("2", TypeError), (True, TypeError)])
def test_a_worker_of_no_calls_is_refused(most, kind):
    with pytest.raises(kind, match="max_tasks_per_child must be"):
        fanfold.Executor(1, max_tasks_per_child=most)
