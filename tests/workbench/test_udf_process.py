"""Importing a UDF file: in a process of its own, which is ended where it does not come to an end."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

import fanfold
from fanfold.errors import InputError
from fanfold.workbench.editor.udf_process import Order, UdfProcess
from fanfold.workbench.editor.udf_source import digest
from tests.workbench.conftest import within

DOUBLE = "import fanfold\n\n@fanfold.udf\ndef double(x: int = 1):\n    return 2 * x\n"


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("FANFOLD_HOME", str(tmp_path_factory.mktemp("home")))


def ordered(folder: Path, text: str, *, name="flights.py", import_s=60.0, **order):
    (folder / name).write_text(text)
    told = Order(
        **{
            "file": name,
            "udf": "double",
            "act": "submit",
            "given": {"inputs": [{"x": 21}]},
            "engine": "local",
            "digest": digest(text),
            **order,
        }
    )
    return asyncio.run(UdfProcess(folder, import_s).carry_out(told))


def test_a_job_is_submitted_and_outlives_the_process_that_submitted_it(tmp_path):
    answer = ordered(tmp_path, DOUBLE)
    assert fanfold.get_job(answer.job).wait(timeout=120).results() == [42]


def test_a_text_that_the_page_does_not_show_is_not_run(tmp_path):
    with pytest.raises(InputError, match="has just been changed on disk"):
        ordered(tmp_path, DOUBLE, digest=digest("another text"))


def test_a_plan_is_told_as_text(tmp_path):
    answer = ordered(tmp_path, DOUBLE, act="plan")
    assert answer.count == 1
    assert answer.plan.startswith("double over 1 inputs")
    assert not answer.job


def test_a_machine_that_was_not_allowed_is_not_started(tmp_path):
    computed = DOUBLE.replace("udf\n", 'udf(instance_type="SMALL".lower())\n')
    assert ordered(tmp_path, computed).machine == "small"
    assert ordered(tmp_path, computed, allowed="large").machine == "small"
    answer = ordered(tmp_path, computed, allowed="small")
    assert fanfold.get_job(answer.job).header.instance_type == "small"
    fanfold.get_job(answer.job).wait(timeout=120)


def test_an_import_that_does_not_end_is_ended_and_said_to_be(tmp_path):
    with pytest.raises(InputError, match=r"flights\.py was still being imported after 1 s, and was stopped"):
        ordered(
            tmp_path,
            f"import os, pathlib\npathlib.Path('pid').write_text(str(os.getpid()))\nwhile True: ...\n{DOUBLE}",
            import_s=1,
        )


def test_it_is_stopped_on_demand_with_all_that_it_started(tmp_path):
    text = "import pathlib, subprocess, sys\nhelper = subprocess.Popen(['sleep', '600'])\n"
    text += "pathlib.Path('pid').write_text(str(helper.pid))\nhelper.wait()\n"
    (tmp_path / "flights.py").write_text(text)

    async def stopped():
        process = UdfProcess(tmp_path)
        order = Order("flights.py", "double", "submit", {"inputs": []}, "local", digest=digest(text))
        answer = asyncio.create_task(process.carry_out(order))
        while not answer.done() and not ((tmp_path / "pid").exists() and (tmp_path / "pid").read_text()):
            await asyncio.sleep(0.02)
        process.stop()
        return await answer, process.busy

    assert asyncio.run(stopped()) == (None, False)
    pid = int((tmp_path / "pid").read_text())
    within(20, lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize("by", ["stop", "another"])
def test_what_is_stopped_before_its_process_is_up_submits_nothing(tmp_path, by):
    """Stop, or a second Shift+Enter, comes as soon as somebody presses it: a process takes a while to start."""
    (tmp_path / "flights.py").write_text(DOUBLE)
    order = Order("flights.py", "double", "submit", {"inputs": [{"x": 21}]}, "local", digest=digest(DOUBLE))

    async def begun():
        process = UdfProcess(tmp_path)
        first = asyncio.create_task(process.carry_out(order))
        await asyncio.sleep(0)  # it has begun to start its process
        is_busy = process.busy
        if by == "stop":
            process.stop()
            return await first, None, is_busy
        return *await asyncio.gather(first, process.carry_out(order)), is_busy

    first, other, is_busy = asyncio.run(begun())
    assert is_busy
    assert first is None
    assert [job.id for job in fanfold.get_jobs()] == ([other.job] if other else [])


def test_a_file_that_ends_its_process_is_told_of_with_its_last_words(tmp_path):
    with pytest.raises(InputError, match=r"(?s)flights\.py ended the process .*exit code 3.*out of luck"):
        ordered(tmp_path, "import os\nprint('out of luck', flush=True)\nos._exit(3)\n")


def test_a_mistake_is_told_in_the_users_own_lines(tmp_path):
    with pytest.raises(InputError, match=r"(?s)could not be imported.*line 1.*ZeroDivisionError"):
        ordered(tmp_path, "1 / 0\n")


def test_what_a_file_prints_is_no_answer_and_a_thread_of_it_holds_nothing_up(tmp_path):
    text = (
        'import threading, time\nprint(\'{"job": "mine"}\')\nthreading.Thread(target=time.sleep, args=[600]).start()\n'
    )
    assert ordered(tmp_path, text + DOUBLE).job != "mine"


def test_a_file_that_is_called_like_a_module_hurts_nobody(tmp_path):
    with pytest.raises(InputError, match=r"cannot be imported as 'json': another module has that name"):
        ordered(tmp_path, DOUBLE, name="json.py")
    assert ordered(tmp_path, DOUBLE, name="flights.py").job


def test_the_process_is_not_this_one(tmp_path):
    ordered(tmp_path, f"import os, pathlib\npathlib.Path('pid').write_text(str(os.getpid()))\n{DOUBLE}")
    assert int((tmp_path / "pid").read_text()) != os.getpid()


def test_a_process_that_a_file_has_started_may_outlive_it_and_holds_nothing_up(tmp_path):
    started = "import subprocess\nwith subprocess.Popen(['sleep', '600'], start_new_session=True) as p:\n"
    started += "    print(p.pid, file=open('pids', 'a'))\n    p.returncode = 0\n"
    try:
        assert ordered(tmp_path, started + DOUBLE).job
        with pytest.raises(InputError, match="ZeroDivisionError"):
            ordered(tmp_path, started + "1 / 0\n")
    finally:
        for pid in (tmp_path / "pids").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
