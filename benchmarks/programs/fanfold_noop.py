"""No-op runs on Fanfold's local engine, every one durable: `N`, import included."""

import sys
import time

began = time.perf_counter()
import fanfold  # noqa: E402


def noop(x):
    return x


count = int(sys.argv[1])
values = fanfold.submit(noop, range(count), collect=False, cache="cached" in sys.argv).results()
took_s = time.perf_counter() - began
assert values == list(range(count))

from _told import tell  # noqa: E402

tell(took_s)
