"""Our named tuples are what `typing.NamedTuple` makes, less the time that it takes."""

from __future__ import annotations

import pickle
import re
import typing
from pathlib import Path

import pytest

import fanfold
from fanfold.contract.records import NamedTuple


class Tile(NamedTuple):
    """A tile."""

    x: int
    y: int
    name: str = "tile"
    bands: tuple[int, ...] = (1, 2)

    @property
    def key(self) -> str:
        """Where it lies."""
        return f"{self.x}/{self.y}"

    def moved(self, x: int) -> Tile:
        """The tile beside it."""
        return self._replace(x=self.x + x)


class Typings(typing.NamedTuple):
    """A tile."""

    x: int
    y: int
    name: str = "tile"
    bands: tuple[int, ...] = (1, 2)


@pytest.mark.parametrize("arguments", [((1, 2), {}), ((1,), {"y": 2, "name": "t"}), ((), {"y": 1, "x": 2})])
def test_it_is_made_by_position_and_by_name_as_typings_is(arguments):
    by_position, by_name = arguments
    ours, typings = Tile(*by_position, **by_name), Typings(*by_position, **by_name)
    assert ours == typings
    assert ours._asdict() == typings._asdict()
    assert hash(ours) == hash(typings)
    assert repr(ours) == repr(typings).replace("Typings", "Tile")


@pytest.mark.parametrize("arguments", [((), {}), ((1, 2, "t", (), 5), {}), ((1,), {"z": 2}), ((1, 2), {"x": 1})])
def test_what_it_does_not_take_is_the_same_error(arguments):
    by_position, by_name = arguments
    with pytest.raises(TypeError) as ours:
        Tile(*by_position, **by_name)
    with pytest.raises(TypeError) as typings:
        Typings(*by_position, **by_name)
    assert str(ours.value).replace("Tile.", "") == str(typings.value).replace("Typings.", "")


def test_it_says_of_itself_what_typings_does():
    for name in ("_fields", "_field_defaults", "__match_args__", "__doc__"):
        assert getattr(Tile, name) == getattr(Typings, name)
    assert not hasattr(Tile(1, 2), "__dict__")
    assert issubclass(Tile, tuple)


def test_it_is_made_anew_from_parts_and_by_changes():
    tile = Tile(1, 2)
    assert Tile._make([1, 2, "tile", (1, 2)]) == tile
    assert tile.moved(3) == Tile(4, 2)
    assert tile.key == "1/2"
    with pytest.raises(TypeError):
        Tile._make([1])
    with pytest.raises(ValueError, match="no field z"):
        tile._replace(z=1)
    with pytest.raises(AttributeError):
        tile.x = 3  # type: ignore[misc]


def test_it_pickles_matches_and_takes_apart():
    tile = Tile(1, 2, bands=())
    assert pickle.loads(pickle.dumps(tile)) == tile
    assert type(pickle.loads(pickle.dumps(tile))) is Tile
    match tile:
        case Tile(x, y, bands=bands):
            assert (x, y, bands) == (1, 2, ())
        case _:
            pytest.fail("it did not match")


def test_a_field_without_a_default_does_not_follow_one_that_has_a_default():
    with pytest.raises(TypeError, match="without a default"):
        type(NamedTuple)("Wrong", (NamedTuple,), {"__annotations__": {"x": "int", "y": "int"}, "x": 1})


def test_the_package_makes_its_named_tuples_here():
    sources = Path(fanfold.__file__).parent.rglob("*.py")
    slow = [path.name for path in sources if re.search(r"^from typing import .*\bNamedTuple\b", path.read_text(), re.M)]
    assert slow == []
