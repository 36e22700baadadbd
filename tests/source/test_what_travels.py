"""A function travels with what it refers to, and nothing else."""

from __future__ import annotations

import asyncio
import sys
import typing

import pytest

from fanfold.errors import StoreFull
from fanfold.source.capture import capture
from fanfold.source.load import load
from tests.source.conftest import Desk, arrived, shipped, values


def test_functions_classes_constants_and_imports_travel_recursively(desk: Desk) -> None:
    bundle = desk.capture("""
        import math as m
        from collections import OrderedDict, deque

        FACTOR = 3
        BASE = {"points": [(1, 2), None]}

        class Shape:
            def area(self):
                return scale(2)

        class Square(Shape):
            side: int = FACTOR

        def scale(x):
            return x * FACTOR + m.floor(0.5)

        def main(x):
            return [Square().area() + x, Square.side, BASE["points"], list(OrderedDict(a=1))]
        """)
    assert desk.elsewhere(bundle, 1) == [7, 3, [[1, 2], None], ["a"]]
    assert bundle.imports == ("collections", "math")


def test_nothing_else_travels(desk: Desk) -> None:
    bundle = desk.capture("""
        import os, sys, secrets
        import numpy
        from json import (
            dumps,
            loads,
        )
        SECRET = "hunter2"
        USED = 1

        def other():
            return SECRET

        def main():
            return dumps(USED), sys.byteorder

        print("loading", end="")
        """)
    text = shipped(bundle)
    assert [word for word in ("secrets", "numpy", "loads", "hunter2", "other", "print", "os") if word in text] == []
    assert values(bundle) == ["1"]
    assert bundle.imports == ("json", "sys")


def test_lines_and_columns_stay_where_they_were(desk: Desk) -> None:
    text = "X = 1\n\nif X:\n    def main():\n        return X  # and why\n"
    assert shipped(desk.capture(text)) == "\n\nif X:\n    def main():\n        return X  # and why\n"


@pytest.mark.parametrize(
    "definition",
    [
        "if True:\n    from math import floor\nelse:\n    floor = None",
        "try:\n    from nowhere import floor\nexcept ImportError:\n    from math import floor",
        "if False:\n    floor = None\nelif True:\n    from math import floor",
        "if True: from math import ceil, floor",
        "x = 1; from math import floor; y = 2",
        "with open(__file__):\n    import os; from math import floor",
        "from math import *",
        "import math\nfloor = math.floor",
        "for _ in range(1):\n\tif True:\n\t\tfrom math import floor",
        "from math import floor as f\ndef floor(x):\n    return f(x)",
        "import math\nclass B:\n    floor = staticmethod(math.floor)\n    'é'; x = 1\ndef floor(x): return B.floor(x)",
    ],
)
def test_imports_and_definitions_are_found_wherever_a_module_has_them(desk: Desk, definition: str) -> None:
    assert desk.result(definition + "\ndef main(x):\n    return floor(x)\n", 2.5) == 2


def test_submodules_are_imported_as_the_code_uses_them(desk: Desk) -> None:
    bundle = desk.capture("""
        import xml.dom, xml.etree.ElementTree
        import importlib.metadata
        import concurrent

        def main():
            return xml.etree.ElementTree.fromstring("<a/>").tag
        """)
    assert desk.elsewhere(bundle) == "a"
    assert "dom" not in bundle.graph
    assert "importlib" not in bundle.graph


def test_an_attribute_that_is_a_submodule_someone_else_imported_is_imported_too(desk: Desk) -> None:
    bundle = desk.capture("""
        import xml
        def main():
            return xml.etree.ElementTree.fromstring("<a/>").tag
        __import__("xml.etree.ElementTree")
        """)
    assert desk.elsewhere(bundle) == "a"


def test_a_decorated_function_is_what_its_decorator_made_of_it(desk: Desk) -> None:
    bundle = desk.capture("""
        import fan as fused
        import functools

        def twice(fn):
            @functools.wraps(fn)
            def call(*args):
                return 2 * fn(*args)
            return call

        def plus(n):
            def decorate(fn):
                return lambda x: fn(x) + n
            return decorate

        @functools.lru_cache(maxsize=None)
        def cached(x):
            return x

        @plus(100)
        def odd(x):
            return x

        @fused.udf(
            name="m",  # a comment
        )
        @twice
        def main(x):
            return cached(x) + odd(x)
        """)
    assert desk.elsewhere(bundle, 5) == 2 * (5 + 105)
    assert "fan" not in bundle.imports


@pytest.mark.parametrize(
    "head", ["import fan\n@fan.udf", "from fan import udf as u\n@u", "from fan import udf\n@udf(name='x')"]
)
def test_the_decorator_goes_by_any_name(desk: Desk, head: str) -> None:
    bundle = desk.capture(f"{head}\ndef main(x):\n    return x\n")
    assert desk.elsewhere(bundle, 3) == 3
    assert "fan" not in bundle.imports


@pytest.mark.parametrize(
    "text",
    [
        "import fan\nnamed = fan.udf(name='x')\n@named\ndef main(x): ...\n",
        "def make():\n import fan\n named = fan.udf(name='x')\n @named\n def main(): ...\n return main\nmain = make()",
    ],
)
def test_the_decorator_may_be_kept_under_a_name(desk: Desk, text: str) -> None:
    bundle = desk.capture(text)
    assert "fan" not in bundle.imports
    assert "named" not in bundle.graph


def test_a_udf_called_by_a_udf_is_a_plain_function(desk: Desk) -> None:
    desk.write("tools.py", "import fan\n\n@fan.udf\ndef imported(x):\n    return x + 10\n")
    bundle = desk.capture("""
        import fan
        from tools import imported

        @fan.udf
        def inner(x):
            return x + 1

        def plain(x):
            return x + 100

        wrapped = fan.udf(plain)

        @fan.udf(name="outer")
        def main(x):
            return inner(x) + imported(x) + wrapped(x)
        """)
    desk.write("tools.py", "raise SystemError('read from disk')")
    assert load(bundle)()(1) == 2 + 11 + 101


def test_recursion_and_mutual_recursion(desk: Desk) -> None:
    text = """
        def even(n): return n == 0 or odd(n - 1)
        def odd(n): return n != 0 and even(n - 1)
        def main(n): return n if n < 2 else main(n - 1) + even(n)
        """
    assert desk.result(text, 4) == 3


def test_async_functions(desk: Desk) -> None:
    assert (
        asyncio.run(desk.result("import asyncio\nasync def main():\n    await asyncio.sleep(0)\n    return 1\n")) == 1
    )


def test_a_nested_function_keeps_its_indented_strings_and_brings_modules_from_around_it() -> None:
    import math as m

    def udf(x, scale=2):
        if x:
            return udf(0)
        return (
            m.floor(2.5),
            """a
        b
c""",
        )

    assert arrived(capture(udf))(4) == (2, "a\n        b\nc")


def test_a_nested_udf_whose_decorator_was_imported_around_it(desk: Desk) -> None:
    module = desk.module("""
        def make():
            import fan as f
            from functools import cache
            @f.udf(name="x")
            @cache
            def main(x): return x
            return main
        """)
    bundle = capture(module.make())
    assert desk.elsewhere(bundle, 3) == 3


def test_string_annotations_bring_what_they_name_and_skip_what_is_not_there(desk: Desk) -> None:
    bundle = desk.capture("""
        from __future__ import annotations
        from typing import TYPE_CHECKING
        from decimal import Decimal
        if TYPE_CHECKING:
            import pandas as pd

        class Row: ...

        def main(a: Decimal, b: "list[Row]", c: pd.DataFrame | None = None) -> Row:
            x: pd.Series = 1
            return x
        """)
    main = load(bundle)()
    assert main.__annotations__["a"] == "Decimal"
    main.__annotations__.pop("c")
    hints = typing.get_type_hints(main)
    assert hints["a"].__name__ == "Decimal"
    assert hints["return"].__name__ == "Row"


def test_a_string_annotation_without_the_future(desk: Desk) -> None:
    text = """
        class Row:
            x = 5
        def main(a: 'Row | None', b: 'Missing', c: 'not an expression'):
            return main.__globals__["Row"].x
        """
    assert desk.result(text, None, None, None) == 5


def test_values_that_are_made_again_by_their_statement(desk: Desk) -> None:
    result = desk.result("""
        import functools, logging, operator, re, typing
        from collections import namedtuple
        from enum import Enum
        from pathlib import Path

        WORD = re.compile(r"\\w+", re.I)
        log = logging.getLogger("work")
        T = typing.TypeVar("T")
        Names = typing.Dict[str, "list[int]"]
        Ids = list[int]
        Point = namedtuple("Point", "x y")
        Color = Enum("Color", "RED BLUE")
        ROOT: Path = Path("/data") / "in"
        first = operator.itemgetter(0)

        def power(base, exponent): return base ** exponent
        def stop(): return "stop"
        square = functools.partial(power, exponent=2)
        TABLE = {"power": power, "more": [stop, None]}

        def main(x: T, ids: Ids = None):
            return [WORD.match("ab ").group(), log.name, Names.__args__[0].__name__, Point(1, 2).y, Color.BLUE.value,
                    str(ROOT), first([7]), square(3), TABLE["power"](2, 3), TABLE["more"][0]()]
        """, 1)  # fmt: skip
    assert result == ["ab", "work", "str", 2, 2, "/data/in", 7, 9, 8, "stop"]


def test_other_names_of_functions_classes_and_members(desk: Desk) -> None:
    result = desk.result("""
        import enum, math
        class Color(enum.Enum):
            RED = 1
        def deco(fn): return lambda: fn() + 1
        also = deco
        @also
        def one(): return 1
        Paint, MODE, = Color, Color.RED
        Paint = Color
        MODE = Color.RED
        floor = math.floor
        def main(): return [one(), Paint.RED is MODE, floor(1.5)]
        """)
    assert result == [2, True, 1]


def test_a_class_body_may_read_a_global_of_its_attributes_name(desk: Desk) -> None:
    text = "limit = 3\nclass A:\n    limit: int = limit\n    twice = limit * 2\ndef main(): return A.limit, A.twice\n"
    assert desk.result(text) == (3, 6)


def test_what_extends_a_function_by_its_decorator_travels_with_it(desk: Desk) -> None:
    result = desk.result("""
        import functools
        @functools.singledispatch
        def kind(x): return "any"
        @kind.register
        def _(x: int): return "int"
        @kind.register(str)
        def _(x): return name()
        def name(): return "str"
        def main(): return [kind(1), kind("a"), kind(None)]
        """)
    assert result == ["int", "str", "any"]


def test_an_expression_nested_deeper_than_python_recurses(desk: Desk) -> None:
    assert desk.result("def main(): return " + " + ".join(["1"] * 900)) == 900


def test_global_variables_that_are_assigned(desk: Desk) -> None:
    text = "count = 1\ndef main():\n    global count, fresh\n    count += 1\n    fresh = 5\n    return count + fresh\n"
    assert desk.result(text) == 7


def test_a_global_variable_that_is_only_counted_up(desk: Desk) -> None:
    assert desk.result("count = 1\ndef main():\n    global count\n    count += 1\n    return globals()['count']\n") == 2


def test_the_value_counts_not_the_text(desk: Desk) -> None:
    module = desk.module("LIMIT = 1\ndef main(): return LIMIT\n")
    module.LIMIT = 42
    assert arrived(capture(module.main))() == 42


def test_of_two_definitions_the_one_in_use_travels(desk: Desk) -> None:
    text = """
        import sys
        class Box:
            def get(self): return "old"
        if sys.platform:
            class Box:
                def get(self): return "new"
            def helper(): return "yes"
        else:
            def helper(): return "no"
        def main(): return Box().get() + helper()
        """
    assert desk.result(text) == "newyes"


def test_large_values_go_to_put_blob_and_come_from_get_blob(desk: Desk) -> None:
    import numpy as np

    module = desk.module("import numpy as np\nGRID = np.arange(100_000)\ndef main(): return int(GRID.sum())\n")
    kept: dict[str, bytes] = {}
    bundle = capture(module.main, put_blob=kept.__setitem__)
    assert len(bundle.to_bytes()) < 2_000 < min(map(len, kept.values()))
    assert load(bundle, get_blob=kept.__getitem__)()() == int(np.arange(100_000).sum())
    alone = capture(module.main)
    assert load(alone)()() == int(np.arange(100_000).sum())
    assert alone.code_hash == bundle.code_hash


def test_a_store_that_is_full_is_not_mistaken_for_a_value_without_a_codec(desk: Desk) -> None:
    def put_blob(name: str, data: bytes) -> None:
        raise StoreFull(f"no room for {len(data)} bytes")

    module = desk.module("DATA = bytes(5000)\ndef main(): return DATA\n")
    with pytest.raises(StoreFull):
        capture(module.main, put_blob=put_blob)


def test_module_attributes_are_the_modules_own(desk: Desk) -> None:
    assert desk.result("def main(): return __name__, __file__\n") == ("work", str(desk.root / "work.py"))


@pytest.mark.skipif(sys.version_info < (3, 12), reason="the syntax is of 3.12")
def test_type_parameters_and_aliases(desk: Desk) -> None:
    text = """
        type Pair[T] = tuple[T, T]
        def passed_on[**P, R](f):
            def call(*args: P.args, **kwargs: P.kwargs) -> R: return f(*args, **kwargs)
            return call
        @passed_on
        def doubled[T: (int, str)](x: T) -> Pair[T]: return x, x
        def main(x):
            inner = doubled.__closure__[0].cell_contents
            return doubled(x), str(Pair[int].__value__), str(inner.__type_params__)
        """
    assert desk.result(text, 1) == ((1, 1), "tuple[T, T]", "(T,)")


def test_variables_of_parameters(desk: Desk) -> None:
    text = """
        from typing import Callable, ParamSpec, TypeVar
        P, R = ParamSpec("P"), TypeVar("R")
        def passed_on(f: Callable[P, R]) -> Callable[P, R]:
            def call(*args: P.args, **kwargs: P.kwargs) -> R: return f(*args, **kwargs)
            return call
        @passed_on
        def main(x): return x, P.__name__
        """
    assert desk.result(text, 1) == (1, "P")
