"""No-op calls in concurrent.futures.ProcessPoolExecutor: `N`, import and start included."""

import sys
import time

began = time.perf_counter()
from concurrent.futures import ProcessPoolExecutor  # noqa: E402


def noop(x):
    return x


if __name__ == "__main__":
    count = int(sys.argv[1])
    with ProcessPoolExecutor(2) as pool:
        values = list(pool.map(noop, range(count)))
    took_s = time.perf_counter() - began
    assert values == list(range(count))
    from _told import tell

    tell(took_s)
