"""What a shell completes: commands, options, the ids of jobs, the names of machines."""

from __future__ import annotations

import pytest


def completed(fanfold, line: str, shell: str = "bash") -> str:
    words = line.split(" ")
    environment = {
        "_FANFOLD_COMPLETE": f"complete_{shell}",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "_TYPER_COMPLETE_ARGS": line,
        "_TYPER_COMPLETE_FISH_ACTION": "get-args",
    }
    return fanfold(env=environment).stdout


@pytest.mark.parametrize(
    ("command", "shell"),
    [
        *(("status", shell) for shell in ("bash", "zsh", "fish")),
        ("logs -f", "bash"),
        *(pytest.param(command, "bash", marks=pytest.mark.long) for command in ("collect", "cancel")),
    ],
)
def test_ids_of_jobs(jobs, command, shell):
    told = completed(jobs.fanfold, f"fanfold {command} ", shell)
    assert jobs.done in told
    assert jobs.failed in told
    assert jobs.failed not in completed(jobs.fanfold, f"fanfold {command} {jobs.done}", shell)


def test_commands_machines_and_engines(jobs):
    assert completed(jobs.fanfold, "fanfold sta").split() == ["status"]
    assert "m5.4xlarge" in completed(jobs.fanfold, "fanfold submit x.py --instance-type m5")
    assert completed(jobs.fanfold, "fanfold jobs --engine l").split() == ["local"]


def test_a_store_that_cannot_be_read_completes_nothing_and_says_nothing(fanfold):
    (fanfold.directory / "home").mkdir()
    (fanfold.directory / "home" / "fanfold.db").write_bytes(b"no database" * 100)
    assert completed(fanfold, "fanfold status ").strip() == ""
