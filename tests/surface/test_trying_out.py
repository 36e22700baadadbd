"""Where a UDF is tried first (run, a call, debug_mode) its output is seen, errors are short, and the debugger works."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import traceback

import pytest

import fanfold


@fanfold.udf
def hello(x: int):
    print("HELLO", x)
    if x < 0:
        raise ValueError("negative")
    return x


def test_what_a_single_run_prints_is_shown(capsys):
    fanfold.run(hello, x=1)
    hello(2)
    fanfold.submit(hello, [3, 4], debug_mode=True)
    assert capsys.readouterr().out == "HELLO 1\nHELLO 2\nHELLO 3\n"


def test_it_is_shown_also_when_the_run_fails(capsys):
    with pytest.raises(fanfold.RunFailed, match="negative"):
        hello(-1)
    assert capsys.readouterr().out == "HELLO -1\n"


def test_a_terminal_shows_the_job_s_id_before_its_output(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    hello(5)
    job = fanfold.get_jobs(limit=1)[0]
    assert capsys.readouterr().err.startswith(f"fanfold: hello, job {job.id}\n")


def test_local_calls_the_plain_function():
    assert hello.local(7) == 7
    assert fanfold.get_jobs(limit=1) == []


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 keeps the frames")
@pytest.mark.parametrize(
    "call",
    [
        lambda: hello(-1),
        lambda: fanfold.run(hello, x=-1),
        lambda: fanfold.submit(hello, [-1]),
        lambda: fanfold.submit(hello, ["three"]),
        lambda: fanfold.submit(hello, [-1], debug_mode=True),
        lambda: hello.map([-1]).collect(),
        lambda: hello.map([-1]).results(),
        lambda: hello.map([-1]).result(0),
    ],
)
def test_an_error_has_no_frames_of_fanfold_s_own(call):
    with pytest.raises(fanfold.FanfoldError) as raised:
        call()
    files = {frame.filename for frame in traceback.extract_tb(raised.value.__traceback__)}
    assert files == {__file__}


def test_the_debug_log_keeps_them(monkeypatch):
    monkeypatch.setenv("FANFOLD_LOG", "debug")
    with pytest.raises(fanfold.RunFailed) as raised:
        hello(-1)
    assert any("fanfold" in frame.filename for frame in traceback.extract_tb(raised.value.__traceback__)[1:])


PDB = """
import fanfold

def checked(x):
    breakpoint()
    return x * 10

@fanfold.udf
def f(x: int, by: int = 1):
    return checked(x) * by

if __name__ == "__main__":
    print("value", fanfold.submit(f, ["4"], by=2, debug_mode=True))
"""


def test_breakpoint_works_in_debug_mode(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(PDB))
    ended = subprocess.run(
        [sys.executable, str(script)], input="p x\nc\n", capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "(Pdb) 4\n" in ended.stdout
    assert "value 80" in ended.stdout
    assert "f calls the debugger, so debug_mode runs it in this process" in ended.stderr


def test_debug_mode_checks_the_input_before_it_calls():
    @fanfold.udf
    def stops(x: int):
        breakpoint()

    with pytest.raises(fanfold.InputError, match="three"):
        fanfold.submit(stops, ["three"], debug_mode=True)


def test_debug_mode_calls_with_the_very_function_that_was_given():
    @fanfold.udf
    def applied(fn):
        if fn is None:
            breakpoint()
        return fn(3)

    given = []
    fanfold.submit(applied, [lambda x: given.append(x + 1)], debug_mode=True)
    assert given == [4]
