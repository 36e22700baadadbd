"""Runs of 10 ms each on Fanfold's local engine: `N DURABILITY`, from the submit to the last result."""

import sys
import time

import fanfold


def short(x):
    time.sleep(0.01)
    return x


fanfold.configure(durability=sys.argv[2])
count = int(sys.argv[1])
began = time.perf_counter()
values = fanfold.submit(short, range(count), collect=False, cache=False).results()
took_s = time.perf_counter() - began
assert values == list(range(count))

from _told import tell  # noqa: E402

tell(took_s)
