"""A reader who has a job's classes no more gets them of the job's own code, where the job is the reader's own."""

import json
import subprocess
import sys
import textwrap

import pytest

SUBMIT = """
import dataclasses, enum, fanfold

class Colour(enum.Enum):
    RED = 1

@dataclasses.dataclass
class Box:
    side: int
    colour: Colour = Colour.RED
    def area(self): return self.side ** 2

def boxed(n: int):
    return Box(n)

job = fanfold.submit(boxed, [1, 2], collect=False).wait()
assert type(job.results()[0]) is Box
print(job.id)
"""
READ = """
import dataclasses, json, sys, fanfold
main = sys.modules["__main__"]
{before}
one, two = fanfold.get_job({job!r}).results()
own = type(one)
print(json.dumps([own.__name__, two.area(), own is type(two), own is globals().get("Box"),
                  one.colour is type(one.colour)(1)]))
assert sys.modules["__main__"] is main
"""
OTHER = "@dataclasses.dataclass\nclass Box:\n    wide: int\n"
SAME = "@dataclasses.dataclass\nclass Box:\n    side: int\n    colour: object\n    def area(self): return -1\n"


def run(folder, name, text):
    path = folder / name
    path.write_text(textwrap.dedent(text))
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A job of another process, in a home of its own."""
    folder = tmp_path_factory.mktemp("job")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FANFOLD_HOME", str(folder / "home"))
        yield folder, run(folder, "submit.py", SUBMIT)


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ("", ["Box", 4, True, False, True]),
        (OTHER, ["Box", 4, True, False, True]),  # of that name, with other fields
        (SAME, ["Box", -1, True, True, True]),  # the reader's own comes first
    ],
    ids=["none", "another", "its own"],
)
def test_the_class_comes_from_the_job_s_own_code_where_the_reader_has_none(made, monkeypatch, before, expected):
    folder, job = made
    monkeypatch.setenv("FANFOLD_HOME", str(folder / "home"))
    assert json.loads(run(folder, "read.py", READ.format(before=before, job=job))) == expected


def test_a_reader_whom_the_job_is_not_gets_plain_data(made, monkeypatch):
    folder, job = made
    monkeypatch.setenv("FANFOLD_HOME", str(folder / "home"))
    text = f"""
        import json, warnings, fanfold
        from fanfold.engines import base
        from fanfold.job import results
        results.was_submitted_here = lambda job: False
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            one, _ = fanfold.get_job({job!r}).results()
        print(json.dumps([one["side"], [str(each.message)[:12] for each in said][:1]]))
    """
    assert json.loads(run(folder, "other.py", text)) == [1, ["__main__.Box"]]


REDEFINED = """
import dataclasses, enum, warnings, fanfold, pydantic
from typing import NamedTuple

class Colour(enum.Enum):
    RED = 1
    BLUE = 2

@dataclasses.dataclass
class Box:
    side: int

class Model(pydantic.BaseModel):
    side: int

class Point(NamedTuple):
    side: int

class Slot:
    __slots__ = ("side",)
    def __init__(self, side): self.side = side

class Plain:
    def __init__(self, side): self.side = side

class Wrong(Exception): ...

def made(n: int):
    return Box(n), Model(side=n), Point(n), Slot(n), Plain(n), Colour.RED, Wrong(n)

if __name__ == "__main__":
    job = fanfold.submit(made, [1], collect=False).wait()
    before = dict(globals())
    exec({again!r}, globals())
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        found = job.results()[0]
    assert not said, [str(each.message) for each in said]
    colour, wrong = found[-2:]
    assert [each.side for each in found[:-2]] == [1] * 5, found
    assert colour.name == "RED" and colour.value == 1 and wrong.args == (1,), found
    print([type(each).__name__ for each in found], [type(each) is globals().get(type(each).__name__) for each in found])
"""
#: What a notebook's cells may have made of these names meanwhile.
AGAIN = {
    "each of another kind": """
class Box(pydantic.BaseModel):
    side: int
@dataclasses.dataclass
class Model:
    side: int
@dataclasses.dataclass
class Point:
    side: int
class Slot:
    __slots__ = ("wide",)
class Plain:
    __slots__ = ()
class Colour(enum.Enum):
    RED = 5
class Wrong: ...
""",
    "each a named tuple": "for name in ('Box', 'Model', 'Slot', 'Plain', 'Colour', 'Wrong'):\n"
    "    globals()[name] = NamedTuple(name, [('side', int)])\n"
    "class Point(NamedTuple):\n    side: int\n    wide: int = 2\n",
    "each a function": "for name in ('Box', 'Model', 'Point', 'Slot', 'Plain', 'Colour', 'Wrong'):\n"
    "    exec(f'def {name}(): ...', globals())\n",
    "each gone": "del Box, Model, Point, Slot, Plain, Colour, Wrong\n",
}


@pytest.mark.parametrize("again", AGAIN)
def test_what_has_been_redefined_meanwhile_is_what_it_was_in_the_results(tmp_path, monkeypatch, again):
    monkeypatch.setenv("FANFOLD_HOME", str(tmp_path / "home"))
    said = run(tmp_path, "script.py", REDEFINED.replace("{again!r}", repr(AGAIN[again])))
    assert said == f"{['Box', 'Model', 'Point', 'Slot', 'Plain', 'Colour', 'Wrong']} {[False] * 7}"
