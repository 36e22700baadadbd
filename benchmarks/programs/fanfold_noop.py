"""No-op runs on Fanfold's local engine, every one durable: `N`, import included; `cached`, or `max_workers=2`."""

import sys
import time

began = time.perf_counter()
import fanfold  # noqa: E402


def noop(x: int):
    return x


count, options = int(sys.argv[1]), {"max_workers": 2} if "max_workers=2" in sys.argv else {}
values = fanfold.submit(noop, range(count), collect=False, cache="cached" in sys.argv, **options).results()
took_s = time.perf_counter() - began
assert values == list(range(count))

from _told import tell  # noqa: E402

tell(took_s)
