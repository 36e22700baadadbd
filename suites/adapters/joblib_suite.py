"""joblib's own tests, with the backend `fanfold` in the place of `loky`; only tests that use it count."""

from __future__ import annotations

import elsewhere

#: Backends of joblib's own, as the tests name them: a test of one of these says nothing of ours.
_OTHERS = {"multiprocessing", "threading", "sequential", "dask", "test_backend"}


def _backend():
    from joblib.parallel import BACKENDS

    if elsewhere.ENGINE == "fanfold":
        from fanfold.joblib_backend import FanfoldBackend

        class LokyBackend(FanfoldBackend):
            """Here it is also what joblib takes where nobody asks for a backend: one call at a time.

            Tests that ask which backend was chosen know it by this name.
            """

            default_n_jobs = 1

            def effective_n_jobs(self, n_jobs):
                return 1 if n_jobs is None else super().effective_n_jobs(n_jobs)

        BACKENDS["loky"] = LokyBackend
        BACKENDS.pop("fanfold")  # each test is for ours once
    return BACKENDS["loky"]


def pytest_configure(config):
    backend = _backend()
    configure = backend.configure

    def noted(self, *args, **kwargs):
        elsewhere.note()
        return configure(self, *args, **kwargs)

    backend.configure = noted


def pytest_collection_modifyitems(items):
    from joblib.parallel import BACKENDS

    items[:] = [item for item in items if not _is_of_another(item)]
    for module in {item.module for item in items}:
        module.LokyBackend = BACKENDS["loky"]  # the class that stands in its place is the one that is to be chosen


def _is_of_another(item) -> bool:
    """Whether a test is given another backend, and not ours as well."""
    callspec = getattr(item, "callspec", None)
    given = [] if callspec is None else [_name(value) for value in callspec.params.values()]
    return bool(_OTHERS.intersection(given)) and "loky" not in given


def _name(value) -> str:
    """A backend's name; multiprocessing's is also given as one of its contexts."""
    if isinstance(value, str):
        return value
    return "multiprocessing" if hasattr(value, "get_start_method") else ""
