"""Classes that a library makes of their statements are made in the order in which they were made here."""

from __future__ import annotations

import pytest

from tests.source.conftest import Desk

#: Of each pair of names one sorts before the other, and the names of a bundle are sorted.
PAIRS = [("Inner", "Outer"), ("Zone", "Area")]


@pytest.mark.parametrize(("below", "above"), PAIRS)
@pytest.mark.parametrize(
    ("imports", "above_it"),
    [
        ("from pydantic import BaseModel", "class {}(BaseModel):"),
        ("import attrs", "@attrs.define\nclass {}:"),
    ],
)
def test_a_model_within_a_model_whichever_name_comes_first(
    desk: Desk, below: str, above: str, imports: str, above_it: str
) -> None:
    text = (
        f"{imports}\n{above_it.format(below)}\n    size: int\n{above_it.format(above)}\n    part: {below}\n"
        f"def main():\n    return {above}(part={below}(size=3)).part.size\n"
    )
    assert desk.result(text) == 3


MODELS = """
    from pydantic import BaseModel, Field

    class Address(BaseModel):
        city: str = "x"

    class Account(BaseModel):
        owner: "User | None" = None
        address: Address = Field(default_factory=Address)

    class User(BaseModel):
        accounts: list[Account] = []
        boss: "User | None" = None

    FIRST = Account()
    USERS = {"bob": User(accounts=[FIRST, Account(address=Address(city="q"))])}
    USERS["bob"].boss = USERS["bob"]
    FIRST.owner = USERS["bob"]

    class All(BaseModel):
        users: dict[str, User] = USERS

    class Holder:
        def __init__(self):
            self.all, self.own = All(), self

    HOLDER = Holder()
"""


def test_instances_of_models_that_hold_each_other(desk: Desk) -> None:
    text = (
        MODELS
        + """
    def main():
        bob = USERS["bob"]
        held = HOLDER.all.users["bob"].accounts[1].address.city, HOLDER.own is HOLDER
        return bob.boss is bob, bob.accounts[0].owner is bob, FIRST is bob.accounts[0], type(bob) is User, held
    """
    )
    assert desk.result(text) == (True, True, True, True, ("q", True))


@pytest.mark.parametrize("name", ["HOLDER.all", "FIRST", "All", "USERS"])
def test_any_of_them_alone_brings_what_it_needs(desk: Desk, name: str) -> None:
    text = MODELS + f"\n    def main():\n        return {name} is not None, Holder is not None\n"
    assert desk.result(text) == (True, True)


def test_a_list_of_models_that_contains_itself(desk: Desk) -> None:
    text = """
        from pydantic import BaseModel
        class Zone(BaseModel): size: int = 1
        class Area(BaseModel): zone: Zone
        AREAS = [Area(zone=Zone()) for _ in range(3)]
        AREAS.append(AREAS)
        class Keeper:
            def __init__(self): self.areas, self.me = AREAS, self
        keeper = Keeper()
        def main():
            whole = keeper.areas[3] is keeper.areas is AREAS
            return whole, keeper.me is keeper, keeper.areas[1].zone.size, isinstance(AREAS[0], Area)
    """
    assert desk.result(text) == (True, True, 1, True)


def test_what_a_statement_calls_is_there(desk: Desk) -> None:
    text = """
        from pydantic import BaseModel, Field
        LIMIT = 7
        class Zone(BaseModel): size: int = LIMIT
        def field(): return Field(default_factory=lambda: Zone(size=LIMIT))
        class Area(BaseModel):
            zone: object = field()
        def main(): return Area().zone.size, Zone().size
    """
    assert desk.result(text) == (7, 7)


def test_postponed_annotations_name_models_that_stand_above(desk: Desk) -> None:
    text = """
        from __future__ import annotations
        from pydantic import BaseModel
        class Zone(BaseModel):
            size: int
        class Area(BaseModel):
            zone: Zone
            areas: list[Area] = []
        def main(): return Area(zone={"size": 3}, areas=[{"zone": {"size": 4}}]).areas[0].zone.size
    """
    assert desk.result(text) == 4


def test_what_an_object_is_made_of_is_whole_when_it_is_made(desk: Desk) -> None:
    text = """
        from pydantic import BaseModel
        class Zone(BaseModel): size: int = 2
        class Zoned(BaseModel): zone: Zone
        class Held:
            def __init__(self, areas): self.areas, self.sum = areas, sum(each.zone.size for each in areas)
            def __reduce__(self): return Held, (self.areas,)
        a_list = [Zoned(zone=Zone()), Zoned(zone=Zone())]
        held = Held(a_list)
        def main(): return held.sum, held.areas is a_list, Zone().size
    """
    assert desk.result(text) == (4, True, 2)
