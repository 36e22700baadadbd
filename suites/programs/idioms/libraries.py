"""Objects of libraries that a script holds, hands over and gets back, and scripts that are no files."""

import collections
import datetime
import enum
import functools
import io
import json
import pathlib
import re
import subprocess
import sys
import tempfile
import types
import typing
import zoneinfo

import attrs
import numpy as np
import pandas as pd
import xarray as xr

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
import elsewhere
from _cases import case, end, run

GROUPS = collections.defaultdict(list, {"a": [1, 2]})
CHAIN = collections.ChainMap({"a": 1}, {"b": 2})
SERIES = pd.Series([1.0, 2.0, 4.0], index=list("abc"), name="s")
STAMPS = pd.date_range("2026-01-01", periods=3, tz="Europe/Berlin")
CUBE = xr.DataArray(np.arange(6.0).reshape(2, 3), dims=("y", "x"), coords={"x": [1, 2, 3]}, attrs={"unit": "m"})
LIMITS = {"low": np.float32(1.5), "high": np.int64(4)}
UFUNC = np.frompyfunc(lambda x, y: x + y, 2, 1)
OPTIONS = types.MappingProxyType({"depth": 2})


class Size(enum.Enum):
    SMALL = "s"
    LARGE = "l"

    def twice(self):
        return self.value * 2


if sys.version_info >= (3, 11):

    class Mode(enum.StrEnum):
        FAST = "fast"

else:

    class Mode(str, enum.Enum):
        FAST = "fast"


NAMES = {Size.SMALL: "small", Size.LARGE: "large"}


@attrs.define
class Box:
    size: int
    tags: list = attrs.field(factory=list)

    @property
    def doubled(self):
        return 2 * self.size


@attrs.frozen
class Key:
    name: str


class Tree(typing.TypedDict):
    name: str
    below: list


class Stack(list):
    def top(self):
        return self[-1]


class Table(dict):
    def __missing__(self, key):
        return f"no {key}"


class Text(str):
    @property
    def loud(self):
        return self.upper() + "!"


class Metric(float):
    unit = "m"


class Money:
    def __init__(self, cents):
        self.cents = cents

    def __add__(self, other):
        return Money(self.cents + other.cents)

    def __eq__(self, other):
        return isinstance(other, Money) and self.cents == other.cents

    def __hash__(self):
        return hash(self.cents)

    def __lt__(self, other):
        return self.cents < other.cents


Money = functools.total_ordering(Money)
T = typing.TypeVar("T")


class Held(typing.Generic[T]):
    def __init__(self, item: T):
        self.item = item


class Described:
    def __set_name__(self, owner, name):
        self.name = f"_{name}"

    def __get__(self, instance, owner=None):
        return getattr(instance, self.name, 0) + 1

    def __set__(self, instance, value):
        setattr(instance, self.name, value)


class Reading:
    level = Described()


@pd.api.extensions.register_series_accessor("suites")
class Accessor:
    def __init__(self, series):
        self.series = series

    def spread(self):
        return float(self.series.max() - self.series.min())


def same(x):
    return x


def spread(series):
    return series.suites.spread()


def rolled(series):
    return series.rolling(2).mean().dropna().tolist()


def merged(left, right):
    return left.merge(right, on="k").v.tolist()


def piped(frame):
    return frame.pipe(lambda f: f.assign(c=f.a + f.b)).c.tolist()


def pivoted(frame):
    return frame.pivot_table(index="k", values="v", aggfunc="sum").v.to_dict()


def written():
    buffer = io.BytesIO()
    np.save(buffer, np.arange(3))
    return np.load(io.BytesIO(buffer.getvalue())).tolist()


def saved(folder):
    path = pathlib.Path(folder) / "a.json"
    path.write_text(json.dumps({"a": 1}))
    return path


def estimated():
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import FunctionTransformer, StandardScaler

    model = make_pipeline(StandardScaler(), FunctionTransformer(lambda x: x * 2))
    return model.fit(np.arange(4.0).reshape(-1, 1))


def transformed(model):
    return float(model.transform([[1.5]])[0, 0])


def tuned(model):
    return model.set_params(standardscaler__with_mean=False).get_params()["standardscaler__with_mean"]


def interpolated():
    from scipy.interpolate import interp1d

    return interp1d([0, 1], [0, 10])


def minimum(function):
    from scipy.optimize import minimize_scalar

    return round(float(minimize_scalar(function).x), 3)


def integrated(function):
    from scipy.integrate import quad

    return round(quad(function, 0, 1)[0], 6)


def solved():
    import sympy

    return sympy.solve(sympy.Symbol("x") ** 2 - 4)


def piped_by_toolz():
    import toolz

    return toolz.compose(lambda x: x + 1, toolz.curry(lambda a, b: a * b)(3))


def figure():
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    axes = plt.figure().add_subplot()
    axes.plot([1, 2])
    return axes.figure


def tree():
    import ast

    return ast.dump(ast.parse("a + 1"))


SCRIPT = """
import sys
sys.path.insert(0, {adapters!r})
import elsewhere
BY = 3
class Kept:
    def __init__(self, x): self.x = x
def scaled(x): return Kept(x * BY)
if __name__ == "__main__":
    got = elsewhere.run(scaled, 4)
    print("@@", type(got) is Kept and got.x)
"""
ADAPTERS = str(pathlib.Path(elsewhere.__file__).parent)


def printed(*arguments, text=None):
    done = subprocess.run([sys.executable, *arguments], input=text, capture_output=True, text=True, timeout=50)
    found = re.findall(r"@@ (.*)", done.stdout)
    return found[-1] if found else done.stderr[-300:]


def script():
    return SCRIPT.format(adapters=ADAPTERS)


def by_file(folder):
    path = pathlib.Path(folder) / "a script.py"
    path.write_text(script())
    return printed(str(path))


def by_module(folder):
    package = pathlib.Path(folder) / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helper.py").write_text("from . import rates\ndef by(): return rates.BY\n")
    (package / "rates.py").write_text("BY = 3\n")
    text = script().replace("BY = 3\n", "from .helper import by\n").replace("x * BY", "x * by()")
    (package / "__main__.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "own_package"], capture_output=True, text=True, timeout=50, cwd=folder, check=False
    )
    return (re.findall(r"@@ (.*)", done.stdout) or [done.stderr[-300:]])[-1]


def by_star(folder):
    (pathlib.Path(folder) / "rates.py").write_text("__all__ = ['BY', 'twice']\nBY = 3\ndef twice(x): return 2 * x\n")
    path = pathlib.Path(folder) / "main.py"
    path.write_text(script().replace("BY = 3\n", "from rates import *\n").replace("x * BY", "twice(x) + BY + 1"))
    return printed(str(path))


def by_cells():
    cells = [
        "BY = 2",
        "def scaled(x): return x * BY",
        "BY = 3",
        f"import sys; sys.path.insert(0, {ADAPTERS!r}); import elsewhere",
        "print('@@', elsewhere.run(scaled, 4))",
    ]
    text = (
        "import os\nfrom IPython.core.interactiveshell import InteractiveShell\n"
        f"shell = InteractiveShell.instance()\nfor cell in {cells!r}: shell.run_cell(cell, store_history=True)\n"
        "import sys; sys.stdout.flush(); os._exit(0)\n"
    )
    return printed("-c", text)


def in_folder(act):
    def within():
        with tempfile.TemporaryDirectory() as folder:
            return act(folder)

    return within


if __name__ == "__main__":
    left, right = pd.DataFrame({"k": [1, 2], "v": [5, 6]}), pd.DataFrame({"k": [2, 3]})
    berlin = zoneinfo.ZoneInfo("Europe/Berlin")
    case("a defaultdict in a global", lambda: run(lambda: (GROUPS["a"], GROUPS["b"])), ([1, 2], []))
    case("a ChainMap", lambda: run(lambda: CHAIN["b"]), 2)
    case("a mapping proxy in a global", lambda: run(lambda: OPTIONS["depth"]), 2)
    case("numpy's scalars", lambda: run(lambda: [type(v).__name__ for v in LIMITS.values()]), ["float32", "int64"])
    case("np.frompyfunc", lambda: run(lambda: UFUNC(1, 2)), 3)
    case("a series", lambda: run(rolled, SERIES), [1.5, 3.0])
    case("a series with a name back", lambda: run(same, SERIES).name, "s")
    case("an accessor of one's own", lambda: run(spread, SERIES), 3.0)
    case("dates with a zone", lambda: str(run(same, STAMPS).tz), "Europe/Berlin")
    case("a zone", lambda: run(same, berlin), berlin)
    case(
        "a time with a zone",
        lambda: run(lambda t: t.utcoffset(), datetime.datetime(2026, 7, 1, tzinfo=berlin)),
        datetime.timedelta(hours=2),
    )
    case("merge", lambda: run(merged, left, right), [6])
    case("pipe with a lambda", lambda: run(piped, pd.DataFrame({"a": [1], "b": [2]})), [3])
    case("pivot_table", lambda: run(pivoted, left), {1: 5, 2: 6})
    case("an xarray array", lambda: run(lambda a: float(a.sel(x=2).sum()), CUBE), 5.0)
    case("an xarray array back", lambda: run(same, CUBE).attrs, {"unit": "m"})
    case("an xarray dataset back", lambda: list(run(same, CUBE.to_dataset(name="n"))), ["n"])
    case("files in memory within", lambda: run(written), [0, 1, 2])
    case("an enum as keys", lambda: run(lambda: NAMES[Size.LARGE]), "large")
    case("an enum's method", lambda: run(Size.SMALL.twice), "ss")
    case("a string enum back", lambda: run(same, Mode.FAST) is Mode.FAST, True)
    case("an attrs object there", lambda: run(lambda b: b.doubled, Box(2)), 4)
    case("an attrs object back", lambda: run(same, Box(2, ["x"])), Box(2, ["x"]))
    case("a frozen attrs object as key", lambda: run(same, {Key("a"): 1}), {Key("a"): 1})
    case("a typed dict", lambda: run(same, Tree(name="a", below=[])), {"name": "a", "below": []})
    case("a subclass of list", lambda: (lambda s: (type(s) is Stack, s.top()))(run(same, Stack([1, 2]))), (True, 2))
    case("a subclass of dict", lambda: run(lambda t: t["x"], Table()), "no x")
    case("a subclass of str", lambda: run(lambda t: t.loud, Text("a")), "A!")
    case("a subclass of float back", lambda: type(run(same, Metric(2))).unit, "m")
    case("total_ordering", lambda: run(lambda a, b: a >= b, Money(2), Money(1)), True)
    case("sum of one's own", lambda: run(lambda *m: sum(m, Money(0)), Money(1), Money(2)), Money(3))
    case("a generic class", lambda: run(lambda h: h.item, Held[int](3)), 3)
    case("a descriptor", lambda: run(lambda r: (setattr(r, "level", 4), r.level)[1], Reading()), 5)
    case("a type of typing", lambda: run(same, typing.Optional[int]), typing.Optional[int])
    case("a generic alias", lambda: run(same, dict[str, list[int]]), dict[str, list[int]])
    case("a pipeline with a lambda there", lambda: run(transformed, estimated()), 0.0)
    case("a pipeline with a lambda back", lambda: transformed(run(estimated)), 0.0)
    case("set_params within", lambda: run(tuned, estimated()), False)
    case("an interpolator", lambda: float(run(interpolated(), 0.5)), 5.0)
    case("a minimiser with a lambda", lambda: run(minimum, lambda x: (x - 2) ** 2), 2.0)
    case("an integral of a closure", lambda: (lambda k: run(integrated, lambda x: k * x))(4), 2.0)
    case("sympy's numbers back", lambda: [int(x) for x in run(solved)], [-2, 2])
    case("toolz's compose and curry", lambda: run(piped_by_toolz(), 2), 7)
    case("a figure back", lambda: len(run(figure).axes), 1)
    case("ast within", lambda: run(tree), tree())
    case("a path there and back", in_folder(lambda folder: run(saved, folder).read_text()), '{"a": 1}')
    case("a script", in_folder(by_file), "12")
    case("python -m of a package", in_folder(by_module), "12")
    case("a star import", in_folder(by_star), "12")
    case("python -c", lambda: printed("-c", script()), "12")
    case("a script on standard input", lambda: printed("-", text=script()), "12")
    case("cells of IPython", by_cells, "12")
    end()
