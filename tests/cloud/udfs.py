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
    deadline = time.monotonic() + 200
    while not (place / "go").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return x


@fanfold.udf
def prints_as_told(x: int, folder: str):
    """Prints a line at once, and one more for each file that comes."""
    import pathlib
    import time

    print("line 0", flush=True)
    deadline = time.monotonic() + 200
    for n in (1, 2):
        while not (pathlib.Path(folder) / str(n)).exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        print("line", n, flush=True)


def begun(folder):
    return [path for path in folder.iterdir() if path.name != "go"]


@fanfold.udf(retry_on=[OSError])
def fails_once(x: int, folder: str):
    """Fails at the first try of each input."""
    import pathlib

    place = pathlib.Path(folder) / str(x)
    if not place.exists():
        place.touch()
        raise OSError("the first try")
    return x


@fanfold.udf
def always_fails(x: int):
    import time

    time.sleep(0.3)
    raise ValueError("always the same")


@fanfold.udf(timeout_s=3)
def slow_once(x: int, folder: str = ""):
    """Takes longer for one input than a function may; with a folder, the first time only."""
    import pathlib
    import time

    mark = pathlib.Path(folder, "slow")
    if x == 1 and not (folder and mark.exists()):
        if folder:
            mark.touch()
        time.sleep(60)
    return 10 * x


@fanfold.udf(idempotent=True, max_retry=0, cache_max_age=0)
def straggles(n: int, folder: str, tries: int = 1):
    """The first `tries` of input 3 wait for a file; each notes that it has begun, and in which process."""
    import os
    import pathlib
    import time

    with (pathlib.Path(folder) / "begun").open("a") as file:
        file.write(f"{n}.{fanfold.attempt()} {os.getpid()}\n")
    while n == 3 and fanfold.attempt() < tries and not (pathlib.Path(folder) / "go").exists():
        time.sleep(0.1)
    return n * n


def tries_begun(folder) -> dict[str, int]:
    """The tries of `straggles` that have begun, and the process of each."""
    lines = (folder / "begun").read_text().splitlines() if (folder / "begun").exists() else []
    return {what: int(pid) for what, pid in map(str.split, lines)}


@fanfold.udf
def noted(x: int, folder: str):
    """Notes when it began and ended, by the clock of all processes here; when 42 have, it waits to be let go."""
    import pathlib
    import time

    began, place = time.monotonic(), pathlib.Path(folder)
    time.sleep(0.05)
    while not (place / "go").exists() and len(list(place.iterdir())) >= 42:
        assert time.monotonic() < began + 200
        time.sleep(0.1)
    (place / str(x)).write_text(f"{began} {time.monotonic()}")
    return x
