"""100 results of a DataFrame of 0.5 MB in concurrent.futures.ProcessPoolExecutor, import and start included."""

import time

began = time.perf_counter()
from concurrent.futures import ProcessPoolExecutor  # noqa: E402


def frame(seed):
    import numpy as np
    import pandas as pd

    return pd.DataFrame(np.random.default_rng(seed).random((6250, 10)))


if __name__ == "__main__":
    with ProcessPoolExecutor(2) as pool:
        values = list(pool.map(frame, range(100)))
    took_s = time.perf_counter() - began
    assert [value.shape for value in values] == [(6250, 10)] * 100
    from _told import tell

    tell(took_s)
