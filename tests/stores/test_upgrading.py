"""A newer Fanfold opens what an older one has left, and loses nothing of it; an older one refuses what is newer.

`store_of_format_1.tar.gz` is a home that the Fanfold of 2026-11-28 has made, in whose database events were of fewer
kinds, with the program that made it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

import fanfold
from fanfold.contract import cloud
from fanfold.core import cache_key
from fanfold.engines.base import engine_for
from fanfold.errors import CaptureError
from fanfold.source import load
from fanfold.source.load import Bundle
from fanfold.stores import packing
from fanfold.stores.local import log
from tests.stores.samples import an_entry

ARCHIVE = Path(__file__).with_name("store_of_format_1.tar.gz")
YEARS_S = 1e10


def home_of_format_1(folder: Path) -> Path:
    """That home, in this folder."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(folder, filter="data") if sys.version_info >= (3, 12) else archive.extractall(folder)
    return folder / "home"


@pytest.fixture
def older(tmp_path, monkeypatch):
    """The latest job of each UDF in a home that was just opened by this Fanfold, by the UDF's name."""
    home = home_of_format_1(tmp_path)
    monkeypatch.setenv("FANFOLD_HOME", str(home))
    fanfold.configure(home=home)
    jobs = fanfold.get_jobs(owner=None)
    assert [(job.name, job.status) for job in jobs] == [
        ("squared", "Completed"),
        ("picky", "Failed"),
        ("table", "Completed"),
        ("squared", "Completed"),
    ]
    return {job.name: job for job in jobs}


def test_all_that_an_older_store_has_is_there(older):
    assert all(job.verify() for job in older.values())
    assert older["squared"].results() == [x * x for x in range(20)]
    assert older["table"].results()[1].n.to_list() == list(range(3000))
    assert "squaring 7" in str(older["squared"].logs())
    assert older["picky"].counts() == {"succeeded": 3, "failed": 1}
    assert "ValueError: 2 is not wanted" in str(older["picky"].first_error())
    assert str(older["squared"][3].why()).startswith("run 3 of job")  # it reads the older one's bundle
    stores = engine_for("local").stores
    keys = packing.Manifest(stores.objects, older["squared"].id, 20).cache_keys(range(20))
    assert len(stores.cache.lookup(keys, max_age_s=YEARS_S)) == 20
    with pytest.raises(fanfold.RunFailed, match="2 is not wanted"):
        older["picky"].retry().results()  # the older one's code runs again as it was


def test_an_older_program_opens_what_a_newer_one_has_touched_and_is_told(older, tmp_path):
    older_one = "import fanfold.stores.local.log as log; log.SCHEMA_VERSION = 1; from fanfold.cli import main; main()"
    told = subprocess.run(
        [sys.executable, "-c", older_one, "jobs"],
        env={**os.environ, "FANFOLD_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "was written by a newer Fanfold: its format is 3, this one knows up to 1." in told.stderr
    assert "Next: update Fanfold here" in told.stderr
    assert older["squared"].verify()


def test_code_of_another_format_says_which_side_is_the_older():
    data = b'{"fanfold_bundle":%d}'
    with pytest.raises(CaptureError, match="A newer Fanfold captured this function, in format 99") as newer:
        Bundle.from_bytes(data % 99)
    assert "update Fanfold here" in newer.value.next_step
    with pytest.raises(CaptureError, match="An older Fanfold captured this function, in format 1") as older:
        Bundle.from_bytes(data % 1)
    assert "submit the UDF again" in older.value.next_step


def test_the_formats_that_clients_and_deployments_share_belong_to_one_version():
    """A change of a format that others cannot read raises DESCRIPTOR_VERSION, and adds a line here.

    If the other version can still be spoken with, OLDEST_DESCRIPTOR_VERSION stays; else it goes up as well.
    """
    formats = {
        "bundle": load.FORMAT_VERSION,
        "events": packing.events_to_bytes([])[0],
        "cache key": cache_key.KEY_FORMAT,
        "cache entry": packing.entry_to_bytes(an_entry("a"))[0],
    }
    of_version = {1: {"bundle": 2, "events": 1, "cache key": 1, "cache entry": 2}}
    assert formats == of_version[cloud.DESCRIPTOR_VERSION]
    assert 1 <= cloud.OLDEST_DESCRIPTOR_VERSION <= cloud.DESCRIPTOR_VERSION
    assert log.SCHEMA_VERSION == 3  # of this machine's store: an older one is brought up to it as it is opened
