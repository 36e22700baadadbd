"""scikit-learn's own tests, all within one `joblib.parallel_config`."""

from __future__ import annotations

import elsewhere
import joblib
import pytest

if elsewhere.ENGINE == "fanfold":
    import fanfold.joblib_backend  # noqa: F401


@pytest.fixture(autouse=True)
def on_the_engine():
    with joblib.parallel_config(backend=elsewhere.ENGINE, n_jobs=2):
        yield
