"""What stands around functions: closures over objects, registries, wrappers, replaced parts, names made on the way."""

import argparse
import contextlib
import contextvars
import functools
import itertools
import logging
import math
import operator
import pathlib
import random
import re
import sqlite3
import statistics
import string
import sys
import textwrap
import threading
import time
import typing
import warnings
import weakref
from types import MappingProxyType, MethodType, SimpleNamespace
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from _cases import case, end, run

if typing.TYPE_CHECKING:
    from nowhere import Frame

Number = typing.Union[int, float]
RATES = {"eur": 2, "usd": 3}
REGISTRY = {}
STEPS = []
LOG = logging.getLogger("suites.around")
ADAPTER = logging.LoggerAdapter(LOG, {"who": "me"})
REQUEST = contextvars.ContextVar("request", default="none")
GENERATOR = random.Random(7)
LOCK = threading.Lock()
counter = itertools.count(5)


def registered(name):
    def keep(function):
        REGISTRY[name] = function
        return function

    return keep


@registered("double")
def double(x):
    return 2 * x


@registered("negative")
def negative(x):
    return -x


STEPS.append(double)
STEPS.extend([negative, abs])


def by_registry(name, x):
    return REGISTRY[name](x)


def through_steps(x):
    for step in STEPS:
        x = step(x)
    return x


def unwrapped(function):
    def inner(*args):
        return function(*args) + 0.5

    return inner


@unwrapped
def without_wraps(x):
    return x


called = unwrapped(double)
alias = double


class Retry:
    """As tenacity has it: a decorator that is an object, with a count of its own."""

    def __init__(self, times):
        self.times, self.tried = times, 0

    def __call__(self, function):
        @functools.wraps(function)
        def inner(*args):
            for left in range(self.times, 0, -1):
                self.tried += 1
                try:
                    return function(*args), self.tried
                except ZeroDivisionError:
                    if left == 1:
                        raise
            return None

        return inner


FAILURES = [1, 1]


@Retry(times=5)
def flaky(x):
    if FAILURES:
        FAILURES.pop()
        raise ZeroDivisionError
    return x


class Meter:
    unit = "m"

    def __init__(self, values):
        self.values = values

    @functools.cached_property
    def mean(self):
        return statistics.fmean(self.values)

    def scaled(self, by):
        return [by * value for value in self.values]

    doubled = functools.partialmethod(scaled, 2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False


class Plugin:
    known: typing.ClassVar[list] = []

    def __init_subclass__(cls, **more):
        super().__init_subclass__(**more)
        Plugin.known.append(cls.__name__)


class First(Plugin):
    pass


class Second(Plugin):
    pass


METER = Meter([1, 2, 3])
SHARED = [METER, METER]
scaled_by_three = functools.partial(METER.scaled, 3)


def closure_over(thing):
    return lambda x: thing(x)


def recursive_local():
    def size(n):
        return 1 if n <= 0 else size(n - 1) + 1

    return size


def mutual():
    def even(n):
        return True if n == 0 else odd(n - 1)

    def odd(n):
        return False if n == 0 else even(n - 1)

    return even


def typed(frame: "Frame", n: Number = 1) -> Number:
    return n


def walrus(text):
    if match := re.match(r"(?P<n>\d+)", text):
        return int(match["n"])
    return None


def unpacked(first, *rest, last=0, **more):
    *start, end_ = rest
    return [first, start, end_, last, {**more}]


def suppressed():
    with contextlib.suppress(KeyError):
        {}["x"]
    return "went on"


@contextlib.contextmanager
def opened(name):
    yield name.upper()


def within(name):
    with opened(name) as found:
        return found


def warned():
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warnings.warn("careful", stacklevel=1)
    return [str(each.message) for each in seen]


def in_threads():
    found = []
    threads = [threading.Thread(target=found.append, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(found)


def locked(x):
    with LOCK:
        return x


def of_database():
    with contextlib.closing(sqlite3.connect(":memory:")) as database:
        database.execute("create table t (x)")
        database.executemany("insert into t values (?)", [(1,), (2,)])
        return database.execute("select sum(x) from t").fetchone()[0]


def parsed(words):
    parser = argparse.ArgumentParser()
    parser.add_argument("--n", type=int, default=1)
    return parser.parse_args(words).n


def priced(x):
    return x * RATES["eur"]


def other(x):
    return -x


def patched():
    with mock.patch.dict(RATES, eur=10):
        return run(priced, 1)


def replaced_helper():
    with mock.patch(f"{__name__}.double", other):
        return run(lambda x: double(x), 4)


def replaced_method():
    with mock.patch.object(Meter, "scaled", lambda self, by: ["new", by]):
        return run(lambda: METER.scaled(2))


def replaced_in_library():
    with mock.patch.object(statistics, "fmean", lambda values: 77):
        return run(lambda: statistics.fmean([1]))


def added_to_an_object():
    meter = Meter([1])
    meter.show = MethodType(lambda self: self.values, meter)
    return run(lambda: meter.show())


def made_by_exec():
    namespace = {"by": 4}
    exec(textwrap.dedent("def scaled(x):\n    return x * by\n"), namespace)
    return run(namespace["scaled"], 2)


def made_by_type():
    made = type("Made", (Meter,), {"unit": "km", "size": lambda self: len(self.values)})
    return run(lambda: (made([1]).size(), made.unit))


def _with_attribute():
    def tagged(x):
        return [x, tagged.version]

    tagged.version = "v1"
    return tagged


def _sorted_by(words, key=lambda word: len(word)):
    return sorted(words, key=key)


def of_loop():
    for n in range(3):

        def last(x, m=n):
            return x + n + m

    return run(last, 1)


def changed_between():
    RATES["eur"] = 5
    first = run(priced, 1)
    RATES["eur"] = 2
    return first, run(priced, 1)


if __name__ == "__main__":
    case("a registry filled by a decorator", lambda: run(by_registry, "negative", 4), -4)
    case("a list of functions that was built", lambda: run(through_steps, 3), 6)
    case("a decorator without wraps", lambda: run(without_wraps, 1), 1.5)
    case("decorated by a call", lambda: run(called, 2), 4.5)
    case("another name of a function", lambda: run(lambda x: alias(x), 2), 4)
    case("a decorator that counts", lambda: run(flaky, 4), (4, 3))
    case("a cached property", lambda: run(lambda: METER.mean), 2.0)
    case("a partial method", lambda: run(METER.doubled), [2, 4, 6])
    case("a partial of a bound method", lambda: run(lambda: scaled_by_three()), [3, 6, 9])
    case("an object that is in a list twice", lambda: run(lambda: SHARED[0] is SHARED[1]), True)
    case("a context manager of one's own", lambda: run(lambda: METER.__enter__() is METER), True)
    case("classes that register themselves", lambda: run(lambda: Plugin.known), ["First", "Second"])
    case("subclasses", lambda: run(lambda: sorted(c.__name__ for c in Plugin.__subclasses__())), ["First", "Second"])
    case("a closure over a function", lambda: run(closure_over(double), 3), 6)
    case("a closure over an object's method", lambda: run(closure_over(METER.scaled), 1), [1, 2, 3])
    case("a closure over a builtin", lambda: run(closure_over(math.floor), 1.5), 1)
    case("recursion in a local function", lambda: run(recursive_local(), 4), 5)
    case("two local functions that call each other", lambda: run(mutual(), 6), True)
    case("names for type checkers alone", lambda: run(typed, None), 1)
    case("walrus", lambda: run(walrus, "12ab"), 12)
    case("unpacking", lambda: run(unpacked, 1, 2, 3, 4, last=5, k=6), [1, [2, 3], 4, 5, {"k": 6}])
    case("suppress", lambda: run(suppressed), "went on")
    case("a context manager by decorator", lambda: run(within, "a"), "A")
    case("warnings within", lambda: run(warned), ["careful"])
    case("threads within", lambda: run(in_threads), [0, 1, 2])
    case("a lock of the script", lambda: run(locked, 3), 3)
    case("sqlite within", lambda: run(of_database), 3)
    case("argparse within", lambda: run(parsed, ["--n", "4"]), 4)
    case("a dict that is patched", patched, 10)
    case("a helper that is patched", replaced_helper, -4)
    case("a method that is patched", replaced_method, ["new", 2])
    case("a library's function that is patched", replaced_in_library, 77)
    case("a method added to an object", added_to_an_object, [1])
    case("a function made by exec", made_by_exec, 8)
    case("a class made by type", made_by_type, (1, "km"))
    case("a function defined in a loop", of_loop, 5)
    case("a global that changes between calls", changed_between, (5, 2))
    case("a logger", lambda: run(lambda: LOG.name), "suites.around")
    case("a logger adapter", lambda: run(lambda: ADAPTER.extra), {"who": "me"})
    case("a context variable", lambda: run(lambda: REQUEST.get()), "none")
    case("a random generator's state", lambda: run(lambda: GENERATOR.random()), random.Random(7).random())
    case("a counter of itertools", lambda: run(lambda: next(counter)), 5)
    case("a weak reference", lambda: run(lambda: weakref.ref(METER)() is METER), True)
    case("a mapping proxy", lambda: run(dict, MappingProxyType({"a": 1})), {"a": 1})
    case("string formatting of one's own", lambda: run(string.Formatter().format, "{0}-{1}", 1, 2), "1-2")
    case("an attribute getter", lambda: run(operator.attrgetter("a.b"), SimpleNamespace(a=SimpleNamespace(b=3))), 3)
    case("a function's own attribute", lambda: run(_with_attribute(), 2), [2, "v1"])
    case("a lambda in a default", lambda: run(_sorted_by, ["bb", "a"]), ["a", "bb"])
    case("time.sleep by name", lambda: run(time.sleep, 0), None)
    end()
