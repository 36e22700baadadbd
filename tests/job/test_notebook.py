"""A job in a real kernel: an open one brings its output up to date in place, one that has ended stands."""

from __future__ import annotations

import asyncio
import sys
import textwrap

import nbclient
import nbformat
import pytest

SETUP = """
import fanfold, pathlib, threading, time

def hold(x: int, flag: str):
    while x and not pathlib.Path(flag).exists():
        time.sleep(0.01)
    return x

def followed():
    for thread in threading.enumerate():
        if thread.name.startswith("fanfold-notebook"):
            thread.join(60)

flag = pathlib.Path({flag!r})
job = fanfold.submit(hold, range(4), flag=str(flag), max_workers=1, collect=False)
job.result(0)
"""


@pytest.fixture(autouse=True)
def nobody_s_profile(tmp_path, monkeypatch):
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))


@pytest.fixture
def kernel(tmp_path):
    """The outputs of each cell, run one after another in a kernel of its own, those that fail too where they may."""

    def run(*cells, allow_errors=True):
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
        where = {"metadata": {"path": str(tmp_path)}}
        client = nbclient.NotebookClient(made, timeout=120, allow_errors=allow_errors, resources=where)
        asyncio.run(client.async_execute())
        return [cell.outputs for cell in made.cells]

    return run


@pytest.fixture
def notebook(kernel, tmp_path):
    """The outputs of each cell that comes after `SETUP`; none of them may fail."""

    def run(*cells):
        setup = SETUP.format(flag=str(tmp_path / "flag"))
        return kernel(setup, *map(textwrap.dedent, cells), allow_errors=False)[1:]

    return run


def printed(outputs):
    """The words that a cell has printed: a kernel sends them in as many pieces as it likes."""
    return "".join(one["text"] for one in outputs if one.get("name") == "stdout").split()


def html(output):
    return output["data"]["text/html"]


def test_an_open_job_is_brought_up_to_date_in_its_own_output(notebook):
    (shown,), again, *_, last = notebook(
        "job",
        "before = job.counts(); display(job)",
        "flag.touch(); job.wait(progress=False); followed()",
        "print(before)",
    )
    assert "'succeeded': 1" in last[0]["text"]
    assert [one["output_type"] for one in (shown, *again)] == ["display_data", "display_data"]
    for one in (shown, *again):
        assert "Completed" in html(one)
        assert "4 succeeded" in html(one)


def test_it_shows_how_it_stands_before_it_has_ended(notebook):
    (shown,), _ = notebook("job", "print(job.id)")
    assert "Running" in html(shown)
    assert "1 succeeded" in html(shown)


def test_a_job_that_has_ended_stands_as_it_is(notebook):
    _, (shown,) = notebook("flag.touch(); job.wait(progress=False); None", "job")
    assert shown["output_type"] == "execute_result"
    assert "Completed" in html(shown)
    assert shown["data"]["text/plain"].startswith("<Job ")


@pytest.mark.long
def test_a_store_that_does_not_answer_is_told_in_the_output_and_so_is_its_return(notebook):
    (shown,), (found,) = notebook(
        "job",
        """
        from fanfold.errors import StoreError
        from fanfold.job import display as notebook
        (follower,) = notebook.followers.values()
        refresh, seen = follower.tracker.refresh, threading.Event()
        def silent():
            seen.set()
            raise StoreError("the store is silent")
        follower.tracker.refresh = silent
        seen.wait(60); seen.clear(); seen.wait(60)  # the second look begins when the first is drawn
        stale = follower.stale
        follower.tracker.refresh = refresh
        flag.touch(); job.wait(progress=False); followed()
        print(stale)
        """,
    )
    assert "the store is silent" in found["text"]
    assert "Completed" in html(shown)
    assert "silent" not in html(shown)


def test_at_a_prompt_that_is_no_notebook_a_job_is_a_line(half_failed):
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell()
    data, _ = shell.display_formatter.format(half_failed)
    assert data["text/plain"] == repr(half_failed)


def test_what_is_tried_in_a_notebook_is_what_its_cells_say_and_errors_name_the_cell(kernel, tmp_path):
    """One kernel for all: IPython's `open`, `%autoreload 2`, cells with `%%time`, prints, and what errors show."""
    (tmp_path / "lib.py").write_text("def scale(x):\n    return x\n")
    edit = "import os\ndef edit(text):\n    open('lib.py', 'w').write(text)\n    os.utime('lib.py', (9e9, 9e9))\n"
    cells = [
        "import fanfold\n%load_ext autoreload\n%autoreload 2\nimport lib\nfrom lib import scale\n" + edit,
        "@fanfold.udf\ndef both(x):\n    print('tried', x)\n    return [lib.scale(x), scale(x)]\nboth(1)",
        "edit('def scale(x):\\n    return x + 100\\n')",
        "both(1)",
        "%%time\n@fanfold.udf\ndef reads():\n    with open('lib.py') as file:\n        return file.readline()",
        "reads()",
        "@fanfold.udf\ndef divides(x):\n    return x / 0\ndivides(1)",
        "import sqlite3\nbase = sqlite3.connect(':memory:')\n@fanfold.udf\ndef counts():\n"
        "    return base.total_changes\ncounts()",
    ]
    outputs = kernel(*cells)
    shown = ["".join(o.get("text", o.get("data", {}).get("text/plain", "")) for o in each) for each in outputs]
    assert "tried 1" in shown[1]
    assert "fanfold: both, job " in shown[1]
    assert "[1, 1]" in shown[1]
    assert "[101, 101]" in shown[3]
    assert "def scale(x):" in shown[5]
    failed, refused = outputs[6][-1], outputs[7][-1]
    assert 'File "Cell In[7]", line 3, in divides' in failed.evalue
    assert refused.evalue.startswith("Cell In[8]:5: 'counts' uses 'base'")
    if sys.version_info >= (3, 11):  # older ones keep our own lines
        assert "client/fanfold" not in "".join([*failed.traceback, *refused.traceback])


AS_MAP = """
import collections, dataclasses, enum, fanfold

def same(function, inputs=(0, 1, 2)):
    def submitted():
        return fanfold.submit(function, inputs, collect=False, progress=False).results()
    here = list(map(function, inputs))
    print(submitted() == here, submitted() == here)  # computed, and as the cache has it
"""


def test_what_cells_define_anew_is_what_the_next_submit_runs(kernel):
    """As plain `map` does in the same kernel."""
    cells = [
        AS_MAP,
        "rate = 2\ndef scale(x): return x * rate",
        "@dataclasses.dataclass\nclass Point:\n    x: int",
        "class Kind(enum.Enum):\n    A = 0\n    B = 1\n    C = 2",
        "Pair = collections.namedtuple('Pair', 'a b')",
        "def main(x): return scale(x), Point(x), Kind(x), Pair(x, 1), (lambda y: y + 1)(x)\nsame(main)",
        "rate = 3",
        "same(main)",
        "def scale(x): return x * rate + 100",
        "same(main)",
        "@dataclasses.dataclass\nclass Point:\n    x: int\n    y: int = 7",
        "same(main)",
        "class Kind(enum.Enum):\n    A = 0\n    B = 1\n    D = 2",
        "same(main)",
        "Pair = collections.namedtuple('Pair', 'a b c', defaults=[5])",
        "same(main)",
        "same(lambda x: scale(x)); same(lambda x: scale(x) + 1)\nscale = lambda x: -x * rate",
        "same(main); same(lambda x: scale(x))",
        "held = Point(3)\ndef holds(x): return held.y, isinstance(held, Point)\nsame(holds)",
        "held.y = 8",
        "same(holds)",
        "class Point(Point):\n    z = 1",
        "same(holds)",
        "with fanfold.Executor() as calls:\n    print(list(calls.map(main, [0, 1])) == list(map(main, [0, 1])))",
        "del rate",
        "same(holds)\nfanfold.run(main, x=1)",
        "rate = 1",
        "same(main)",
    ]
    outputs = kernel(*cells)
    wrong = [cell for cell, each in zip(cells, outputs, strict=True) if "False" in printed(each)]
    assert wrong == []
    assert len([word for each in outputs for word in printed(each)]) > 20
    failed = [
        (cell, one["evalue"]) for cell, each in zip(cells, outputs, strict=True) for one in each if "evalue" in one
    ]
    assert [cell for cell, _ in failed] == ["same(holds)\nfanfold.run(main, x=1)"]
    assert "NameError: name 'rate' is not defined" in failed[0][1]


def assert_no_frames_of_ours(error):
    """From 3.11 on; 3.10 keeps them."""
    if sys.version_info >= (3, 11):
        assert "client/fanfold" not in "".join(error["traceback"])


def test_an_interrupt_cancels_what_its_cell_waits_for_and_the_next_cell_goes_on(kernel):
    cells = [
        AS_MAP + "import os, signal, sys, threading, time, traceback\n"
        "main = threading.main_thread().ident\n"
        "def interrupts():\n"
        "    def waits():\n"
        "        stack = traceback.walk_stack(sys._current_frames()[main])\n"
        "        return any(frame.f_code.co_name == 'wait_for_news' for frame, _ in stack)\n"
        "    while not waits():\n"
        "        time.sleep(0.01)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "def naps(x): time.sleep(300)",
        "threading.Thread(target=interrupts).start()\nfanfold.submit(naps, [1, 2])",
        "print(fanfold.get_jobs(limit=1)[0].counts() == {'cancelled': 2})\nsame(lambda x: x)",
    ]
    _, interrupted, after = kernel(*cells)
    assert interrupted[-1]["ename"] == "KeyboardInterrupt"
    assert "is cancelled: 2 cancelled; the same submit runs only the rest" in interrupted[-1]["evalue"]
    assert_no_frames_of_ours(interrupted[-1])
    assert printed(after) == ["True", "True", "True"]


def test_an_interrupt_of_an_await_cancels_its_job_which_ipykernel_alone_would_hear_of_at_its_end(kernel):
    cells = [
        "import fanfold, os, signal, threading, time\n"
        "def naps(x: int): time.sleep(300)\n"
        "def interrupts():\n"
        "    while not any(job.running() for job in fanfold.get_jobs()):\n"
        "        time.sleep(0.05)\n"
        "    os.kill(os.getpid(), signal.SIGINT)",
        "threading.Thread(target=interrupts).start()\nawait fanfold.run_async(naps, x=1)",
        "print(fanfold.get_jobs(limit=1)[0].wait().counts() == {'cancelled': 1})",
    ]
    _, interrupted, after = kernel(*cells)
    assert interrupted[-1]["ename"] == "CancelledError"
    assert "is cancelled; fanfold.get_job" in interrupted[-1]["evalue"]  # by its id, once the call has it
    assert_no_frames_of_ours(interrupted[-1])
    assert printed(after) == ["True"]
