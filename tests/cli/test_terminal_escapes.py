"""What a UDF prints, raises or is given cannot steer the terminal of who looks at its job; colours are kept."""

from __future__ import annotations

import sys

import pexpect
import pytest

from fanfold.errors import InputError

#: Clears the screen; names the window; has the terminal type its own name back, and draw what follows backwards.
HOSTILE = "\x1b[2J\x1b]0;owned\x07\x1b[c\u202e"
STEERING = ("\x1b[2J", "\x1b]", "\x07", "\x1b[c", "\u202e")
UDF = f"""
import fanfold

@fanfold.udf
def steering(x: str):
    print({HOSTILE!r} + "\\x1b[31mred\\x1b[0m", flush=True)
    raise ValueError({HOSTILE!r} + "end")
"""


@pytest.fixture
def job(fanfold):
    """A job whose input, output and error are hostile."""
    fanfold.udfs.write_text(UDF)
    return fanfold.json("submit", "squares.py", HOSTILE + "given")["id"]


@pytest.fixture
def shown(fanfold, job):
    """What a command about the job sends to a terminal."""

    def run(command: str) -> str:
        return pexpect.run(
            f"{sys.executable} -m fanfold.cli {command} {job}",
            env=fanfold.environment | {"TERM": "xterm"},
            cwd=str(fanfold.directory),
            encoding="utf-8",
            timeout=60,
        )

    return run


def test_logs_on_a_terminal_keep_their_colours_and_nothing_else_that_steers(shown, fanfold, job):
    drawn = shown("logs")
    assert r"\x1b[2J\x1b]0;owned\x07\x1b[c\u202e" in drawn
    assert "\x1b[31mred\x1b[0m" in drawn
    assert not any(one in drawn for one in STEERING)
    assert HOSTILE in fanfold("logs", job).stdout  # a pipe gets what was printed


def test_errors_and_inputs_are_written_out(shown):
    for command in ("errors", "status", "times", "errors --run 0"):
        drawn = shown(command)
        assert "given" in drawn or "end" in drawn or command == "status", command
        assert not any(one in drawn for one in STEERING), command


def test_an_error_s_text_has_no_control_characters():
    assert str(InputError(HOSTILE + "line\nnext", next_step="\x9b2J")) == (
        "\\x1b[2J\\x1b]0;owned\\x07\\x1b[c\\u202eline\nnext\n  Next: \\x9b2J"
    )
