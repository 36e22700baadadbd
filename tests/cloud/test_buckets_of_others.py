"""docs/rasters.md, "Buckets that are not yours": each library asks as the page says, whatever the names are."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

import fanfold
from tests.cloud.asked_of_others import NAMES, WAYS, asked, expected
from tests.cloud.cloud import LocalCloud
from tests.cloud.own_round_trips import BY_ITSELF
from tests.cloud.server import image_variables
from tests.cloud.test_libraries_brought_along import S3FS
from tests.cloud.test_libraries_reach_s3 import PAGE, ROOT

HERE = [library for library in WAYS if library != "s3fs"]
FOLDERS = ("ein Ordner/größe 北", "a+b=c&d", "a:b@c")
#: In keys these are what they mean in a URL to all others, by the page: they write elsewhere.
OF_URLS, AS_THEY_ARE = ("100%41", "h#ash", "q?x"), ("boto3", "pyogrio")


@pytest.fixture(scope="module")
def seen() -> dict[str, dict[str, list[str]]]:
    """What all of them asked, by a process that has not read the environment yet."""
    around = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "DUCKDB_"))}
    around["PYTHONPATH"] = os.pathsep.join(str(ROOT / folder) for folder in ("client", "runtime", "."))
    command = [sys.executable, "-W", "ignore", "-m", "tests.cloud.asked_of_others", *HERE]
    done = subprocess.run(command, cwd=ROOT, env=around, capture_output=True, text=True, check=True, timeout=120)
    found: dict[str, dict[str, list[str]]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("library", HERE)
def test_a_library_asks_unsigned_as_a_payer_or_in_another_region_as_the_page_says(seen, library):
    assert seen[library] == expected(library)


@pytest.mark.long
def test_so_does_s3fs_which_is_brought_along():
    s3fs = fanfold.udf(lambda library: asked([library]), packages=list(S3FS))
    assert fanfold.run(s3fs, library="s3fs", engine="local", cache=False) == {"s3fs": expected("s3fs")}


def test_the_page_has_each_of_these_words():
    page = PAGE.read_text().partition("## Buckets that are not yours")[2].partition("\n## ")[0]
    rows = {row.split("|")[1].split("`")[1]: row for row in page.splitlines() if row.startswith("| `")}
    told = {library: [words for words in ways[1:] if words] for library, ways in WAYS.items()}
    assert {library: [words for words in ways if words not in rows[library]] for library, ways in told.items()} == {
        library: [] for library in WAYS
    }
    assert len(NAMES) == 4


#: Arrow takes s3:// addresses as URLs, in which others' characters are written as %20: it is the only one.
AS_URLS = "pyarrow"


@pytest.mark.parametrize("dotted", [False, True])
def test_folders_and_buckets_may_be_called_what_s3_allows(on_cloud: LocalCloud, dotted, monkeypatch, tmp_path):
    from fanfold_runtime.duckdb_extensions import link_extensions

    s3 = on_cloud.client("s3")
    bucket = next(one["Name"] for one in s3.list_buckets()["Buckets"] if "log" not in one["Name"])
    if dotted:
        bucket = "scenes.of.2020"
        s3.create_bucket(Bucket=bucket)
    for name, value in image_variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    link_extensions(str(tmp_path), sys.path)
    for folder in (*FOLDERS, *OF_URLS):
        for library in AS_THEY_ARE if folder in OF_URLS else BY_ITSELF:
            if library != AS_URLS or " " not in folder:
                key = f"data/{folder}/{library}"
                assert int(BY_ITSELF[library](f"s3://{bucket}/{key}")) == 7
                assert s3.list_objects_v2(Bucket=bucket, Prefix=key)["KeyCount"], key
