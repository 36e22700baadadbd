"""For our own programs: run a case, compare with what is expected, say what became of it in one line."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "adapters"))
import elsewhere

run = elsewhere.run
#: A case that takes longer hangs.
_LONGEST_S = 60


def executor_type():
    """fanfold.Executor, or the peer's."""
    if elsewhere.ENGINE == "fanfold":
        import fanfold

        return fanfold.Executor
    from concurrent.futures import ProcessPoolExecutor

    return ProcessPoolExecutor


def case(name, act, expected=None, *, same=None):
    """Run `act`; its value has to be `expected`, or pass `same(value)`. What it cannot carry it may refuse."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(_LONGEST_S)
    try:
        got = act()
        good = same(got) if same is not None else _equal(got, expected)
        said = ["works", ""] if good else ["wrong", f"got {got!r}, expected {expected!r}"]
    except BaseException as error:
        said = [kind_of(error), f"{type(error).__name__}: {error}"]
    finally:
        signal.alarm(0)
    say(name, *said)


def say(name, outcome, text=""):
    sys.stdout.flush()
    os.write(1, f"\n@@ {json.dumps([name, outcome, ' '.join(str(text).split())[:400]])}\n".encode())


def end():
    """The program has come to its end; whatever still runs is not waited for."""
    say("@end", "works")
    sys.stdout.flush()
    os._exit(0)


def _equal(got, expected):
    try:
        return bool(got == expected)
    except ValueError:  # arrays
        import numpy as np

        return bool(np.array_equal(got, expected))


def kind_of(error):
    """Whether it was refused before anything ran, or failed."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"CaptureError", "InputError", "CodecError", "PicklingError", "UnsupportedError"}:
        return "refused"
    return "fails"


def _too_long(*_):
    raise TimeoutError(f"no end within {_LONGEST_S} s")
