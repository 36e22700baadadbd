"""The UDFs of the end-to-end tests."""

from __future__ import annotations

import fanfold


@fanfold.udf
def squared(x: int):
    return x * x


@fanfold.udf
def held(x: int, folder: str):
    """Goes on until it is let go; tells in the folder that it has begun."""
    import pathlib
    import time

    place = pathlib.Path(folder)
    (place / str(x)).touch()
    deadline = time.monotonic() + 60
    while not (place / "go").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return x


def begun(folder):
    return [path for path in folder.iterdir() if path.name != "go"]
