"""A batch of joblib's calls in a worker: there loops within it are nested as below joblib's own workers.

Imported by workers that serve joblib, which is loaded by then: nothing else costly.
"""

from collections.abc import Callable
from typing import Any


def call_batch(batch: Callable[[], list[Any]]) -> list[Any]:
    """Make a batch's calls."""
    from joblib.externals.loky import process_executor
    from joblib.parallel import EXTERNAL_BACKENDS

    EXTERNAL_BACKENDS.setdefault("fanfold", _register)
    process_executor._CURRENT_DEPTH = max(1, process_executor._CURRENT_DEPTH)
    return batch()


def _register() -> None:
    """The backend has its name here too, once a call asks for it."""
    from importlib import import_module

    import_module("fanfold.joblib_backend")  # which registers it, and stands above this
