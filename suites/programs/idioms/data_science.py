"""What data-science code hands over: arrays, frames, models, compiled functions."""

import pathlib
import re
import string
import sys

import numpy as np
import pandas as pd

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from _cases import case, end, run

FRAME = pd.DataFrame({"a": [1, 2, 2], "b": [1.5, 2.5, np.nan]})
RNG = np.random.default_rng(7)
PATTERN = re.compile(r"(\d+)-(\d+)")
VECTOR = np.vectorize(lambda x: x + 1)
POLY = np.poly1d([1, 0, -1])


def same(x):
    return x


@np.vectorize
def clipped(x):
    return min(x, 2)


def grouped(frame):
    return frame.groupby("a").b.sum().to_dict()


def applied(frame, function):
    return frame.a.apply(function).tolist()


class Weighted(pd.DataFrame):
    _metadata = ["weight"]

    @property
    def _constructor(self):
        return Weighted


def fitted():
    from sklearn.linear_model import LinearRegression

    return LinearRegression().fit(np.arange(4.0).reshape(-1, 1), np.arange(4.0))


def predicted(model):
    return float(model.predict([[10.0]])[0].round(6))


def compiled():
    import numba

    @numba.njit
    def add(x, y):
        return x + y

    return add


def symbolic():
    import sympy

    x = sympy.symbols("x")
    return sympy.lambdify(x, x**2 + 1)


def sparse():
    import scipy.sparse

    return scipy.sparse.csr_matrix(np.eye(3))


def frozen():
    import scipy.stats

    return scipy.stats.norm(loc=5)


def model_of(name):
    import attrs

    return attrs.make_class(name, ["x"])


def equal(frame):
    return lambda got: type(got) is type(frame) and got.equals(frame)


if __name__ == "__main__":
    case("an array", lambda: run(np.sum, np.arange(5)), 10)
    case("a large array back", lambda: run(same, np.arange(200_000)).sum(), 19999900000)
    case("a read-only array", lambda: run(lambda a: a.flags.writeable, np.broadcast_to(1, (3,))), False)
    case("a structured array", lambda: run(same, np.array([(1, 2.0)], dtype="i4,f8")).dtype, np.dtype("i4,f8"))
    case("a masked array", lambda: run(lambda m: int(m.sum()), np.ma.array([1, 2], mask=[0, 1])), 1)
    case("a dtype", lambda: run(same, np.dtype("f4")), np.dtype("f4"))
    case("a ufunc", lambda: run(np.add, 1, 2), 3)
    case("np.vectorize", lambda: run(lambda x: VECTOR(x).tolist(), [1, 2]), [2, 3])
    case("np.vectorize as decorator", lambda: run(clipped, [1, 5]).tolist(), [1, 2])
    case("np.poly1d", lambda: run(lambda x: float(POLY(x)), 3), 8.0)
    case(
        "a random generator's state", lambda: run(lambda: float(RNG.random())), float(np.random.default_rng(7).random())
    )
    case("a frame there", lambda: run(grouped, FRAME), {1: 1.5, 2: 2.5})
    case("a frame back", lambda: run(same, FRAME), same=equal(FRAME))
    case("a frame in a global", lambda: run(lambda: int(FRAME.a.sum())), 5)
    case("apply with a lambda", lambda: run(applied, FRAME, lambda v: v * 10), [10, 20, 20])
    case("a subclass of DataFrame", lambda: type(run(same, Weighted({"a": [1]}))) is Weighted, True)
    case("a categorical", lambda: run(same, pd.Categorical(["a", "b"])).categories.tolist(), ["a", "b"])
    case("a period index", lambda: run(same, pd.period_range("2026-01", periods=2, freq="M")).size, 2)
    case(
        "Timestamp and Timedelta",
        lambda: run(same, [pd.Timestamp("2026-01-01"), pd.Timedelta("1h")]),
        [pd.Timestamp("2026-01-01"), pd.Timedelta("1h")],
    )
    case("NA and NaT", lambda: run(lambda a, b: a is pd.NA and b is pd.NaT, pd.NA, pd.NaT), True)
    case("a multi-index", lambda: run(same, pd.MultiIndex.from_product([[1, 2], ["a", "b"]])).nlevels, 2)
    case("query with a local", lambda: run(lambda f, t=1: len(f.query("a > @t")), FRAME), 2)
    case("read_csv", lambda: run(lambda text: pd.read_csv(__import__("io").StringIO(text)).x.sum(), "x\n1\n2\n"), 3)
    case("a method of a frame", lambda: run(FRAME.a.sum), 5)
    case("a fitted model there", lambda: run(predicted, fitted()), 10.0)
    case("a fitted model back", lambda: predicted(run(fitted)), 10.0)
    case("numba.njit", lambda: run(compiled(), 1, 2), 3)
    case("numba called by a function", lambda: (lambda f: run(lambda x: f(x, 2), 1))(compiled()), 3)
    case("sympy.lambdify", lambda: run(symbolic(), 3), 10)
    case("a sparse matrix", lambda: float(run(same, sparse()).sum()), 3.0)
    case("a frozen distribution", lambda: float(run(frozen().mean)), 5.0)
    case("an attrs class made on the way", lambda: run(model_of("M"), 3).x, 3)
    case("a compiled pattern", lambda: run(lambda s: PATTERN.match(s).groups(), "1-2"), ("1", "2"))
    case("a method of a pattern", lambda: run(PATTERN.sub, "x", "1-2"), "x")
    case("a template", lambda: run(string.Template("$a b").substitute, a=1), "1 b")
    end()
