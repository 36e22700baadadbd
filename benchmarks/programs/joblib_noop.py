"""No-op calls in joblib's loky backend with automatic batching: `N`, import and start included."""

import sys
import time

began = time.perf_counter()
from joblib import Parallel, delayed  # noqa: E402


def noop(x):
    return x


if __name__ == "__main__":
    count = int(sys.argv[1])
    values = Parallel(n_jobs=2)(delayed(noop)(x) for x in range(count))
    took_s = time.perf_counter() - began
    assert values == list(range(count))
    from _told import tell

    tell(took_s)
