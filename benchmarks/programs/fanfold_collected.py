"""A table of N frames of 0.5 MB each, collected while runs go on; with `after`, when all have ended."""

import sys
import time

began = time.perf_counter()
import fanfold  # noqa: E402

COUNT, ROWS = int(sys.argv[1]), 6_250


def frame(seed: int):
    import numpy as np
    import pandas as pd

    rng = np.random.default_rng(seed)
    for _ in range(20):  # some 0.1 s
        drawn = rng.random((ROWS, 10))
    return pd.DataFrame(drawn)


if "after" in sys.argv:
    job = fanfold.submit(frame, range(COUNT), cache=False, collect=False).wait(progress=False)
    table = job.collect()
else:
    table = fanfold.submit(frame, range(COUNT), cache=False)
took_s = time.perf_counter() - began
assert len(table) == COUNT * ROWS

from _told import tell  # noqa: E402

tell(took_s)
