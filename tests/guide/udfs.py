"""The UDFs of the guide's tests, and what their last job came to."""

from __future__ import annotations

import datetime as dt

import fanfold


@fanfold.udf
def squared(x: int):
    return x * x


@fanfold.udf
def times(x: int, y: int = 2):
    return x * y


@fanfold.udf
def rows(day: dt.date, n: int = 2):
    import pandas as pd

    return pd.DataFrame({"value": range(n)})


@fanfold.udf
def odd_only(x: int):
    if x % 2 == 0:
        raise ValueError(f"{x} is even")
    return x


@fanfold.udf
def meet(x: int, folder: str, count: int = 2):
    """Ends only where so many runs are under way at the same time."""
    import pathlib
    import time

    place = pathlib.Path(folder)
    (place / str(x)).touch()
    deadline = time.monotonic() + 200
    while len(list(place.iterdir())) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return x


@fanfold.udf
def held(x: int, folder: str):
    """Prints that it has begun, and goes on until it is let go."""
    import pathlib
    import time

    print("begun", x, flush=True)
    place = pathlib.Path(folder)
    (place / f"begun-{x}").touch()
    deadline = time.monotonic() + 200
    while not (place / "go").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return x


def last_counts():
    return fanfold.get_jobs(limit=1)[0].counts()
