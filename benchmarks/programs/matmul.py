"""Sixteen products of large matrices by two workers: `fanfold` or `loky`, import and start included."""

import sys
import time

began = time.perf_counter()


def product(seed: int):
    import numpy as np

    some = np.random.default_rng(seed).random((1_200, 1_200))
    for _ in range(6):
        some = some @ some
        some /= some.max()
    return float(some[0, 0])


if __name__ == "__main__":
    if sys.argv[1] == "fanfold":
        import fanfold

        values = fanfold.submit(product, range(16), max_workers=2, cache=False, collect=False).results()
    else:
        from joblib import Parallel, delayed

        values = Parallel(n_jobs=2)(delayed(product)(seed) for seed in range(16))
    took_s = time.perf_counter() - began
    assert len(values) == 16
    from _told import tell

    tell(took_s)
