"""`fanfold.doctor()`: what stands in the way here, and what to do about it."""

from __future__ import annotations

import sqlite3
import sys

import pytest

import fanfold
from fanfold.diagnosis import Check, Diagnosis
from fanfold.diagnosis import machine as here


def check(what):
    return next(check for check in fanfold.doctor(show=False).checks if check.what == what)


def test_a_machine_where_all_is_well(capsys):
    found = fanfold.doctor()
    assert found
    assert found.ok
    told = capsys.readouterr().out
    assert told == f"{found}\n"
    assert [check.what for check in found.checks] == [
        "python", "cores", "memory", "settings", "disk", "store", "worker", "optional packages",
    ]  # fmt: skip


def test_at_a_prompt_the_report_is_followed_by_a_few_words():
    checks = [Check("one", verdict, "as it is") for verdict in ("ok", "warn", "ok", "fail")]
    assert repr(Diagnosis(tuple(checks))) == "<Diagnosis: 2 ok, 1 warn, 1 fail>"
    assert repr(Diagnosis(tuple(checks[:1]))) == "<Diagnosis: 1 ok>"


def test_it_leaves_no_trace(home):
    fanfold.doctor(show=False)
    assert fanfold.get_jobs() == []
    assert list((home / "scratch").iterdir()) == []


def test_a_store_of_a_newer_fanfold_fails_with_the_next_step(home):
    assert fanfold.doctor(show=False)
    with sqlite3.connect(home / "fanfold.db") as database:
        database.execute("PRAGMA user_version=99")
    database.close()
    found = fanfold.doctor(show=False)
    assert not found
    assert check("store").verdict == "fail"
    assert "newer Fanfold" in check("store").found
    assert "next: update Fanfold here" in str(found)


def test_a_home_that_is_no_directory_fails(home):
    home.parent.mkdir(parents=True, exist_ok=True)
    home.write_text("a file")
    assert check("store").verdict == "fail"
    assert "FANFOLD_HOME" in check("store").next_step


def test_wrong_settings_fail_and_nothing_further_is_tried(home):
    home.mkdir(parents=True)
    (home / "config.toml").write_text("engine = 'moon'")
    found = fanfold.doctor(show=False)
    assert (found.checks[-1].what, found.checks[-1].verdict) == ("settings", "fail")


def test_little_memory_is_a_warning_with_a_number_of_workers(monkeypatch):
    import psutil

    real = psutil.virtual_memory()
    monkeypatch.setattr(psutil, "virtual_memory", lambda: real._replace(available=1500 << 20))
    assert check("memory").verdict == "warn"
    assert "max_workers=1" in check("memory").next_step


def test_every_number_of_mib_says_so():
    assert check("memory").found.endswith("MiB free; a realtime run may use 4,096 MiB")


def test_little_room_is_a_warning(monkeypatch):
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    assert check("disk").verdict == "warn"
    assert "fanfold remove --older-than 7d" in check("disk").next_step


def test_missing_packages_are_named_with_what_they_are_for(monkeypatch):
    monkeypatch.setitem(here.OPTIONAL, "no_such_package", ("charm", "luck"))
    if sys.version_info < (3, 11):  # which has no mcp
        monkeypatch.delitem(here.OPTIONAL, "mcp")
    missing = check("optional packages")
    assert (missing.verdict, missing.found) == ("warn", "not installed: charm for luck")
    assert missing.next_step == "pip install 'fanfold[charm]'"
    assert fanfold.doctor(show=False).ok


def test_a_worker_that_does_not_start_fails(monkeypatch):
    monkeypatch.setattr("fanfold.diagnosis.machine.probe_worker", lambda *_, **__: "WorkerDied: killed by signal 9")
    assert check("worker").verdict == "fail"
    assert "signal 9" in check("worker").found


@pytest.mark.parametrize("version", [(3, 15, 0), (4, 0, 0)])
def test_a_python_that_nobody_has_tried_is_a_warning(monkeypatch, version):
    monkeypatch.setattr(here.sys, "version_info", version)
    assert here.check_python().verdict == "warn"
