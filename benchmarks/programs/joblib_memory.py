"""Results read from joblib.Memory: `N FOLDER`. The first round of a folder computes them."""

import sys
import time

began = time.perf_counter()
from joblib import Memory  # noqa: E402

memory = Memory(sys.argv[2], verbose=0)


@memory.cache
def noop(x):
    return x


count = int(sys.argv[1])
values = [noop(x) for x in range(count)]
took_s = time.perf_counter() - began
assert values == list(range(count))

from _told import tell  # noqa: E402

tell(took_s)
