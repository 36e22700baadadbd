"""Results that are DataFrames, on Fanfold's local engine, import included: how many, and how many rows each."""

import sys
import time

began = time.perf_counter()
import fanfold  # noqa: E402

COUNT, ROWS = map(int, sys.argv[1:3])


def frame(seed, rows):
    import numpy as np
    import pandas as pd

    return pd.DataFrame(np.random.default_rng(seed).random((rows, 10)))


values = fanfold.submit(frame, range(COUNT), rows=ROWS, collect=False, cache=False).results()
took_s = time.perf_counter() - began
assert [value.shape for value in values] == [(ROWS, 10)] * COUNT

from _told import tell  # noqa: E402

tell(took_s)
