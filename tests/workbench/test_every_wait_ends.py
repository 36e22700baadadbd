"""Nothing waits for ever: no test for a page that gives no answer, nor the server for what it reads as it ends."""

from __future__ import annotations

import pickle
import signal
import threading
import time
from contextlib import suppress
from hashlib import sha256

import httpx
import psutil
import pytest
from playwright.sync_api import Error

import fanfold
from fanfold.core.models import Output
from tests.workbench.browser import WIDE
from tests.workbench.conftest import Workbench, within
from tests.workbench.samples import ended


def test_a_page_that_gives_no_answer_fails_its_own_test_and_the_next_one_has_another_browser(shared_browser, workbench):
    def page():
        return shared_browser.page(workbench.root, size=WIDE, scheme="light", listeners={})

    with pytest.raises(Error), shared_browser.in_use(test_s=2.0):
        page().evaluate("() => new Promise(() => {})")
    with shared_browser.in_use():
        assert page().evaluate("6 * 7") == 42


def test_a_server_that_does_not_say_where_it_is_fails_the_test(tmp_path, monkeypatch):
    monkeypatch.setattr("tests.workbench.conftest._START_S", 1.0)
    silent = ("-c", "import sys, time; print('it sleeps', file=sys.stderr, flush=True); time.sleep(600)")
    with pytest.raises(AssertionError, match=r"did not start within 1 s: it sleeps"):
        Workbench(tmp_path / "home", tmp_path, program=silent)


class Endless:
    """What takes for ever to read: a pickle does there what its class says."""

    def __reduce__(self):
        return time.sleep, (600,)


@fanfold.udf(serializer="pickle")
def endless(x: int):
    return x


def test_the_server_ends_while_it_reads_a_result_that_takes_for_ever(tmp_path):
    running = Workbench(tmp_path / "home", tmp_path, more={"FANFOLD_ALLOW_PICKLE": "1"})
    header = running.store.job(endless, [1], cache=False)
    data = pickle.dumps(Endless())
    output = Output("pickle/1", sha256(data).hexdigest(), len(data), data)
    running.store.log.append([ended(header, 0)._replace(output=output)])
    cookies = {one["name"]: one["value"] for one in running.cookies}
    answers = []

    def ask(name):
        answers.append(httpx.get(f"{running.root}/job/{header.id}/{name}", cookies=cookies, timeout=120).status_code)

    ask("runs.json")
    asking = threading.Thread(target=ask, args=["table.json"], daemon=True)
    asking.start()
    within(60, lambda: any(_reads(one) for one in psutil.Process(running.process.pid).children()))
    running.close()  # as Ctrl-C does; it raises where that takes too long
    asking.join(60)
    assert answers == [200, 409]
    assert running.process.returncode == -signal.SIGTERM


def _reads(process):
    return "results_child" in " ".join(process.cmdline())


PATIENT = """
import sys, time
from pathlib import Path
from nicegui import app
from fanfold.workbench import ending, server

ending._PATIENCE_S = 1.0

@app.get("/for-ever")
def for_ever():
    print("begun", file=sys.stderr, flush=True)
    time.sleep(600)

server.run(port=0, show=False, folder=Path(sys.argv[1]), engine=None, announce=lambda it: print(it, flush=True))
"""


def test_the_server_ends_without_a_thread_of_its_own_that_does_not_end(tmp_path):
    running = Workbench(tmp_path / "home", tmp_path, program=("-c", PATIENT))
    cookies = {one["name"]: one["value"] for one in running.cookies}

    def ask():
        with suppress(httpx.HTTPError):
            httpx.get(f"{running.root}/for-ever", cookies=cookies, timeout=120)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    within(60, lambda: "begun" in running.said_so_far())
    running.close()
    assert running.process.returncode == 128 + signal.SIGTERM
    assert "has not ended within 1 s of SIGTERM; it ends without it." in running.said
    asking.join(60)
