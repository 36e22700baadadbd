"""`--watch`: in place on a real terminal of 80 columns, in lines where output is a pipe, until it is over or Ctrl-C."""

from __future__ import annotations

import json
import re
import sys
from contextlib import nullcontext
from types import SimpleNamespace

import pexpect
import pytest

from fanfold.cli.views import View, show
from fanfold.errors import StoreError
from tests.cli.conftest import interrupt
from tests.conftest import end_in_terminal

#: More than a loaded machine takes for anything here.
WITHIN_S = 60
#: What moves the cursor up to draw over what stands there, and what colours.
UP, COLOUR = r"\x1b\[1A", r"\x1b\[[0-9;]*3[0-9]m"
#: Between two cells of a table.
GAP = r"(?: |\x1b\[[0-9;]*m)+"


@pytest.fixture
def terminal(fanfold):
    """A command in a terminal of 80 columns and 24 lines, and all that it has drawn."""
    started = []

    def start(*arguments, **environment):
        child = pexpect.spawn(
            sys.executable,
            ["-m", "fanfold.cli", *arguments],
            env=fanfold.environment | {"TERM": "xterm", **environment},
            cwd=str(fanfold.directory),
            dimensions=(24, 80),
            encoding="utf-8",
            timeout=WITHIN_S,
        )
        child.logfile_read = Drawn()
        started.append(child)
        return child

    yield start
    for child in started:
        end_in_terminal(child)


class Drawn:
    """What a terminal was sent."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        """There is nothing to flush."""

    @property
    def lines(self) -> list[str]:
        return re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text))


def test_status_is_drawn_in_place_until_the_job_ends_and_its_code_is_the_job_s(fanfold, terminal):
    job, until = fanfold.waiting("12", "13", "14", "--workers", "1")
    child = terminal("status", "--watch", job)
    child.expect_exact("0/3")
    child.expect(rf"running{GAP}1")
    child.expect("x=12")
    until.touch()
    child.expect_exact("3/3")
    child.expect_exact(pexpect.EOF)
    child.wait()
    drawn = child.logfile_read
    assert child.exitstatus == 1
    assert re.search(UP, drawn.text)
    assert re.search(COLOUR, drawn.text)
    assert max(map(len, drawn.lines)) <= 80
    assert any(re.match(r"succeeded +2 +67%", line) for line in drawn.lines)


def test_jobs_are_drawn_in_place_until_ctrl_c_and_without_colour_where_it_is_not_wanted(fanfold, terminal):
    job, until = fanfold.waiting("1")
    child = terminal("jobs", "--watch", NO_COLOR="1")
    child.expect(rf"{job}{GAP}square{GAP}Running{GAP}0/1")
    until.touch()
    child.expect(rf"{job}{GAP}square{GAP}Completed{GAP}1/1")
    other = fanfold("submit", "squares.py", "2", "--no-wait").stdout.strip()
    child.expect_exact(other)
    child.sendintr()
    child.expect_exact("Stopped looking; jobs go on.")
    child.expect_exact(pexpect.EOF)
    child.wait()
    assert child.exitstatus == 130
    assert re.search(UP, child.logfile_read.text)
    assert not re.search(COLOUR, child.logfile_read.text)


def test_a_terminal_that_cannot_move_its_cursor_gets_lines(fanfold, terminal):
    job = fanfold.json("submit", "squares.py", "1", "2")["id"]
    child = terminal("status", "--watch", job, TERM="dumb")
    child.expect(r"runs +2 succeeded")
    child.expect_exact(pexpect.EOF)
    assert "\x1b" not in child.logfile_read.text


def test_a_pipe_gets_a_line_when_something_changes_and_the_summary_at_the_end(fanfold):
    job, until = fanfold.waiting("1", "2", "--workers", "1")
    with fanfold.start("status", "-w", job) as process:
        first = process.stdout.readline()
        until.touch()
        rest = process.stdout.read().splitlines()
    assert first == "0/2 ended: 1 queued, 1 running\n"
    summary = next(number for number, line in enumerate(rest) if line.startswith("square · "))
    assert rest[summary + 1] == "  runs     2 succeeded"
    assert len(set(rest[:summary])) == summary
    assert process.returncode == 0


def engine_with(wait_for_news):
    return SimpleNamespace(wait_for_news=wait_for_news, stores=SimpleNamespace(within=nullcontext))


def test_what_only_grows_older_is_not_told_again(capsys):
    views = iter([View("", "one", 1), View("", "one, later", 1), View("", "", 2), View("", "two", 3, over=True)])
    nothing_to_wait_for = engine_with(lambda _: True)
    show(lambda: next(views), nothing_to_wait_for, stopped="")
    assert capsys.readouterr().out == "one\ntwo\n"


def test_a_store_that_does_not_answer_is_waited_for_and_said_beside_the_output(capsys):
    answers = iter([View("", "one", 1), None, None, View("", "two", 2, over=True)])

    def look():
        view = next(answers)
        if view is None:
            raise StoreError("the store is silent")
        return view

    def silent(_):
        raise StoreError("no news")

    show(look, engine_with(silent), stopped="")
    told = capsys.readouterr()
    assert told.out == "one\ntwo\n"
    assert re.fullmatch(r"as of \d\d:\d\d:\d\d: the store is silent\nThe store answers again\.\n", told.err)


def test_a_store_that_does_not_answer_at_all_ends_the_command():
    def look():
        raise StoreError("the store is silent")

    with pytest.raises(StoreError):
        show(look, engine_with(lambda _: True), stopped="")


def test_ctrl_c_stops_looking_not_the_job_and_json_of_what_changes_is_an_object_a_line(fanfold):
    job, until = fanfold.waiting("1")
    with fanfold.start("status", "--watch", job) as process:
        process.stdout.readline()
        _, said = interrupt(process)
    assert f"Stopped looking; job {job} goes on." in said
    with fanfold.start("status", "--watch", "--json", job) as process:
        first = json.loads(process.stdout.readline())
        until.touch()
        rest = [json.loads(line) for line in process.stdout.read().splitlines()]
    assert (first["counts"], rest[-1]["counts"]) == ({"running": 1}, {"succeeded": 1})


def test_the_list_of_jobs_in_json_is_a_line_for_each_job_that_has_changed(fanfold):
    job, until = fanfold.waiting("1")
    done = fanfold.json("submit", "squares.py:cube", "1")["id"]
    with fanfold.start("jobs", "--watch", "--json") as process:
        assert [json.loads(process.stdout.readline())["id"] for _ in range(2)] == [done, job]
        until.touch()
        changed = json.loads(process.stdout.readline())
        assert (changed["id"], changed["status"]) == (job, "Completed")
        interrupt(process)
    assert process.returncode == 130
