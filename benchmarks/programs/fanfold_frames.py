"""100 results of a DataFrame of 0.5 MB on Fanfold's local engine, import included."""

import time

began = time.perf_counter()
import fanfold  # noqa: E402


def frame(seed):
    import numpy as np
    import pandas as pd

    return pd.DataFrame(np.random.default_rng(seed).random((6250, 10)))


values = fanfold.submit(frame, range(100), collect=False, cache=False).results()
took_s = time.perf_counter() - began
assert [value.shape for value in values] == [(6250, 10)] * 100

from _told import tell  # noqa: E402

tell(took_s)
