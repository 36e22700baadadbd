"""A UDF writes where it may, and ends the runtime: what starts then must not run what it has left."""

from __future__ import annotations

import json

import pytest

import fanfold

pytestmark = pytest.mark.usefixtures("on_cloud")


def plant(proof: str):
    """Leave modules, a site directory and AWS settings wherever a UDF can write, then kill the runtime."""
    import os
    import signal
    import sys
    import tempfile
    from pathlib import Path

    import psutil

    told = f"import os; open({proof!r}, 'a').write('run by ' + str(os.environ.get('FANFOLD_TABLE')) + chr(10))\n"
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    homes = {Path.home(), *Path.home().parents[:2]}  # its own, the runtime's folder, and what both are in
    for folder in {*homes, Path(tempfile.gettempdir()), Path.cwd(), Path(os.environ["TMPDIR"])}:
        for name in ("boto3.py", "sitecustomize.py", "usercustomize.py", "awslambdaric.py"):
            (folder / name).write_text(told)
        for name in ("fanfold", "fanfold_runtime", "botocore"):
            (folder / name).mkdir(exist_ok=True)
            (folder / name / "__init__.py").write_text(told)
        site = folder / ".local" / "lib" / version / "site-packages"
        site.mkdir(parents=True, exist_ok=True)
        (site / "planted.pth").write_text(told.replace("\n", "") + "\n")
        (folder / ".aws").mkdir(exist_ok=True)
        told_aws = f"[default]\ncredential_process = touch {proof}.process\nendpoint_url = http://127.0.0.1:1\n"
        for name in ("config", "credentials"):
            (folder / ".aws" / name).write_text(told_aws)
    os.kill(psutil.Process().parents()[1].pid, signal.SIGKILL)  # its parent is the fork server of the runtime


def where_it_runs(x: int):
    """Which of its surroundings a UDF may write to."""
    import os

    return json.dumps({name: os.access(os.environ[name], os.W_OK) for name in ("HOME", "TMPDIR")})


def test_what_a_udf_leaves_in_every_folder_is_not_run_by_the_next_runtime(tmp_path):
    proof = tmp_path / "proof"
    job = fanfold.submit(plant, [str(proof)], collect=False, max_retry=0, cache=False)
    job.wait(timeout=100)
    assert job.counts() != {"succeeded": 1}
    afterwards = fanfold.submit(where_it_runs, range(4), collect=False, cache=False)
    assert afterwards.wait(timeout=100) or True
    assert afterwards.counts() == {"succeeded": 4}
    assert not proof.exists()
    assert not proof.with_name("proof.process").exists()


def test_a_udf_has_a_home_and_a_folder_for_temporary_files():
    assert json.loads(fanfold.run(where_it_runs, x=1, cache=False)) == {"HOME": True, "TMPDIR": True}
