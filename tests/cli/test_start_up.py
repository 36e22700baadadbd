"""Commands start fast: what they do not need is not imported."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"pandas", "numpy", "pyarrow", "pydantic", "boto3", "matplotlib", "tqdm"}

LOADED = """
import json, sys
from fanfold.cli import main
sys.argv = ["fanfold", *json.loads(sys.argv[1])]
try:
    main()
except SystemExit as ended:
    assert not ended.code, ended.code
json.dump(sorted({name.partition(".")[0] for name in sys.modules}), sys.stderr)
"""


def loaded(fanfold, *arguments: str) -> set[str]:
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, json.dumps(arguments)],
        env=fanfold.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return set(json.loads(ended.stderr))


@pytest.mark.parametrize(
    "command", [["--help"], ["--version"], ["submit", "--help"], ["jobs"], ["jobs", "--json"], ["cache", "size"]]
)
def test_nothing_heavy_is_imported_for(jobs, command):
    assert not loaded(jobs.fanfold, *command) & HEAVY


def test_nothing_heavy_is_imported_to_tell_of_a_job(jobs):
    for command in ("status", "times", "logs", "verify"):
        assert not loaded(jobs.fanfold, command, jobs.done) & HEAVY


def test_help_does_without_rich(jobs):
    assert "rich" not in loaded(jobs.fanfold, "--help")
