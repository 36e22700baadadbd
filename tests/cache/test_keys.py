"""A key stands for exactly what can change a result."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanfold.core.cache_key import KeyMaker

NAMES = ("code_hash", "constants", "path", "image", "arguments")
PARTS = st.tuples(*(st.text("ab1:", max_size=3),) * len(NAMES))
LIKE_LENGTHS = st.sampled_from(["", "1:", "0:", "2:1:", "1", ":"])
TRICKY = st.tuples(*(LIKE_LENGTHS,) * len(NAMES))


def run_key(*, arguments: str, **shared: str) -> str:
    return KeyMaker(**shared).key(arguments)


def key_of(parts: tuple[str, ...]) -> str:
    return run_key(**dict(zip(NAMES, parts, strict=True)))


@given(PARTS | TRICKY, PARTS | TRICKY)
def test_keys_are_alike_exactly_where_all_parts_are(some, others):
    assert (key_of(some) == key_of(others)) == (some == others)


@given(st.lists(st.text(max_size=4), min_size=5, max_size=5), st.data())
def test_moving_text_from_one_part_to_the_next_changes_the_key(parts, data):
    where = data.draw(st.integers(0, len(parts) - 2))
    moved = [*parts]
    moved[where], moved[where + 1] = "", parts[where] + parts[where + 1]
    assert (key_of(tuple(parts)) == key_of(tuple(moved))) == (parts == moved)


def test_a_key_maker_makes_the_same_keys_as_one_at_a_time():
    shared = {"code_hash": "c", "constants": "{}", "path": "realtime", "image": "py3.11"}
    maker = KeyMaker(**shared)
    for arguments in ("[1]", "[2]", "", '["Köln"]', "[1]"):
        assert maker.key(arguments) == run_key(arguments=arguments, **shared)


def test_keys_stay_the_same_from_one_version_to_the_next():
    """A change here means that every result cached so far is computed again: raise KEY_FORMAT, and say so."""
    key = run_key(code_hash="c", arguments="[1]", constants="{}", path="realtime", image="py3.11")
    assert key == "2f7e47cc359d623cd8d37ffdcc89271ab12c772a7585b273cab823d0cf43da49"


@pytest.mark.parametrize("path", ["large", "m5.4xlarge"])
def test_realtime_and_dedicated_keep_apart(path):
    shared = {"code_hash": "c", "constants": "{}", "image": "py3.11", "arguments": "[1]"}
    assert run_key(path="realtime", **shared) != run_key(path=path, **shared)
