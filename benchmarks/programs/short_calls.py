"""Calls of no-ops: `N` by joblib with the backend `fanfold` or `loky`; each after the other by `executor` or `pool`."""

import sys
import time

began = time.perf_counter()


def noop(x: int):
    return x


def by_joblib(backend: str, count: int) -> list[int]:
    import joblib

    if backend == "fanfold":
        import fanfold.joblib_backend  # noqa: F401
    with joblib.parallel_config(backend=backend, n_jobs=2):
        return joblib.Parallel()(joblib.delayed(noop)(x) for x in range(count))


def in_turn(kind: str, count: int) -> list[int]:
    if kind == "executor":
        import fanfold

        opened = fanfold.Executor(max_workers=2)
    else:
        from concurrent.futures import ProcessPoolExecutor

        opened = ProcessPoolExecutor(2)
    with opened as executor:
        return [executor.submit(noop, x).result() for x in range(count)]


if __name__ == "__main__":
    count, how = int(sys.argv[1]), sys.argv[2]
    values = in_turn(how, count) if how in ("executor", "pool") else by_joblib(how, count)
    took_s = time.perf_counter() - began
    assert values == list(range(count))
    from _told import tell

    tell(took_s)
