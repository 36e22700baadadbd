"""What `fanfold.Executor` may call, what goes along with it, and what is let go afterwards."""

from __future__ import annotations

import contextlib
import datetime
import enum
import functools
import importlib.util
import json
import multiprocessing
import os
import re
import subprocess
import sys
import textwrap
import weakref
from typing import ClassVar

import jinja2
import pytest

from fanfold.api import pickling


def scaled(x: int, by: int = 2):
    return x * by


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
        assert queue.get(timeout=60) == 5


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
