"""cloudpickle's own tests: what they pickle and unpickle goes through an executor, there and back."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import elsewhere

_HERE = Path(__file__).parent


class _Worker:
    """Stands for the suite's worker process."""

    def run(self, func, *args, **kwargs):
        return elsewhere.run(func, *args, **kwargs)

    def memsize(self):
        return elsewhere.run(elsewhere.memory_bytes)


@contextmanager
def worker(protocol=None):
    yield _Worker()


def echo(value, protocol=None, timeout=None, add_env=None):
    return elsewhere.echo(value)


def adapt(testutils) -> None:
    """Put the executor in the place of the suite's own processes."""
    testutils.subprocess_worker = worker
    testutils.subprocess_pickle_echo = echo
    environment = testutils._make_cwd_env

    def with_adapter():
        folder, variables = environment()
        variables["PYTHONPATH"] = f"{_HERE / 'scripts'}{os.pathsep}{_HERE}{os.pathsep}{variables['PYTHONPATH']}"
        variables["SUITES_TESTUTILS"] = testutils.__file__
        return folder, variables

    testutils._make_cwd_env = with_adapter


def load_testutils():
    """The suite's own helpers, for scripts that it starts: they import them as `testutils`."""
    path = os.environ["SUITES_TESTUTILS"]
    spec = importlib.util.spec_from_file_location("testutils", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Stand(ModuleType):
    """A module with some names of its own and the others of the module it stands for."""

    def __init__(self, real, **own):
        super().__init__(real.__name__)
        self.__dict__.update(own)
        self._real = real

    def __reduce__(self):
        return importlib.import_module, (self.__name__,)

    def __eq__(self, other):
        return other is self or other is self.__dict__["_real"]

    def __hash__(self):
        return hash(self.__dict__["_real"])

    def __getattr__(self, name):
        return getattr(self.__dict__["_real"], name)


def pytest_configure(config):
    sys.path.insert(0, os.environ["SUITES_FOLDER"])
    import tests.testutils

    adapt(tests.testutils)


def pytest_collection_modifyitems(items):
    import pickle

    for module in {item.module for item in items}:
        module.pickle_depickle = echo
        module.pickle = _Stand(pickle, loads=_loads(pickle.loads))
    items[:] = [item for item in items if "Protocol2" not in item.nodeid]


def _loads(loads):
    """Unpickle, and send what came of it there and back."""

    def load_and_send(data, **more):
        return elsewhere.echo(loads(data, **more))

    return load_and_send
