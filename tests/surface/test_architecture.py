"""The house stays small enough to walk through."""

from __future__ import annotations

import ast
import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.surface.files_of_a_submit import files_of_a_submit

ROOT = Path(__file__).parents[2]
PACKAGE = [*ROOT.glob("client/**/*.py"), *ROOT.glob("runtime/**/*.py")]
SOURCES = [*PACKAGE, *ROOT.glob("infra/*.py")]


def test_no_file_has_more_than_600_lines():
    assert [str(path.relative_to(ROOT)) for path in SOURCES if path.read_text().count("\n") > 600] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_function_has_more_than_40_lines(path):
    functions = (
        n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert [f.name for f in functions if f.end_lineno - _first_line_of_body(f) >= 40] == []


def _first_line_of_body(function):
    """Where its statements begin: a signature with its types and a docstring are read, not followed."""
    body = function.body[1:] if ast.get_docstring(function) and function.body[1:] else function.body
    return body[0].lineno


def test_no_class_has_the_name_of_another():
    places = defaultdict(list)
    for path in PACKAGE:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(path.relative_to(ROOT)))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_no_file_has_the_name_of_two_others():
    names = Counter(path.name for path in PACKAGE)
    assert [name for name, count in names.items() if count > 2 and not name.startswith("__")] == []


def test_the_top_of_the_package_has_about_a_dozen_names():
    top = [p.name for p in (ROOT / "client" / "fanfold").iterdir() if p.suffix == ".py" or (p / "__init__.py").exists()]
    assert len([name for name in top if name != "__main__.py"]) <= 19  # it is how `python -m fanfold` begins, no room


_PAGE = (ROOT / "docs" / "architecture.md").read_text()
_WALKS = _PAGE.partition("## A walk")[2].partition("## What holds it together")[0]
_NAMED = re.findall(r"`((?:\w+/)*\w+\.py)`", _WALKS)


def test_the_walks_name_files_that_there_are():
    places = (ROOT / "client" / "fanfold", ROOT)
    assert [name for name in _NAMED if not any((place / name).is_file() for place in places)] == []


def test_the_walks_name_each_file_once():
    assert sorted(_NAMED) == sorted(set(_NAMED))


def test_a_submit_on_this_machine_goes_through_at_most_45_files_which_are_those_of_the_walk():
    local = _WALKS.partition("## A walk: the same on Lambda")[0]
    files = set.union(*files_of_a_submit().values())
    assert len(files) <= 45
    assert set(re.findall(r"`((?:\w+/)*\w+\.py)`", local)) == files


def test_every_room_of_the_package_stands_in_the_picture_of_the_house():
    tree = _PAGE.partition("## The house")[2].partition("## A walk")[0]
    rooms = [
        p.name + ("/" if p.is_dir() else "") for p in (ROOT / "client" / "fanfold").iterdir() if p.suffix in ("", ".py")
    ]
    assert [room for room in rooms if room not in tree and not room.startswith("__")] == []


#: Words that a reader has to read twice.
_HARD_WORDS = re.compile(r"(?:\b|_)(whoever|mend(?:s|ed)?|none[ _]of[ _]ours|told[ _]lost)(?:\b|_)", re.I)
_TEXTS = (*SOURCES, *ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("docs/*.md"))


def test_texts_are_in_plain_words():
    own = Path(__file__)
    read = ((path, path.read_text(encoding="utf-8")) for path in _TEXTS if path != own)
    assert [f"{path.relative_to(ROOT)}: {word}" for path, text in read for word in _HARD_WORDS.findall(text)] == []
