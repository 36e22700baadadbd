"""Classes that no statement has made: by a call that makes them again, member by member, or at last by cloudpickle."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest

from fanfold.source.capture import Captured, capture
from fanfold.source.explain import explain
from fanfold.source.load import load
from fanfold.source.pickled import meaning
from tests.source.conftest import Desk

CALLS = {
    "a model of a call": (
        "from pydantic import create_model, Field\n"
        "M = create_model('M', a=(int, 3), b=(str, ...), c=(int, Field(1, gt=0)))\n"
        "def main(x): return M(b=x).model_dump()",
        {"a": 3, "b": "q", "c": 1},
    ),
    "a model that extends one of a statement": (
        "from pydantic import BaseModel, create_model\n"
        "class Base(BaseModel):\n  x: int = 1\n  def twice(self): return self.x * 2\n"
        "M = create_model('M', __base__=Base, y=(int, 5))\nmade = M(x=4)\n"
        "def main(x): return [M().twice(), made.twice(), made.y, isinstance(made, Base), type(made) is M]",
        [2, 8, 5, True, True],
    ),
    "a model whose text is gone": (
        "from pydantic import BaseModel, field_validator\nK = 10\n"
        "exec('class M(BaseModel):\\n  k: int = 4\\n  @field_validator(\"k\")\\n  def more(cls, v): return v + K\\n')\n"
        "def main(x): return [M(k=1).k, M().k]",
        [11, 4],
    ),
    "an abstract class's": (
        "import abc\nclass A(abc.ABC):\n  @abc.abstractmethod\n  def run(self): ...\n"
        "T = type('T', (A,), {'run': lambda self: 7})\ndef main(x): return [T().run(), isinstance(T(), A)]",
        [7, True],
    ),
    "a sequence": (
        "from collections.abc import Sequence\n"
        "S = type('S', (Sequence,), {'__len__': lambda s: 2, '__getitem__': lambda s, i: [1, 2][i]})\n"
        "def main(x): return [list(S()), isinstance(S(), Sequence), 2 in S()]",
        [[1, 2], True, True],
    ),
    "a typed dict": (
        "import typing\nT = typing.TypedDict('T', {'a': int, 'b-c': str}, total=False)\n"
        "def main(x): return [T(a=1), sorted(typing.get_type_hints(T)), T.__total__]",
        [{"a": 1}, ["a", "b-c"], False],
    ),
    "a structure of C": (
        "import ctypes\nclass S(ctypes.Structure): _fields_ = [('a', ctypes.c_int)]\n"
        "def main(x): return [S(4).a, ctypes.sizeof(S)]",
        [4, 4],
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_it_is_the_class_that_it_was(desk: Desk, name: str) -> None:
    text, result = CALLS[name]
    module = desk.module(text)
    assert module.main("q") == result
    assert desk.elsewhere(capture(module.main), "q") == result


def test_its_base_and_its_functions_stay_one_with_the_udf_s(desk: Desk) -> None:
    module = desk.module(
        "from pydantic import BaseModel, create_model\nSEEN = []\n"
        "class Base(BaseModel):\n"
        "  @classmethod\n  def __pydantic_init_subclass__(cls, **_): SEEN.append(cls.__name__)\n"
        "  def note(self): SEEN.append(self.y)\n"
        "M = create_model('M', __base__=Base, y=(int, 5))\n"
        "def main():\n  M().note()\n  return [SEEN, M.__mro__[1] is Base]\n"
    )
    assert desk.elsewhere(capture(module.main)) == [["M", 5], True]  # the hook is not told of M a second time


def test_what_it_needs_is_said_and_checked(desk: Desk) -> None:
    module = desk.module(CALLS["a model of a call"][0])
    captured = Captured(module.main)
    needs = {package: version for _, package, version in captured.bundle.needs}
    assert needs["Python"] == f"{sys.version_info.major}.{sys.version_info.minor}"
    assert "pydantic" in needs
    assert "as cloudpickle writes it" in str(explain(module.main))
    older = captured.bundle._replace(needs=(("M (a class, pickled)", "Python", "3.9"),))
    with pytest.raises(Exception, match=r"M \(a class, pickled\).*3\.9"):
        load(older)


def test_where_a_class_lies_in_memory_does_not_count_however_many_digits_that_has() -> None:
    near, far, other = (pickle.dumps([f"M:{place}", kind]) for place, kind in (("9412", 1), ("140123", 1), ("9412", 2)))
    assert meaning(near, ["9412"]) == meaning(far, ["140123"])
    assert meaning(near, ["9412"]) != meaning(other, ["9412"])


def test_the_next_process_captures_the_same(desk: Desk) -> None:
    module = desk.module(CALLS["a model of a call"][0])
    program = (
        f"import sys; sys.path[:0] = {[str(desk.root), *sys.path]!r}\nimport work\n"
        "from fanfold.source.capture import capture\nprint(capture(work.main).code_hash)"
    )
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip()
    assert capture(module.main).code_hash == again
    changed = desk.module(CALLS["a model of a call"][0].replace("gt=0", "gt=-9"))
    assert capture(changed.main).code_hash != again
