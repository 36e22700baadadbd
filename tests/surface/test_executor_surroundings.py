"""What a call of an Executor finds in its worker: modules and libraries as the submitting process has them."""

from __future__ import annotations

import importlib
import math
import multiprocessing
import subprocess
import sys
import textwrap
import threading
import types
from concurrent.futures import Future
from contextvars import ContextVar
from functools import cached_property
from pathlib import Path
from typing import NewType
from unittest import mock

import pytest

import fanfold
from fanfold.core.futures import begin
from fanfold.engines.local import call_pool
from fanfold.engines.local.call_pool import OpenFeed
from fanfold.errors import CaptureError
from fanfold.execution.calls import Assignment
from fanfold.execution.worker.carried import MOST_SESSIONS
from fanfold.settings import current

LIBRARY = """
import json, types
limit = 1
settings = types.SimpleNamespace(depth=1)
table = {"a": 1}
also_table = table
registry = []

def price(x, by=1): return x * limit * by
def other(x): return -x
def written(x): return json.dumps(x)
def total(x): return price(x) + settings.depth + also_table.get("b", 0)
def register(function): registry.append(function); return function

class Thing:
    size = 1
    def go(self): return "old"

class Settings:
    def __init__(self): self.depth = 1
own_settings = Settings()
"""

#: Where a change is made, and a call that shows it.
CHANGES = {
    "a number": (lambda lib: setattr(lib, "limit", 9), lambda lib: lib.price(2), 18),
    "an object": (lambda lib: setattr(lib.settings, "depth", 5), lambda lib: lib.total(2), 7),
    "one of its own class": (lambda lib: setattr(lib.own_settings, "depth", 5), lambda lib: lib.own_settings.depth, 5),
    "a dict by another of its names": (lambda lib: lib.table.update(b=10), lambda lib: lib.total(2), 13),
    "a registry": (lambda lib: lib.register(lib.other), lambda lib: lib.registry[0](3), -3),
    "a function": (lambda lib: setattr(lib, "price", lib.other), lambda lib: lib.total(2), -1),
    "a function by one of ours": (lambda lib: setattr(lib, "price", lambda x: 50), lambda lib: lib.total(2), 51),
    "a function's code": (lambda lib: setattr(lib.price, "__code__", lib.other.__code__), lambda lib: lib.price(2), -2),
    "a default": (lambda lib: setattr(lib.price, "__defaults__", (7,)), lambda lib: lib.price(2), 14),
    "a method": (lambda lib: setattr(lib.Thing, "go", lambda self: "new"), lambda lib: lib.Thing().go(), "new"),
    "an attribute of a class": (lambda lib: setattr(lib.Thing, "size", 4), lambda lib: lib.Thing.size, 4),
    "a name that it did not have": (lambda lib: setattr(lib, "added", 7), lambda lib: lib.added, 7),
}  # fmt: skip


@pytest.fixture
def executor():
    with fanfold.Executor(max_workers=1) as executor:
        yield executor


@pytest.fixture
def lib(tmp_path, monkeypatch):
    name = f"library_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(LIBRARY)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module(name)
    sys.modules.pop(name, None)


def test_what_somebody_puts_into_builtins_between_two_calls_is_there_in_the_next(executor, monkeypatch):
    def call():
        return put_there_by_a_test(2)  # noqa: F821

    with pytest.raises(NameError):
        executor.submit(call).result()
    for by in (2, 3):
        monkeypatch.setattr("builtins.put_there_by_a_test", lambda x, by=by: by * x, raising=False)
        assert executor.submit(call).result() == 2 * by
    monkeypatch.delattr("builtins.put_there_by_a_test")
    with pytest.raises(NameError):
        executor.submit(call).result()


def test_a_module_s_names_are_what_they_are_here(executor, lib):
    pure = dict(vars(lib))
    wrong = []
    for what, (change, call, expected) in CHANGES.items():
        change(lib)
        got = executor.submit(call, lib).result()
        if got != expected:
            wrong.append((what, got))
        exec(compile(LIBRARY, lib.__file__, "exec"), vars(lib))
        for name in set(vars(lib)) - set(pure):
            delattr(lib, name)
    assert wrong == []


def test_what_was_changed_for_a_while_is_as_before_afterwards(executor, lib):
    with mock.patch.object(lib, "price", lib.other), mock.patch.dict(lib.table, b=1):
        assert executor.submit(lib.total, 2).result() == 0
    assert executor.submit(lib.total, 2).result() == 3


def test_what_calls_found_is_let_go_when_none_has_it_any_more_and_may_come_again(lib):
    def price(limit):
        lib.limit = limit
        return executor.submit(lib.price, 1)

    limits = [*range(20), 0, *range(20, 40)]
    with fanfold.Executor(2) as executor:
        together = [price(limit) for limit in limits]
        assert [future.result(timeout=60) for future in together] == limits
        assert [price(limit).result(timeout=60) for limit in limits] == limits
        kept = list(current().home.glob("scratch/pool-*/session-*"))
        assert len(kept) <= MOST_SESSIONS + 2


def test_a_call_that_is_just_taken_has_not_ended(monkeypatch):
    feed = OpenFeed(Assignment("job", Path("none"), Path("none")), 2, settle=lambda *_: None)
    for _ in range(2):
        feed.add(Future(), "0:")
    seen = []
    monkeypatch.setattr(call_pool, "begin", lambda future: seen.append(feed.added) or begin(future))
    taken = [feed.take(), feed.take()]
    assert [call.index for call in taken] == [1, 2]
    assert all(added >= 2 and not feed.has_ended_all(added) for added in seen)


def test_a_library_s_own_function_that_was_replaced_is_replaced_there(executor, lib, monkeypatch):
    import json

    monkeypatch.setattr(json, "dumps", lambda value: "replaced")
    assert executor.submit(lambda: json.dumps(1)).result() == "replaced"
    assert executor.submit(lib.written, 1).result() == "replaced"
    monkeypatch.undo()
    assert executor.submit(lambda: json.dumps(1)).result() == "1"


HELD = """
import weakref
class Lazy:
    "As flask's `request` outside of a request: whatever it is asked, it fails."
    def __getattribute__(self, name): raise RuntimeError("there is no request")
class Settings:
    "As Django's, before they are configured."
    def __getattr__(self, name): raise RuntimeError("not configured")
class Kept:
    @property
    def __dict__(self): raise RuntimeError("nothing to see")
class Registry:
    lazy = Lazy()
gone = Kept()
proxy = weakref.proxy(gone)
del gone
held = {"lazy": Lazy(), "proxy": proxy, "many": [Settings(), Kept()]}
lazy, settings, table = Lazy(), Settings(), {"n": 4}
def price(x): return x + table["n"]
"""


def test_a_module_may_hold_what_answers_no_question(executor, tmp_path, monkeypatch):
    name = f"holds_{tmp_path.name.replace('-', '_')}"
    (tmp_path / f"{name}.py").write_text(HELD)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(name)
    assert executor.submit(module.price, 1).result() == 5
    module.table["n"] = 9
    assert executor.submit(lambda x: -module.price(x), 1).result() == -10
    job = fanfold.submit(fanfold.udf(lambda x: -module.price(x)), [1], collect=False)
    assert job.results() == [-10]
    sys.modules.pop(name)


def test_a_replacement_that_cannot_go_along_is_refused_by_name(executor, lib):
    with (
        mock.patch.object(lib, "price"),
        pytest.raises(CaptureError, match=rf"{lib.__name__}.price has become a MagicMock"),
    ):
        executor.submit(lib.total, 2).result()
    lib.limit = threading.Lock()
    with pytest.raises(CaptureError, match="'limit'"):
        executor.submit(lambda: lib.limit).result()


def test_a_module_whose_file_was_edited_is_what_was_loaded_until_it_is_loaded_again(executor, lib):
    assert executor.submit(lib.total, 2).result() == 3
    with open(lib.__file__, "w") as file:
        file.write(LIBRARY.replace("return x * limit", "return 1000 * x"))
    assert executor.submit(lib.total, 2).result() == 3
    assert executor.submit(lambda: lib.price(4)).result() == 4
    importlib.reload(lib)
    assert executor.submit(lib.total, 2).result() == 2001


SCRIPT = """
import datetime, json, logging, os
import pandas as pd
import fanfold

pd.set_option("display.max_rows", 7)

@pd.api.extensions.register_dataframe_accessor("geoish")
class Geo:
    def __init__(self, frame): self._frame = frame
    def n(self): return len(self._frame)

class Base: ...
class One(Base): ...
class Two(One): ...

class FakeDate(datetime.date):
    @classmethod
    def today(cls): return cls(2020, 1, 1)
datetime.date = FakeDate

class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.seen = []
    def emit(self, record): self.seen.append(record.getMessage())

logging.getLogger("of.tests").addHandler(Kept())
for name in ("of.tests", "of.tests.below"):
    logging.getLogger(name).setLevel(logging.ERROR)
if pd is not None:
    pd.set_option("display.width", 99)

def logged():
    logger = logging.getLogger("of.tests")
    logger.warning("left out")
    logger.error("kept")
    return [each.seen for each in logger.handlers], pd.get_option("display.width")

def rows(): return pd.get_option("display.max_rows")
def n(): return pd.DataFrame({"a": [1]}).geoish.n()
def below(): return [c.__name__ for c in Base.__subclasses__() for c in (c, *c.__subclasses__())]
def today(): return datetime.date.today().replace(day=2).isoformat()

if __name__ == "__main__":
    with fanfold.Executor(max_workers=1) as executor:
        print(json.dumps([executor.submit(f).result() for f in (rows, n, below, today, logged)]))
"""


def test_what_a_script_has_set_up_is_set_up_there_and_classes_that_nobody_names_go_along(tmp_path):
    (tmp_path / "script.py").write_text(textwrap.dedent(SCRIPT))
    printed = subprocess.check_output([sys.executable, "script.py"], cwd=tmp_path, text=True, timeout=60)
    assert printed.strip() == '[7, 1, ["One", "Two"], "2020-01-02", [[["kept"]], 99]]'


LEVEL: ContextVar[int] = ContextVar("level", default=3)
Key = NewType("Key", int)
Key.__module__ = "__main__"  # as in a script


class Remembering:
    @cached_property
    def twice(self):
        return 2 * LEVEL.get()


Remembering.__module__ = "__main__"


def test_context_variables_new_types_cached_properties_and_read_only_mappings_go_along(executor):
    view = types.MappingProxyType({"a": 1})
    assert executor.submit(lambda: (LEVEL.get(), Key(2), Remembering().twice, view["a"])).result() == (3, 2, 6, 1)


def test_an_object_that_could_not_be_made_again_is_refused_before_it_is_sent(executor):
    class Template:
        def __new__(cls, source):
            return super().__new__(cls)

    with pytest.raises(Exception, match="Template' object: it does not say"):
        executor.submit(type, Template("x")).result()
    assert executor.submit(abs, -1).result() == 1


def test_a_module_that_was_made_by_hand_and_slots_arrive_as_they_are(executor, monkeypatch):
    made = types.ModuleType("made")
    exec("rate = 3\ndef price(x):\n    return x * rate", made.__dict__)
    executor.submit(len, [made.price]).result()  # one that nobody can import yet
    monkeypatch.setitem(sys.modules, "made", made)
    assert executor.submit(made.price, 2).result() == 6
    assert executor.submit(lambda: made.rate).result() == 3

    class Point:
        __slots__ = "x"  # noqa: PLC0205

        def __init__(self):
            self.x = 1

    came_back = executor.submit(lambda point: (point, hasattr(point, "__dict__")), Point()).result()
    assert (came_back[0].x, came_back[1], type(came_back[0])) == (1, False, Point)


TYPES = """
type Json = dict[str, Json] | list[Json] | str
type Tree[T: Tree] = T | list[Tree[T]]
class Node[T: Node]:
    def get[U: (int, str)](self, given: U) -> T | U: return given
def said(x: Json = "a"):
    (T,), (U,), (V,) = Tree.__type_params__, Node.__type_params__, Node.get.__type_params__
    ones = Json.__value__.__args__[0].__args__[1] is Json is said.__annotations__["x"], T.__bound__ is Tree
    ones = *ones, Tree.__value__.__args__[0] is T, U.__bound__ is Node, Node().get(3)
    return *ones, V.__constraints__, Json.__module__
"""


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is of 3.12")
def test_types_of_a_script_that_contain_themselves_go_along(executor):
    namespace = {"__name__": "__main__"}
    exec(TYPES, namespace)
    assert executor.submit(namespace["said"]).result() == namespace["said"]()
    node, known_as = namespace["Node"], executor.submit(lambda kind: kind, namespace["Node"]).result()
    assert known_as is node
    alias = executor.submit(lambda alias: alias, namespace["Json"]).result()
    assert alias.__value__.__args__[1].__args__[0] is alias


def factorials(method):
    with multiprocessing.get_context(method).Pool(2) as processes:
        return processes.map(math.factorial, range(4))


def test_a_call_may_start_processes_of_its_own():
    with fanfold.Executor(max_workers=1) as executor:
        for method in ("fork", "spawn", "forkserver"):
            assert executor.submit(factorials, method).result(timeout=60) == [1, 1, 2, 6]


def test_a_ufunc_of_one_s_own_goes_there_and_back(executor):
    import numpy as np

    by = 3
    added, summed = np.frompyfunc(lambda x, y: x + y * by, 2, 1), np.frompyfunc(lambda x, y: x + y, 2, 1, identity=0)
    there = executor.submit(lambda x: [added(x, 2), summed.reduce([]), np.add(1, 2)], 1).result()
    assert there == [7, 0, 3]
    back = executor.submit(lambda: (np.frompyfunc(abs, 1, 1), np.add, summed)).result()
    assert (back[0](-2), back[1] is np.add, back[2].identity) == (2, True, 0)


CALLED = """
import collections, functools, typing
T = typing.TypeVar("T", bound="Node", covariant=True)
P = typing.ParamSpec("P")
class Groups(collections.defaultdict): pass
groups = Groups(list, a=[1])
groups.tag = "t"
class Node(typing.Generic[T]):
    def add(self, one, other): return one + other
    more = functools.partialmethod(add, 2)
def said():
    one = typing.get_args(Node.__orig_bases__[0])[0] is T
    return one, T.__bound__.__forward_arg__, T.__covariant__, P.__name__, Node().more(3), dict(groups), groups.tag
"""


def test_type_variables_of_a_call_bound_methods_and_what_extends_a_dict_go_along(executor):
    namespace = {"__name__": "__main__"}
    exec(compile(CALLED, "<script>", "exec", dont_inherit=True), namespace)
    assert executor.submit(namespace["said"]).result() == (True, "Node", True, "P", 5, {"a": [1]}, "t")
    assert executor.submit(lambda each: each, namespace["T"]).result() is namespace["T"]


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Python has them since 3.13")
def test_a_type_variable_keeps_its_default(executor):
    namespace = {"__name__": "__main__"}
    exec(
        "import typing\nT = typing.TypeVar('T', default=int)\ndef said(): return T.__default__, T.has_default()",
        namespace,
    )
    assert executor.submit(namespace["said"]).result() == (int, True)


WAITING = """
import dataclasses, typing
@dataclasses.dataclass
class Node:
    size: int
    next: Node | None = None
    gone: Gone = None
class Plain:
    node: Node
def size(n: int, gone: Gone = None): return n
def said():
    kinds = [each.type for each in dataclasses.fields(Node)]
    of_plain = Plain.__annotations__["node"] is Node
    return repr(Node(1, Node(2))), kinds[0], kinds[1].__forward_arg__, of_plain, size.__annotations__, size(3)
"""


@pytest.mark.skipif(sys.version_info < (3, 14), reason="annotations wait since 3.14")
def test_annotations_that_wait_go_along_and_nothing_else_of_the_script(executor):
    namespace = {"__name__": "__main__", "cannot": (each for each in "ab")}
    exec(compile(WAITING, "<script>", "exec", dont_inherit=True), namespace)
    shown = "Node(size=1, next=Node(size=2, next=None, gone=None), gone=None)"
    there = executor.submit(namespace["said"]).result()
    assert there == (shown, int, "Node | None", True, {"n": int, "gone": "Gone"}, 3)
