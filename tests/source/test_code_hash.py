"""The code hash changes with whatever can change a result, and with nothing else."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanfold.source.texts import tree_hash
from tests.source.conftest import Desk, interpreters

SAMPLE = '''
import math
import fan

SCALE = 3
NAMES = ["a", "b"]

class Base:
    """What it is."""
    rate = 1.5

class Point(Base):
    def far(self, x):
        return x > 10 and not None

def helper(x, *, flag=True):
    total = 7
    for n in range(4):
        total += n * 2
    return f"{total:>{5}} of {x!r}", b"raw", 1j, -2.5e3

@fan.udf(name="sample")
def main(x: "int" = 1):
    """One line.

        More of it,
          indented.
    """
    return helper(x), Point().far(x), SCALE, NAMES, math.pi
'''

LINES = SAMPLE.split("\n")
DOCSTRING = range(LINES.index('    """One line.') + 1, LINES.index('    """') + 1)
#: Before which lines a blank line or a comment may stand.
GAPS = [n for n in range(len(LINES)) if n not in DOCSTRING]


def hash_of(desk: Desk, text: str) -> str:
    return desk.capture(text).code_hash


def literals(text: str) -> Iterator[tuple[int, int, int, object]]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and not isinstance(node.value, type(None)):
            yield node.lineno, node.col_offset, node.end_col_offset or 0, node.value


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(GAPS), st.sampled_from(["", "# a comment", "    # indented", "\t", "#é"]))))
def test_comments_and_blank_lines_never_change_it(desk: Desk, inserted: list[tuple[int, str]]) -> None:
    lines = list(LINES)
    for n, text in sorted(inserted, reverse=True):
        lines.insert(n, text)
    assert hash_of(desk, "\n".join(lines)) == hash_of(desk, SAMPLE)


def test_any_literal_in_the_function_and_in_what_it_refers_to_changes_it(desk: Desk) -> None:
    known = {hash_of(desk, SAMPLE)}
    for line, start, end, value in literals(SAMPLE):
        if LINES[line - 1].startswith("@") or "\n" in str(value) or LINES[line - 1].lstrip().startswith("return f"):
            continue
        changed = list(LINES)
        other = repr(not value) if isinstance(value, bool) else repr(value * 2 if value else value)
        changed[line - 1] = LINES[line - 1][:start] + other + LINES[line - 1][end:]
        known.add(hash_of(desk, "\n".join(changed)))
    assert len(known) == 1 + 12  # all of them different


LITERALS = st.one_of(
    st.integers(), st.floats(min_value=0), st.text(), st.binary(), st.booleans(), st.none(), st.just(...)
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LITERALS, LITERALS, st.sampled_from(["return {!r}", "return helper()\ndef helper(x={!r}): pass"]))
def test_two_literals_have_one_hash_only_if_they_are_the_same(
    desk: Desk, one: object, other: object, text: str
) -> None:
    first, second = (hash_of(desk, "inf = 1e999\ndef main():\n    " + text.format(value)) for value in (one, other))
    assert (first == second) == (type(one) is type(other) and repr(one) == repr(other))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("{total:>", "{total:<"),
        ("{5}", "{6}"),
        (" of ", " off "),
        ("{x!r}", "{x!s}"),
        ('b"raw"', '"raw"'),
        ("1j", "1.0"),
        ("-2.5e3", "-2.5e4"),
        ("n * 2", "n + 2"),
        ("total += n", "total -= n"),
        ('"int"', '"float"'),
        ("class Point(Base)", "class Point"),
        ("import math", "import cmath as math"),
        ("NAMES = [", "NAMES = ['c', "),
        ("not None", "None"),
        ("More of it", "Less of it"),
        ("def main", "async def main"),
        ("*, flag", "flag"),
    ],
)
def test_what_can_change_a_result_changes_it(desk: Desk, old: str, new: str) -> None:
    assert hash_of(desk, SAMPLE.replace(old, new)) != hash_of(desk, SAMPLE)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('@fan.udf(name="sample")\n', ""),
        ('@fan.udf(name="sample")', "@fan.udf"),
        ("import math\n", "import math, os\n"),
        ("SCALE = 3", "SCALE = 1 + 2"),
        ("SCALE = 3", "OTHER = 4\nSCALE = 3"),
        ('"""\n    return', '\n    """\n    return'),
        ("        More of it,\n          indented.", "            More of it,\n              indented."),
        ("helper(x), Point()", "(helper(x)),Point( )"),
        ('"a", "b"', "'a',\n  'b'"),
        ("def helper", "def unused(): ...\n\ndef helper"),
        ("1.5", "1.50"),
        ("range(4)", "range(0x4)"),
    ],
)
def test_what_cannot_change_a_result_does_not(desk: Desk, old: str, new: str) -> None:
    assert old in SAMPLE
    assert hash_of(desk, SAMPLE.replace(old, new)) == hash_of(desk, SAMPLE)


def test_neither_files_nor_order_nor_nesting_count(desk: Desk) -> None:
    text = "A = 1\ndef one(): return A\ndef main(): return one()\n"
    same = "def main(): return one()\ndef one(): return A\nA = 1\n"
    elsewhere = desk.module(same, "some.other")
    from fanfold.source.capture import capture

    assert hash_of(desk, text) == hash_of(desk, same) == capture(elsewhere.main).code_hash
    nested = desk.module("def make():\n  def main():\n    return 1\n  return main\n", "nested").make()
    assert capture(nested).code_hash == hash_of(desk, "def main(): return 1\n")


def test_modules_of_the_project_count_whole_installed_ones_by_name(desk: Desk) -> None:
    text = "import tool\ndef main(): return tool.f()\n"

    def hash_with(tool: str) -> str:
        sys.modules.pop("tool", None)
        desk.write("tool.py", tool)
        return hash_of(desk, text)

    first = hash_with("import fan\n@fan.udf\ndef f(): return 1\n")
    assert hash_with("import fan\n\n# comment\ndef f(): return 1\n") == first
    assert hash_with("import fan\n@fan.udf\ndef f(): return 2\n") != first


def test_none_true_and_absent_are_told_apart() -> None:
    texts = ["return", "return None", "return 1", "return True", "return 1.0", "return '1'", "return b'1'", "return ''"]
    texts += ["return f''", "return f'{1}'", "return '{1}'", "return -0.0", "return 0.0", "return ..."]
    texts += ["return {**x}", "return {None: x}", "return [x]", "return (x,)", "x: int", "x: int = None"]
    hashes = {tree_hash(ast.parse(f"def f():\n    {text}\n")) for text in texts}
    assert len(hashes) == len(texts)


SYNTAX = '''
import math as m
from os import path
import functools

def deco(fn):
    @functools.wraps(fn)
    def call(*args, **kwargs):
        return fn(*args, **kwargs)
    return call

class Point:
    """A point.

        Indented.
    """
    x: int = 1

    def __init__(self, *a, k=None, **kw):
        super().__init__()
        self.at = [*a, {**kw, "k": k}]

@deco
def helper(x, /, y=..., *, z=(1, 2.5, 1e400, -0.0, 10**30, 3j, b"b", None, True)):
    """Doc."""
    match x:
        case None | True: return 1
        case [1, *rest] if rest: return rest
        case {"a": int(v), **others}: return v
    try:
        with open(x) as f, open(y): pass
    except (ValueError, TypeError) as error:
        raise error from None
    finally:
        del x
    return lambda q: [w for w in q if (n := w) > 1]

async def main(x: "list[int]" = None) -> "Point | None":
    async for n in x:
        yield await n
    global G
    G = f"{x!r:>{10}}" "tail" f"{x=}" f"{'nested'}" f"{x:%Y-%m}" rf"\\d{x}" f"{{}}"
    assert x, "why"
    helper(x), Point.x, path.join("a"), m.pi, x[1:2, ::3], x if x else -x, 0xFF_FF, "\\ud800", not x
'''

#: Pinned: when it changes, no cached result of anybody's is found again.
GOLDEN = "1a742aebdfebcb70845d156642511c58bf9549cb7744fe2aaca2047f3915cc51"

HASH = """
import sample
from fanfold.source.capture import capture
from fanfold.source.load import load
bundle = capture(sample.main)
assert load(bundle)().__name__ == "main"
print(bundle.code_hash)
"""


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: path.split("/")[-3])
def test_every_python_computes_the_same(desk: Desk, python: str) -> None:
    desk.write("sample.py", SYNTAX)
    client = Path(__file__).parents[2] / "client"
    environment = {**os.environ, "PYTHONPATH": f"{desk.root}{os.pathsep}{client}", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([python, "-c", HASH], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == GOLDEN


FROZEN = """
class Conf:
    __slots__ = ("name", "_hash", "more")
    def __init__(self, name, more=None):
        self.name, self.more = name, more
        self._hash = hash((Conf, name))
    def __hash__(self):
        return self._hash
class Open:
    def __init__(self, name, more=None):
        self.name, self.more, self.cached_hash = name, more, hash(name)
    def __hash__(self):
        return hash(self.name)
"""

HASHED = """
import sys
sys.path[:0] = [sys.argv[1], sys.argv[2]]
import work
from fanfold.source.capture import capture
print([capture(each).code_hash for each in (work.slots, work.attributes, work.nested, work.in_parts)])
"""

HOLDING = """
from confs_that_hash import Conf, Open
A, B, C, D = Conf("a"), Open("a"), Conf("a", Open("b")), Open("a", [len])
def slots(): return A.name
def attributes(): return B.name
def nested(): return C.name
def in_parts(): return D.name
"""


def test_a_hash_that_an_object_keeps_of_itself_is_another_in_each_process_and_does_not_count(desk: Desk) -> None:
    desk.write("../site-packages/confs_that_hash.py", FROZEN)

    def hashes(seed: str) -> list[str]:
        command = [sys.executable, "-c", HASHED, str(desk.root), str(desk.installed)]
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return list(ast.literal_eval(done.stdout))

    desk.write("work.py", HOLDING)
    first = hashes("1")
    assert hashes("2") == first
    desk.write("work.py", HOLDING.replace('"a"', '"c"'))
    assert not set(hashes("1")) & set(first)
