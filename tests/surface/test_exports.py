"""What `import fanfold` offers, and what it does not bring along."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

import fanfold

OFFERED = """
Executor Job Plan Run Udf attempt cache checkpoint chunks configure context data_path
doctor explain file_path files get_job get_jobs job_id load local
load_async mount_path options plan run run_async
Retry rows run_id scratch_path secret step submit types udf
CaptureError CodecError ConfigurationError DeploymentGone FanfoldError InputError InputMissing JobNotFound
MissingPackage NestedSubmitError RampStopped ResultDamaged RunCancelled RunFailed RunLost RunOutOfMemory RunTimedOut
SignInNeeded
StoreError StoreFull StoreTooNew StoreUnavailable UnknownInstanceType WaitTimeout WorkerDied __version__
""".split()


def test_exactly_these_names_are_exported():
    assert sorted(fanfold.__all__) == sorted(OFFERED)


@pytest.mark.parametrize("name", OFFERED)
def test_each_name_is_there_and_documented(name):
    value = getattr(fanfold, name)
    assert name == "__version__" or (value.__doc__ or "").strip()


def test_type_checkers_see_the_same_names():
    tree = ast.parse(Path(fanfold.__file__).read_text(encoding="utf-8"))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = [node.names[0].asname for node in block.body if isinstance(node, ast.ImportFrom)]
    assert sorted([*seen, "__version__"]) == sorted(OFFERED)


def test_a_wrong_name_says_which_there_are():
    with pytest.raises(AttributeError, match=r"no 'sumbit'; did you mean 'submit'\?"):
        fanfold.sumbit  # type: ignore[attr-defined]


def test_tab_completion_offers_them():
    assert set(OFFERED) <= set(dir(fanfold))


def loaded_by(code: str) -> set[str]:
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps(list(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(told.stdout))


def test_importing_brings_nothing_heavy_along():
    heavy = {"pandas", "numpy", "pyarrow", "boto3", "pydantic", "inspect", "asyncio", "tqdm", "psutil", "joblib"}
    loaded = loaded_by("import fanfold")
    assert not heavy & loaded
    assert {name for name in loaded if name.startswith("fanfold")} == {"fanfold"}


def test_a_submit_of_plain_values_brings_nothing_along_that_only_other_jobs_need(tmp_path):
    heavy = {"pandas", "numpy", "pyarrow", "boto3", "pydantic", "matplotlib"}
    heavy |= {"logging", "dataclasses", "tempfile", "random", "fanfold.job.summary", "fanfold.job.display"}
    script = tmp_path / "script.py"
    script.write_text(
        "import fanfold\ndef f(x: int):\n    return x\nassert fanfold.submit(f, [1], collect=False).results() == [1]\n"
    )
    assert not heavy & loaded_by(f"import runpy; runpy.run_path({str(script)!r}, run_name='__main__')")


def test_dir_shows_what_is_public_and_nothing_else():
    assert sorted(dir(fanfold)) == sorted(fanfold.__all__)


def test_the_package_can_be_run():
    done = subprocess.run([sys.executable, "-m", "fanfold", "--version"], capture_output=True, text=True, check=False)
    assert done.stdout == f"fanfold {fanfold.__version__}\n"
