"""Two processes that submit the same at the same moment have each run performed once, by whichever path."""

from __future__ import annotations

import pytest

from tests.local.conftest import script

__all__ = ["script"]

SUBMIT = """
import os, pathlib, sys, time
import fanfold

@fanfold.udf
def noting(x: int, folder: str):
    import os, time
    notes = os.open(folder + "/performed", os.O_APPEND | os.O_CREAT | os.O_WRONLY)
    os.write(notes, b"%d\\n" % x)
    os.close(notes)
    deadline = time.monotonic() + 200
    while not os.path.exists(folder + "/end") and time.monotonic() < deadline:
        time.sleep(0.01)
    return x * x

folder, count, how = pathlib.Path(sys.argv[1]), int(sys.argv[2]), eval(sys.argv[3])
(folder / f"ready-{os.getpid()}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
job = fanfold.submit(noting, range(count), folder=str(folder), collect=False, **how)
print(job.id, flush=True)
print(job.results(), sorted(job.counts().items()), flush=True)
"""


@pytest.mark.parametrize(
    ("count", "how"),
    [
        pytest.param(1, {}, id="direct", marks=pytest.mark.long),
        pytest.param(4, {}, id="express", marks=pytest.mark.long),
        pytest.param(4, {"max_workers": 4}, id="distributed"),
        pytest.param(4, {"instance_type": "small", "n_processes_per_worker": 2}, id="dedicated"),
    ],
)
def test_runs_that_two_processes_submit_at_the_same_moment_are_performed_once(
    on_cloud, script, tmp_path, eventually, count, how
):
    both = [script(SUBMIT, tmp_path, count, repr(how)) for _ in range(2)]
    eventually(lambda: len(list(tmp_path.glob("ready-*"))) == 2)
    (tmp_path / "go").touch()
    ids = {one.line() for one in both}  # both have submitted, while no run can have ended
    (tmp_path / "end").touch()
    expected = [x * x for x in range(count)]
    told = sorted(one.line() for one in both)
    assert [one.end()[:2] for one in both] == [(0, "")] * 2  # it says that the folder is of this machine
    assert len(ids) == 2
    assert told == [f"{expected} [('cached', {count})]", f"{expected} [('succeeded', {count})]"]
    assert sorted((tmp_path / "performed").read_text().split()) == [str(x) for x in range(count)]
