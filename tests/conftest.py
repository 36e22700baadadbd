"""What every test has: a home of its own, and no process that outlives it."""

from __future__ import annotations

import gc
import shutil
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings

from tests.cloud.fixtures import cloud, cloud_account, engine, on_cloud, synthesised
from tests.environments.index import index

__all__ = ["cloud", "cloud_account", "engine", "eventually", "home", "index", "on_cloud", "synthesised"]

#: By name: what these modules patch must not be of the project of tests, whose UDFs would take it along.
pytest_plugins = ["tests.aws.service_models"]

# Before any test imports them: each backend's tests do, in whatever order.
for contract in ("event_log_contract", "object_store_contract", "result_cache_contract"):
    pytest.register_assert_rewrite(f"tests.stores.{contract}")


# How fast a machine is that others use too says nothing of a test.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")

#: Seconds that a run is to exceed: what is quick ends within them, also where the machine stands still for a moment.
LIMIT_S = 3

#: What the folder of a test, or a fixture that it asks for, says of it.
_MARKS_OF_FOLDERS = {
    "aws": "cloud",
    "cloud": "cloud",
    "guide": "cloud",
    "ministack": "cloud",
    "infra": "slow",
    "workbench": "browser",
}
_MARKS_OF_FIXTURES = {"cloud": "cloud", "engine": "cloud", "aws": "cloud", "moto": "cloud", "page": "browser"}


def pytest_configure():
    """Ctrl-C is heard, also where a shell has put pytest into the background, which has it ignored by all it starts."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish():
    """What is here once all tests are collected stays to the end: no collection need look at it again."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items):
    """Mark what needs an emulated AWS or a browser, and what takes long, so that `-m` can leave it out."""
    for item in items:
        folder = item.path.relative_to(Path(__file__).parent).parts[0]
        marks = {_MARKS_OF_FIXTURES[name] for name in item.fixturenames if name in _MARKS_OF_FIXTURES}
        for mark in marks | {_MARKS_OF_FOLDERS.get(folder)} - {None}:
            item.add_marker(mark)
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.timeout(3600))


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """A fresh home, and at the end no worker, no runner and no setting left of it."""
    from fanfold import settings

    folder = tmp_path_factory.mktemp("home", numbered=True) / "fanfold"
    monkeypatch.setenv("FANFOLD_HOME", str(folder))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.fail.Keyring")  # never this machine's own
    settings.reset()
    yield folder
    settings.reset()
    _close_engines()
    for process in _processes_of(folder):
        with suppress(psutil.NoSuchProcess):  # it has ended by itself
            process.kill()
    shutil.rmtree(folder, ignore_errors=True)  # results of many megabytes: pytest would keep those of three sessions


@pytest.fixture(autouse=True)
def no_module_of_another_test(tmp_path_factory):
    """What a test imports from a folder of its own is gone with it: another's module of that name is another."""
    before = {*sys.modules}
    yield
    folder = str(tmp_path_factory.getbasetemp())
    for name in {*sys.modules} - before:
        if (getattr(sys.modules.get(name), "__file__", None) or "").startswith(folder):
            del sys.modules[name]


def _close_engines():
    from fanfold.engines import base as select

    for used in list(select.open_engines.values()):
        getattr(used, "close", lambda: None)()
    select.open_engines.clear()


def _processes_of(folder):
    """Runners that a test has left behind: they know their home from their command line."""
    if not (folder / "runners").exists():
        return
    for process in psutil.process_iter():
        try:
            if str(folder) in process.cmdline():
                yield process
        except psutil.Error:
            continue


def worker_processes(process=None):
    """The workers of a process: what its fork servers have forked."""
    found = []
    for child in (process or psutil.Process()).children():
        try:
            if any("fanfold.execution.worker.fork_server" in part for part in child.cmdline()):
                found += child.children()
        except psutil.Error:
            continue
    return found


def is_gone(pid):
    """Whether a process is over (its parent may not have taken note yet)."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def end_in_terminal(child):
    """End what pexpect has started, however long that takes: it would give it a tenth of a second."""
    if child.isalive():
        child.kill(signal.SIGKILL)
        child.wait()
    child.close()


@pytest.fixture
def threads_that_switch_often():
    """Python's threads take turns so quickly that what they share is met in every state."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def eventually():
    """Waits for a condition with a deadline instead of sleeping for luck; returns what it found."""

    def wait(condition, *, within_s=100.0):
        deadline = time.monotonic() + within_s
        while True:
            began = time.monotonic()
            if found := condition():
                return found
            now = time.monotonic()
            assert now < deadline, f"not within {within_s:g} s: {condition}"
            # To ask takes a quarter of the time at most: where that is a job's state, it costs others' time as well.
            time.sleep(min(0.5, max(0.02, 3 * (now - began))))

    return wait
