"""A job in a real kernel: an open one brings its output up to date in place, one that has ended stands."""

from __future__ import annotations

import asyncio
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
def notebook(tmp_path):
    """The outputs of each cell, run one after another in a kernel of its own."""

    def run(*cells):
        texts = [SETUP.format(flag=str(tmp_path / "flag")), *map(textwrap.dedent, cells)]
        made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in texts])
        made.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
        where = {"metadata": {"path": str(tmp_path)}}
        asyncio.run(nbclient.NotebookClient(made, timeout=120, resources=where).async_execute())
        return [cell.outputs for cell in made.cells[1:]]

    return run


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


def test_what_is_tried_in_a_notebook_is_what_its_cells_say_and_errors_name_the_cell(tmp_path):
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
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in cells])
    where = {"metadata": {"path": str(tmp_path)}}
    client = nbclient.NotebookClient(made, timeout=120, kernel_name="python3", allow_errors=True, resources=where)
    asyncio.run(client.async_execute())
    outputs = [cell.outputs for cell in made.cells]
    shown = ["".join(o.get("text", o.get("data", {}).get("text/plain", "")) for o in each) for each in outputs]
    assert "tried 1" in shown[1]
    assert "fanfold: both, job " in shown[1]
    assert "[1, 1]" in shown[1]
    assert "[101, 101]" in shown[3]
    assert "def scale(x):" in shown[5]
    failed, refused = outputs[6][-1], outputs[7][-1]
    assert 'File "Cell In[7]", line 3, in divides' in failed.evalue
    assert refused.evalue.startswith("Cell In[8]:5: 'counts' uses 'base'")
    assert "client/fanfold" not in "".join([*failed.traceback, *refused.traceback])  # none of our own lines
