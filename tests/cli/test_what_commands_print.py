"""Tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
import shutil

import pandas as pd
import pytest

from fanfold.cli.records import KEYS, LISTS, ROWS_SHOWN

#: Each command with arguments that make it print something; {done} and {failed} are jobs.
READING = {
    "jobs": [],
    "status": ["{done}"],
    "logs": ["{done}"],
    "times": ["{done}"],
    "errors": ["{failed}"],
    "debug": ["{failed}", "1"],
    "profile": ["{done}", "0"],
    "why": ["{done}", "0"],
    "diff": ["{done}", "{failed}"],
    "verify": ["{done}"],
    "cancel": ["{done}"],
    "collect": ["{done}", "-o", "{out}"],
    "export": ["{done}", "{out}.d"],
    "report": ["{done}", "-o", "{page}"],
    "instance-types": [],
    "doctor": [],
    "cache size": [],
}
STARTING = {
    "plan": ["squares.py", "1", "2"],
    "run": ["squares.py:cube", "x=2"],
    "explain": ["squares.py:cube"],
    "submit": ["squares.py", "1"],
    "retry": ["{failed}"],
    "salvage": [],
    "remove": ["--older-than", "7d"],
    "cache clear": ["--older-than", "7d"],
    "packages update": [],
    "secret set": ["db-password"],
    "secret list": [],
    "secret remove": ["kept"],
    "ls": [],
    "cp": ["squares.py", "data:"],
}
#: What goes on until Ctrl-C is shown in tests/workbench, and what wants a deployment in the tests of that.
SERVING = {"workbench", "connect", *(command for command in KEYS if command.startswith("schedule "))}


def shown(jobs, tmp_path, command, **options):
    names = {
        "done": jobs.done,
        "failed": jobs.failed,
        "out": str(tmp_path / "out.csv"),
        "page": str(tmp_path / "p.html"),
    }
    arguments = [part.format(**names) for part in (READING | STARTING)[command]]
    if command in READING:
        return jobs(*command.split(), *arguments, *options.pop("flags", []), **options).stdout
    if command == "secret remove":
        jobs.fanfold("secret", "set", *arguments, given="hunter2")
    if command == "salvage":  # of a copy: this process has the home open
        copy = shutil.copytree(jobs.fanfold.environment["FANFOLD_HOME"], tmp_path / "copy", dirs_exist_ok=True)
        options["env"] = {"FANFOLD_HOME": str(copy)}
    if command == "ls":
        jobs.fanfold("cp", "squares.py", "data:")
    return jobs.fanfold(*command.split(), *arguments, *options.pop("flags", []), given="hunter2").stdout


def test_every_command_is_tried_here():
    assert READING.keys() | STARTING.keys() | SERVING == KEYS.keys()


@pytest.mark.parametrize("command", [command for command in KEYS if command not in SERVING])
def test_json_has_the_documented_keys_in_their_order(jobs, tmp_path, command):
    text = shown(jobs, tmp_path, command, flags=["--json"])
    if command == "logs":
        documents = [json.loads(line) for line in text.splitlines()]
    else:
        document = json.loads(text)
        assert isinstance(document, list) == (command in LISTS)
        documents = document if command in LISTS else [document]
    assert documents
    for document in documents:
        assert list(document) == list(KEYS[command])


@pytest.mark.parametrize("command", READING)
def test_what_people_read_fits_80_columns_without_colour(jobs, tmp_path, command):
    text = shown(jobs, tmp_path, command)
    assert text
    ours = text.partition("\n\n")[0]  # a blank line parts a table from a traceback, which is the user's
    assert max(map(len, ours.splitlines())) <= 80 or command in (
        "collect",
        "report",
        "doctor",
        "export",
        "why",
    )  # whose paths may be long
    assert "\x1b" not in text


def test_columns_stand_under_their_titles(jobs):
    title, *rows = jobs("jobs").stdout.splitlines()
    assert title.split() == ["job", "name", "status", "ended", "started", "cost"]
    starts = [match.start() for match in re.finditer(r"\S+", title)]
    assert any(jobs.done in row for row in rows)
    for row in rows:
        cells = [row[start:].split()[0] for start in starts[:3]]
        assert cells == row.split()[:3]
        assert row.rstrip().endswith("$0.00")
        assert " ago" in row or "just now" in row


def test_a_narrow_terminal_cuts_names_and_never_ids(jobs):
    rows = jobs("errors", jobs.failed, columns=50).stdout.splitlines()
    assert "…" in rows[1]
    assert all(len(row) <= 50 for row in rows[:2])
    assert jobs.done in jobs("jobs", columns=70).stdout


LONG = "a_very_long_function_name_that_somebody_wrote_on_a_rainy_day"


def test_long_names_and_inputs_give_way_and_nothing_else_does(fanfold):
    fanfold.udfs.write_text(f"def {LONG}(city: str, country: str):\n    raise ValueError(city * 3)\n")
    job = fanfold.json("submit", f"squares.py:{LONG}", "x" * 100, "--set", f"country={'y' * 100}")["id"]
    terminal = {"COLUMNS": "80"}
    shown = {
        name: fanfold(name, *rest, env=terminal).stdout for name, *rest in (["jobs"], ["times", job], ["errors", job])
    }
    rows = {name: text.splitlines()[1] for name, text in shown.items()}
    assert [row for row in rows.values() if len(row) != 80 or "…" not in row] == []
    assert re.fullmatch(rf"{job}  a_very_\w+…  Failed +1/1 +\S+.*  \$0\.00", rows["jobs"])
    assert re.fullmatch(r"  0  failed      1  +[\d.]+ m?s  +\d+ MiB  city=.*…", rows["times"])
    assert re.fullmatch(r"  0  failed  ValueError: x+…  city=.*…", rows["errors"])


def test_a_terminal_too_narrow_for_what_must_stand_there_breaks_no_id(jobs):
    printed = jobs("jobs", "--limit", "1000", columns=30).stdout
    assert re.search(rf"^{jobs.done} +square", printed, re.MULTILINE)


def test_a_pipe_cuts_nothing(jobs):
    (_, row, *_) = jobs.fanfold("errors", jobs.failed).stdout.splitlines()
    assert "ValueError: 13 is unlucky [red]here[/red]  x=13" in row


def test_colour_only_where_it_is_wanted(jobs):
    coloured = jobs.fanfold("jobs", env={"FORCE_COLOR": "1"}).stdout
    assert "\x1b[32m" in coloured
    assert "\x1b[3" not in jobs.fanfold("jobs", env={"FORCE_COLOR": "1", "NO_COLOR": "1"}).stdout


def test_jobs_are_mine_or_another_s_or_everyone_s(jobs):
    mine = {job["id"] for job in jobs.json("jobs")}
    assert {jobs.done, jobs.failed} <= mine
    assert jobs.json("jobs", "--owner", "somebody") == []
    assert jobs("jobs", "--owner", "somebody").stdout == "No jobs of somebody; --all shows the team's.\n"
    assert {job["id"] for job in jobs.json("jobs", "--all")} == mine
    assert len(jobs.json("jobs", "--limit", "1")) == 1


def test_status_is_the_summary(jobs):
    told = jobs("status", jobs.done).stdout
    assert told.startswith(f"square · {jobs.done} · Completed\n  runs     3 succeeded\n")
    assert re.search(r"^  cost     \$0\.00$", told, re.M)


def test_logs_stand_after_their_run_unless_it_is_one_run_s(jobs):
    assert jobs("logs", jobs.done).stdout == "[0] squaring 1\n[1] squaring 2\n[2] squaring 3\n"
    assert jobs("logs", jobs.done, "--run", "1").stdout == "squaring 2\n"
    assert jobs("logs", jobs.done, "--run", "1", "-f").stdout == "squaring 2\n"
    assert sorted(jobs("logs", jobs.done, "-f").stdout.splitlines()) == [f"[{n}] squaring {n + 1}" for n in range(3)]


def test_logs_follow_until_the_job_ends(fanfold):
    job, until = fanfold.waiting("1", "2")
    with fanfold.start("logs", "-f", job, "--json") as process:
        first = process.stdout.readline()
        until.touch()
        rest = process.stdout.readlines()
    assert {json.loads(line)["run"] for line in [first, *rest]} == {0, 1}
    assert process.returncode == 0


def test_times_of_each_run_or_of_the_slowest(jobs):
    records = jobs.json("times", jobs.failed)
    assert [(record["run"], record["status"], record["input"]) for record in records] == [
        (0, "succeeded", {"x": 12}),
        (1, "failed", {"x": 13}),
        (2, "succeeded", {"x": 14}),
    ]
    slowest = jobs.json("times", jobs.failed, "--slowest", "--limit", "1")
    assert slowest == [max(records, key=lambda record: record["duration_s"])]
    limited = jobs("times", jobs.failed, "--limit", "2")
    assert len(limited.stdout.splitlines()) == 3
    assert "2 of 3 runs; --limit 3 shows all." in limited.stderr


def test_a_table_has_as_many_rows_as_its_help_says_and_json_has_all(here):
    job = here.json("submit", "squares.py:cube", "--range", f"0:{ROWS_SHOWN + 1}")["id"]
    shown = here("times", job)
    assert len(shown.stdout.splitlines()) == 1 + ROWS_SHOWN
    assert f"{ROWS_SHOWN} of {ROWS_SHOWN + 1} runs; --limit" in shown.stderr
    assert len(here.json("times", job)) == ROWS_SHOWN + 1
    for command in ("times", "errors"):
        assert f"[default: {ROWS_SHOWN}; --json has all]" in " ".join(here(command, "--help").stdout.split())


def test_errors_say_which_and_why(jobs):
    (record,) = jobs.json("errors", jobs.failed)
    assert (record["run"], record["input"], record["type"]) == (1, {"x": 13}, "ValueError")
    assert "squares.py" in record["traceback"]
    assert "Run 1 of job" in jobs("errors", jobs.failed, "--run", "1").stdout
    assert jobs("errors", jobs.failed, "--run", "0").stdout == "Run 0 has not failed: it is succeeded.\n"
    assert jobs.json("errors", jobs.done) == []


def test_a_run_s_frame_is_rows_of_json(here):
    here.udfs.write_text(
        "import fanfold\n@fanfold.udf\ndef table(n: int):\n    import pandas as pd\n"
        "    return pd.DataFrame({'day': pd.to_datetime(['2013-01-01'] * n), 'n': range(n)})\n"
    )
    value = here.json("run", "squares.py", "n=2")["value"]
    assert value == [{"day": "2013-01-01T00:00:00.000", "n": 0}, {"day": "2013-01-01T00:00:00.000", "n": 1}]


def test_a_collected_job_is_a_file_of_arguments_and_results(jobs, tmp_path):
    for name, read in (("out.csv", pd.read_csv), ("out.parquet", pd.read_parquet)):
        said = jobs("collect", jobs.done, "-o", str(tmp_path / name))
        assert "3 rows, 2 columns" in said.stdout
        assert read(tmp_path / name).to_dict("list") == {"x": [1, 2, 3], "result": [1, 4, 9]}


def test_a_failed_job_is_collected_without_its_failures_only_when_asked(jobs, tmp_path):
    out = tmp_path / "out.jsonl"
    assert jobs("collect", jobs.failed, "-o", str(out)).exit_code == 1
    assert not out.exists()
    told = jobs("collect", jobs.failed, "-o", str(out), "--ignore-exceptions")
    assert told.exit_code == 0
    assert f"1 of 3 runs failed and are left out; `fanfold errors {jobs.failed}` says why" in told.stderr
    assert out.read_text() == '{"x":12,"result":144}\n{"x":14,"result":196}\n'


def test_a_damaged_result_is_named_and_the_code_is_1(fanfold):
    fanfold.udfs.write_text("import fanfold\n@fanfold.udf\ndef big(n: int):\n    return 'x' * n\n")
    job = fanfold.json("submit", "squares.py", "100000")["id"]
    (stored,) = (path for path in (fanfold.directory / "home/objects/results").rglob("*") if path.is_file())
    stored.chmod(0o600)
    stored.write_bytes(b"")
    told = fanfold("verify", job)
    assert told.returncode == 1
    assert "NOT complete" in told.stdout
    assert fanfold.json("verify", job)["damaged"].keys() == {"0"}


def test_the_cache_is_measured_and_cleared(here):
    here("submit", "squares.py", "1", "2")
    assert here("cache", "size").stdout.startswith("2 results, ")
    assert here.json("cache", "clear", "--older-than", "1h")["forgotten"] == 0
    assert here("cache", "clear").stdout.startswith("2 results forgotten")
    assert here.json("cache", "size") == {"results": 0, "bytes": 0}


def test_one_of_something_is_told_as_one(here):
    assert "square: 1 run, job " in here("submit", "squares.py", "1").stderr
    assert here("collect", here.json("jobs")[0]["id"], "-o", "x.csv").stdout == "x.csv: 1 row, 2 columns\n"
    assert here("cache", "size").stdout.startswith("1 result, ")


@pytest.mark.slow
def test_what_was_too_large_goes_to_a_machine(fanfold):
    fanfold.udfs.write_text(
        "import fanfold, pathlib, time\n\n@fanfold.udf(timeout_s=3)\ndef nap(s: float):\n"
        f"    mark = pathlib.Path({str(fanfold.directory)!r}, 'slow-once')\n"
        "    if s and not mark.exists():\n        mark.touch()\n        time.sleep(60)\n    return s\n"
    )
    told = fanfold("submit", "squares.py", "0", "1.5", "--escalate", "small", "--json")
    assert told.returncode == 0, told.stderr
    assert json.loads(told.stdout)["counts"] == {"succeeded": 2}
    assert "1 run was too large, and runs again on small: job " in told.stderr
    assert fanfold("submit", "squares.py", "1.5", "--debug", "--escalate", "small").stdout == "1.5\n"
    larger = fanfold("submit", "squares.py", "0", "--instance-type", "small", "--escalate", "medium")
    assert larger.stderr.count("small is served by this machine") == 1


@pytest.mark.slow
def test_removed_jobs_are_gone_and_so_is_what_they_held(here):
    here.udfs.write_text("import fanfold\n@fanfold.udf\ndef big(n: int):\n    return b'x' * n\n")
    first, second = (here.json("submit", "squares.py", size)["id"] for size in ("100000", "50000"))
    assert here("remove", first).stdout.startswith("1 job removed, 100 kB")
    assert [job["id"] for job in here.json("jobs")] == [second]
    assert here("status", first).exit_code == 3
    assert here.json("remove", "--older-than", "1h") == {"removed": [], "freed_bytes": 0}
    assert here.json("remove", "--older-than", "0s", "--yes")["removed"] == [second]
    assert here.json("cache", "size") == {"results": 0, "bytes": 0}


def test_a_job_that_runs_is_not_removed(fanfold, tmp_path):
    job = fanfold("submit", "squares.py", "1", "--set", f"until={tmp_path / 'go'}", "--no-wait").stdout.strip()
    told = fanfold("remove", job)
    assert (told.returncode, told.stdout) == (2, "")
    assert f"`fanfold cancel {job}` first" in told.stderr
    assert f"Job {job} still runs: it stays." in fanfold("remove", "--older-than", "0s", "--yes").stderr
    fanfold("cancel", job)
    assert fanfold.json("remove", job)["removed"] == [job]


def test_it_has_to_be_said_in_one_way_which_jobs_are_to_go(fanfold):
    assert "give ids of jobs, or --older-than" in fanfold("remove").stderr
    assert "Both ids and --older-than are given." in fanfold("remove", "x", "--older-than", "1d").stderr


def test_machines_have_their_price(jobs):
    told = jobs("instance-types")
    assert re.search(r"^small +2 +2 GiB +c5\.large +\$0\.085 +\$0\.038$", told.stdout, re.M)
    assert "Prices of 2026-10 in us-east-1." in told.stderr
