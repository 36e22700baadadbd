"""What was computed with one version of a package is computed again with another."""

from __future__ import annotations

import shutil

import pytest

import fanfold
from fanfold.core.cache_key import versions


class SitePackages:
    """A folder of installed packages, in which each brings the module `fourty` along."""

    def __init__(self, folder, package):
        self._folder, self._package = folder, package

    def install(self, version, answer, *, top_level=True):
        shutil.rmtree(self._folder, ignore_errors=True)
        about = self._folder / f"{self._package.replace('-', '_')}-{version}.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {self._package}\nVersion: {version}\n")
        (about / "RECORD").write_text(f"fourty/__init__.py,sha256={answer},\n")
        if top_level:
            (about / "top_level.txt").write_text("fourty\n")
        (self._folder / "fourty").mkdir()
        (self._folder / "fourty" / "__init__.py").write_text(f"def answer():\n    return {answer}\n")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Makes a folder of packages with one of that name: `installed("py-fourty")`."""

    def make(package):
        folder = tmp_path / "site-packages"
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("PYTHONPATH", str(folder))
        return SitePackages(folder, package)

    return make


def answer(x: int):
    import fourty

    return x + fourty.answer()


@pytest.mark.parametrize("top_level", [True, False], ids=["names its modules", "names its files"])
@pytest.mark.parametrize("package", ["fourty", "py-fourty"])
def test_an_upgraded_package_is_not_answered_for_from_the_cache(installed, package, top_level):
    packages = installed(package)
    packages.install("1.0", 40, top_level=top_level)
    assert versions(["fourty"]).startswith(f"{package}==1.0#")
    assert fanfold.submit(answer, [2], collect=False).results() == [42]
    assert fanfold.submit(answer, [2], collect=False).wait().counts() == {"cached": 1}
    packages.install("2.0", 41, top_level=top_level)
    assert versions(["fourty"]).startswith(f"{package}==2.0#")
    fanfold.engines.base.engine_for().close()  # workers keep the packages that they have loaded
    assert fanfold.submit(answer, [2], collect=False).results() == [43]


def test_a_package_installed_again_under_the_same_version_is_another(installed):
    packages = installed("fourty")
    packages.install("1.0", 40)
    before = versions(["fourty"])
    packages.install("1.0", 41)
    assert versions(["fourty"]) != before


def test_modules_of_the_standard_library_cost_no_search(monkeypatch):
    def searched(*_, **__):
        raise AssertionError("the packages were looked through")

    monkeypatch.setattr("importlib.metadata.distributions", searched)
    assert versions(["json", "os", "asyncio"]) == ""
