"""A script that ends without waiting: its work is done on every Python, also where no thread starts any more."""

from __future__ import annotations

import subprocess
import threading

import pytest

import fanfold
from fanfold.stores.disk import Syncer
from tests import pythons

SCRIPT = """
import time
import fanfold

def large(x: int):
    time.sleep(0.02 if x else 0.5)
    return [str(x) * 50_000]

print(fanfold.submit(large, range(60), collect=False).id, flush=True)
"""


@pytest.mark.long
@pytest.mark.parametrize("version", sorted(pythons.others()))
def test_the_runs_of_a_script_that_does_not_wait_are_all_done(tmp_path, version):
    """An interpreter that ends starts no threads from 3.12 on."""
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [pythons.with_client(version), tmp_path / "script.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Traceback" not in done.stderr
    assert fanfold.get_job(done.stdout.strip()).counts() == {"succeeded": 60}


def test_what_is_to_be_on_the_disk_is_brought_there_where_no_thread_starts(tmp_path, monkeypatch):
    """The refusal is made up here: as 3.12 and later give it while they end."""
    synced = []
    monkeypatch.setattr("fanfold.stores.disk.sync_path", synced.append)

    def refuse(self):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    syncer = Syncer(enabled=True)
    files = [tmp_path / str(number) for number in range(7)]
    for file in files:
        syncer.note(file, [tmp_path])
    syncer.sync_soon()
    syncer.sync()
    assert {*files} <= {*synced}
