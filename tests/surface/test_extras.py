"""A part whose package is missing names the extra that brings it, and that extra exists and does bring it."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import pytest

import fanfold
from fanfold.codec import registry
from fanfold.diagnosis.machine import OPTIONAL
from fanfold.errors import MissingPackage

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
#: What a package is called where it is installed from.
PROJECTS = {"PIL": "pillow"}


def brings(extra: str, package: str) -> bool:
    """Whether an extra has a package in it."""
    return any(re.match(rf"{PROJECTS.get(package, package)}\b", each) for each in EXTRAS[extra])


@fanfold.udf
def doubled(x: int):
    return x * 2


def in_aws():
    fanfold.configure(deployment="main", engine="aws")
    fanfold.get_jobs()


def with_packages():
    fanfold.submit(doubled, [1], packages=["six"])


def codec_of(name):
    registry.codec_module.cache_clear()
    sys.modules.pop(f"fanfold.codec.{name}", None)
    return registry.codec_module(name)


PARTS = {
    "boto3": in_aws,
    "joblib": lambda: import_module("fanfold.joblib_backend"),
    "matplotlib": lambda: fanfold.submit(doubled, [1], collect=False).wait().timeline(),
    "mcp": lambda: import_module("fanfold.cli.commands.agents").server(),
    "nicegui": lambda: import_module("fanfold.workbench").serve(show=False),
    "packaging": with_packages,
    "shapely": lambda: codec_of("geo"),
    "PIL": lambda: codec_of("images"),
    "polars": lambda: codec_of("polars_frames"),
}


@pytest.mark.parametrize("package", PARTS)
def test_a_part_without_its_package_names_an_extra_that_brings_it(package, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == package or name == "fanfold.joblib_backend"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith("fanfold.codec.")]:
        monkeypatch.setitem(sys.modules, name, sys.modules[name])  # so that it is there again afterwards
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match="not installed") as missing:
        PARTS[package]()
    registry.codec_module.cache_clear()
    extra = re.fullmatch(r"pip install 'fanfold\[(\w+)\]'", missing.value.next_step)
    assert extra is not None, missing.value.next_step
    assert brings(extra[1], package)


def test_doctor_and_every_message_name_extras_that_there_are():
    assert all(brings(extra, package) for package, (extra, _) in OPTIONAL.items())
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "client").rglob("*.py"))
    named = set(re.findall(r"fanfold\[(\w+)\]", source))
    assert len(named) >= 5
    assert named <= set(EXTRAS)


def test_nothing_asks_anybody_to_install_fanfold_itself_from_where_it_is_not():
    pages = [*(ROOT / "client").rglob("*.py"), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]
    asks = re.compile(r"pip install (?:-U |--upgrade )?fanfold(?![-\[\w])")
    found = [f"{page.name}: {line}" for page in pages for line in page.read_text(encoding="utf-8").splitlines()]
    assert [line for line in found if asks.search(line)] == []
