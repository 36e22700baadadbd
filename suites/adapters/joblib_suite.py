"""joblib's own tests, with the backend `fanfold` in the place of `loky`; only tests that use it count."""

from __future__ import annotations

import elsewhere


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
    return BACKENDS["loky"]


def pytest_configure(config):
    backend = _backend()
    configure = backend.configure

    def noted(self, *args, **kwargs):
        elsewhere.note()
        return configure(self, *args, **kwargs)

    backend.configure = noted
