"""A store that cannot be used says so, says what to do, and harms nothing that was stored."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys

import pytest

from fanfold.errors import StoreError, StoreFull, StoreTooNew
from fanfold.stores.local import LocalStores
from fanfold.stores.local.log import SCHEMA_VERSION
from tests.stores.event_log_contract import read_all
from tests.stores.samples import a_job, an_entry, an_output, finished


def test_a_store_of_a_newer_version_is_refused_naming_both(stores):
    stores.close()
    with sqlite3.connect(stores.home / "fanfold.db") as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 7}")
    connection.close()
    with pytest.raises(
        StoreTooNew, match=rf"format is {SCHEMA_VERSION + 7}, this one knows up to {SCHEMA_VERSION}\."
    ) as error:
        LocalStores.open(stores.home)
    assert "update Fanfold here" in error.value.next_step


def test_a_file_that_is_no_database_is_an_error_with_a_next_step(tmp_path):
    (tmp_path / "fanfold.db").write_bytes(b"these are not the bytes you are looking for" * 100)
    with pytest.raises(StoreError, match="not a database") as error:
        LocalStores.open(tmp_path)
    assert "backup" in error.value.next_step


def test_a_home_that_cannot_be_made_is_an_error_with_a_next_step(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="cannot be") as error:
        LocalStores.open(tmp_path / "file" / "home")
    assert "FANFOLD_HOME" in error.value.next_step


def test_a_full_database_is_an_error_and_harms_nothing(stores):
    """SQLite's own limit of pages ends in the error that a full disk ends in."""
    job, kept = a_job(), an_entry("kept")
    stores.log.put_job(job)
    stores.log.append([finished(job.id, 0)])
    stores.cache.record([kept])
    before = read_all(stores.log, job.id)
    with stores.database.reading() as connection:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages}")
    large = an_output(b"x" * 8000)
    with pytest.raises(StoreFull, match="No room") as error:
        stores.log.append([finished(job.id, index, output=large) for index in range(100)])
    assert "free some disk space" in error.value.next_step
    with pytest.raises(StoreFull):
        stores.cache.record([an_entry(str(number)) for number in range(1000)])
    assert read_all(stores.log, job.id) == before
    assert stores.cache.lookup([kept.key], max_age_s=100) == {kept.key: kept}
    stores.close()  # there is room again
    stores.log.append([finished(job.id, 1)])
    assert [event.index for event in read_all(stores.log, job.id)] == [0, 1]


#: The system refuses to let any file grow beyond 64 KB, as it does on a full disk.
TIGHT = """
import json, resource, sys
from pathlib import Path
from fanfold.errors import StoreFull
from fanfold.stores.local import LocalStores

stores = LocalStores.open(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))
path = stores.scratch / "large"
path.write_bytes(b"y" * 1000)
said = []
for put in (stores.objects.put, stores.objects.put_if_absent):
    for key in ("udf/old", "udf/new"):
        try:
            said.append(put(key, b"x" * 100_000))
        except StoreFull as error:
            said.append(error.next_step)
stores.objects.put_file("udf/moved", path)
print(json.dumps([said, sorted(path.name for path in stores.scratch.iterdir())]))
"""


def test_an_object_that_finds_no_room_is_an_error_and_leaves_nothing_behind(stores):
    stores.objects.put("udf/old", b"old")
    command = [sys.executable, "-c", TIGHT, str(stores.home)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    said, scratch = json.loads(done.stdout)
    assert ["free some disk space" in str(step) for step in said] == [True, True, False, True]
    assert said[2] is False  # there already
    assert stores.objects.get("udf/old") == b"old"
    assert not stores.objects.exists("udf/new")
    assert stores.objects.exists("udf/moved")
    assert scratch == []
