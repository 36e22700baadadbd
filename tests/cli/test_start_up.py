"""Commands start fast: what they do not need is not imported."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"pandas", "numpy", "pyarrow", "pydantic", "boto3", "matplotlib", "tqdm"}

#: Each command in a fork of a process that has imported no more than the command line itself.
LOADED = """
import json, os, sys
from fanfold.cli import main
import fanfold.cli.app
for arguments in json.loads(sys.argv[1]):
    if os.fork():
        assert os.wait()[1] == 0, arguments
        continue
    sys.argv = ["fanfold", *arguments]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, ended.code
    print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.stderr, flush=True)
    os._exit(0)
"""


def loaded(fanfold, *commands: list[str]) -> list[set[str]]:
    """What each of the commands imports."""
    ended = subprocess.run(
        [sys.executable, "-c", LOADED, json.dumps(commands)],
        env=fanfold.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return [set(json.loads(line)) for line in ended.stderr.splitlines()]


def test_nothing_heavy_is_imported_for_help_and_to_tell_of_jobs(jobs):
    general = ["--help", "--version", "submit --help", "jobs", "jobs --json", "cache size"]
    of_a_job = [[command, jobs.done] for command in ("status", "times", "logs", "verify")]
    imported = loaded(jobs.fanfold, *map(str.split, general), *of_a_job)
    assert len(imported) == 10
    assert [names & HEAVY for names in imported if names & HEAVY] == []
    assert "rich" not in imported[0]
