"""How old a cached result may be is written the way people say it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from fanfold.contract.layout import DEFAULT_CACHE_MAX_AGE_S
from fanfold.core.cache_key import parse_age
from fanfold.errors import InputError


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("30s", 30),
        ("5m", 300),
        ("12h", 43_200),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("1.5h", 5_400),
        (" 90 ", 90),
        ("0", 0),
        (0, 0),
        (90, 90),
        (0.5, 0.5),
        (timedelta(days=1, seconds=1), 86_401),
        (None, DEFAULT_CACHE_MAX_AGE_S),
    ],
)
def test_ages_are_seconds(written, seconds):
    assert parse_age(written) == seconds


@pytest.mark.parametrize(
    "written",
    [
        "",
        "d",
        "7 days",
        "-1d",
        "1y",
        "1e3",
        "٣d",
        "nan",
        -1,
        float("nan"),
        float("inf"),
        10**400,
        True,
        [],
        timedelta(-1),
    ],
    ids=repr,
)
def test_anything_else_is_an_error_that_says_how_to_write_it(written):
    with pytest.raises(InputError, match="is not an age") as error:
        parse_age(written)
    assert '"7d"' in error.value.next_step
