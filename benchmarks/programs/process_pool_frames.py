"""The same results in concurrent.futures.ProcessPoolExecutor, import and start included."""

import sys
import time

began = time.perf_counter()
from concurrent.futures import ProcessPoolExecutor  # noqa: E402
from functools import partial  # noqa: E402


def frame(seed, rows):
    import numpy as np
    import pandas as pd

    return pd.DataFrame(np.random.default_rng(seed).random((rows, 10)))


if __name__ == "__main__":
    count, rows = map(int, sys.argv[1:3])
    with ProcessPoolExecutor(2) as pool:
        values = list(pool.map(partial(frame, rows=rows), range(count)))
    took_s = time.perf_counter() - began
    assert [value.shape for value in values] == [(rows, 10)] * count
    from _told import tell

    tell(took_s)
