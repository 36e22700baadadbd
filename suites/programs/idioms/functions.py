"""What functions are made of."""

import functools
import math
import operator
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from _cases import case, end, run

FACTOR = 3
counter = 0


def scaled(x, by=2):
    return x * by


def make_scaler(by):
    def inner(x):
        return x * by

    return inner


def make_counter():
    count = 0

    def step():
        nonlocal count
        count += 1
        return count

    return step


def logged(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return ["called", function(*args, **kwargs)]

    return inner


def plus(n):
    def decorate(function):
        @functools.wraps(function)
        def inner(x):
            return function(x) + n

        return inner

    return decorate


class Doubling:
    def __init__(self, function):
        self.function = function

    def __call__(self, x):
        return 2 * self.function(x)


@logged
def decorated(x):
    return x


@plus(1)
@plus(10)
def stacked(x):
    return x


@Doubling
def doubled(x):
    return x + 1


@functools.cache
def remembered(x):
    return x + FACTOR


@functools.singledispatch
def kind(x):
    return "any"


@kind.register(int)
def _(x):
    return "int"


def positional(a, b, /, c=3):
    return a, b, c


def keyword(a, *, b=2, **more):
    return a, b, more


def variable(*args):
    return sum(args)


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def mutable_default(x, seen=[]):
    seen.append(x)
    return list(seen)


def counting(x):
    global counter
    counter += x
    return counter


def generate(n):
    yield from range(n)


def total(n):
    return sum(generate(n))


def matched(x):
    match x:
        case {"kind": k}:
            return k
        case [first, *_]:
            return first
        case _:
            return None


def typed(x: "list[int]") -> "dict[str, int]":
    return {"sum": sum(x)}


try:
    from nowhere_fast import speedup
except ImportError:

    def speedup(x):
        return x + 1


def with_fallback(x):
    return speedup(x)


HANDLERS = {"double": lambda x: 2 * x, "square": lambda x: x * x}


def handle(name, x):
    return HANDLERS[name](x)


def apply(function, x):
    return function(x)


def evaluate(text):
    return eval(text)


loops = [make_scaler(n) for n in (1, 2, 3)]
defaults = [lambda x, n=n: x + n for n in range(3)]

if __name__ == "__main__":
    case("a function of the script", lambda: run(scaled, 2, by=5), 10)
    case("a lambda", lambda: run(lambda x: x + FACTOR, 1), 4)
    case("a closure", lambda: run(make_scaler(4), 2), 8)
    case("closures of a loop", lambda: [run(f, 2) for f in loops], [2, 4, 6])
    case("defaults in a loop", lambda: [run(f, 2) for f in defaults], [2, 3, 4])
    case("nonlocal", lambda: run(make_counter()), 1)
    case("a decorator with wraps", lambda: run(decorated, 1), ["called", 1])
    case("stacked decorators with arguments", lambda: run(stacked, 1), 12)
    case("a class as decorator", lambda: run(doubled, 1), 4)
    case("lru_cache", lambda: run(remembered, 1), 4)
    case("singledispatch", lambda: run(lambda x: kind(x), 1), "int")
    case("partial", lambda: run(functools.partial(scaled, by=7), 2), 14)
    case("partial of a builtin", lambda: run(functools.partial(pow, 2), 5), 32)
    case("positional-only", lambda: run(positional, 1, 2), (1, 2, 3))
    case("keyword-only", lambda: run(keyword, 1, b=5, c=6), (1, 5, {"c": 6}))
    case("variable arguments", lambda: run(variable, 1, 2, 3), 6)
    case("recursion", lambda: run(fibonacci, 10), 55)
    case("a mutable default", lambda: run(mutable_default, 1), [1])
    case("a global that is counted up", lambda: run(counting, 5), 5)
    case("a generator within", lambda: run(total, 5), 10)
    case("match", lambda: run(matched, {"kind": 4}), 4)
    case("annotations as text", lambda: run(typed, [1, 2]), {"sum": 3})
    case("an optional import", lambda: run(with_fallback, 1), 2)
    case("lambdas in a dict", lambda: run(handle, "square", 3), 9)
    case("a function as argument", lambda: run(apply, math.sqrt, 9), 3.0)
    case("a lambda as argument", lambda: run(apply, lambda x: x - 1, 9), 8)
    case("operator.itemgetter", lambda: run(operator.itemgetter(1), [1, 2]), 2)
    case("operator.methodcaller", lambda: run(operator.methodcaller("upper"), "a"), "A")
    case("a method of str", lambda: run(str.upper, "a"), "A")
    case("a bound method of a list", lambda: run([3, 4].index, 4), 1)
    case("eval", lambda: run(evaluate, "FACTOR + 1"), 4)
    case("a lambda of eval", lambda: run(eval("lambda x: x + FACTOR"), 1), 4)
    case("functools.reduce", lambda: run(functools.reduce, operator.mul, [1, 2, 3, 4]), 24)
    end()
