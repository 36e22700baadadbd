"""What is installed is known by its version and its files, as `importlib.metadata` has them, which takes far longer."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fanfold.core.cache_key import versions
from fanfold.core.distributions import Installed, installed


def put(folder: Path, entry: str, version: str, *, kind: str = "METADATA", record: str | None = None) -> None:
    """A package as an installer leaves it."""
    (folder / entry).mkdir(parents=True)
    (folder / entry / kind).write_text(f"Metadata-Version: 2.4\nName: any\nVersion: {version}\n\nVersion: 9.9\n")
    if record is not None:
        (folder / entry / "RECORD").write_text(record)


def by_the_library(package: str) -> Installed | None:
    try:
        found = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    return Installed(found.version, found.read_text("RECORD") or "")


def test_all_that_is_here_is_known_as_the_library_knows_it():
    names = {package.metadata["Name"] for package in importlib.metadata.distributions()}
    assert len(names) > 100
    for name in sorted(names):
        assert installed(name) == by_the_library(name)
        assert installed(name.upper().replace("-", "_")) == by_the_library(name)


@pytest.mark.parametrize("package", ["my.package", "My-Package", "my__package", "nowhere", "egg", "old", "several"])
def test_however_a_name_is_written_and_however_it_was_installed(package, tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    put(first, "my_package-1.2.dist-info", "1.2.post3", record="my/package.py,,\n")
    put(second, "My.Package-4.dist-info", "4")
    put(second, "old-1.egg-info", "1", kind="PKG-INFO")
    put(second, "egg-2-py3.11.egg/EGG-INFO", "2", kind="PKG-INFO")
    put(second, "several-1.dist-info", "1")
    put(second, "several-2.dist-info", "2")
    monkeypatch.setattr(sys, "path", [str(first), str(second), str(tmp_path / "gone")])
    assert installed(package) == by_the_library(package)


def test_a_package_in_an_archive_or_of_another_finder_is_found_where_the_library_finds_it(tmp_path, monkeypatch):
    put(tmp_path / "folder", "any-1.dist-info", "1")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("any-2.dist-info/METADATA", "Name: any\nVersion: 2\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "archive.zip"), str(tmp_path / "folder")])
    assert installed("any") == by_the_library("any") == Installed("2", "")

    class Finder:
        def find_distributions(self, context):
            return [importlib.metadata.PathDistribution(tmp_path / "elsewhere" / "any-3.dist-info")]

        def find_spec(self, *_):
            return None

    put(tmp_path / "elsewhere", "any-3.dist-info", "3")
    monkeypatch.setattr(sys, "meta_path", [Finder(), *sys.meta_path])
    assert installed("any") == by_the_library("any") == Installed("3", "")


def test_a_package_that_is_installed_anew_meanwhile_is_another(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    put(tmp_path, "any-1.dist-info", "1", record="any.py,sha256=a,1\n")
    before = versions(["any"])
    (tmp_path / "any-1.dist-info" / "RECORD").write_text("any.py,sha256=b,1\n")
    again = versions(["any"])
    (tmp_path / "any-1.dist-info").rename(tmp_path / "any-2.dist-info")
    (tmp_path / "any-2.dist-info" / "METADATA").write_text("Name: any\nVersion: 2\n")
    assert len({before, again, versions(["any"])}) == 3
    assert versions(["any"]).startswith("any==2#")


def test_to_know_a_version_nothing_is_imported_that_takes_long():
    code = "import sys; from fanfold.core.cache_key import versions; print(versions(['numpy'])); print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.startswith("numpy==")
    assert {"email", "importlib.metadata", "csv"}.isdisjoint(said.split())
