"""The image's recipe: one for Lambda and Batch, pinned to the last package, extended by adding a line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from infra.recipe import DOCKERFILE, NEEDED, REQUIREMENTS, check_lock, default_recipe, own_recipes, pins
from infra.settings import SettingError, Settings
from tests.infra.templates import ROOT, Templates

LOCK = ROOT / "runtime" / "requirements.lock"
_GPU = {"requirements": "runtime/images/gpu.txt", "realtime": False}


def _wanted() -> list[Requirement]:
    texts = [(ROOT / file).read_text() for file in (REQUIREMENTS, NEEDED)]
    lines = (line.split("#")[0].strip() for text in texts for line in text.splitlines())
    return [Requirement(line) for line in lines if line]


def _names(requirements: Iterable[Requirement]) -> set[str]:
    return {canonicalize_name(requirement.name) for requirement in requirements}


def _instructions() -> list[str]:
    text = re.sub(r"\\\n", " ", DOCKERFILE.read_text())
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_lock_has_everything_that_is_asked_for() -> None:
    """Red after a line was added to runtime/requirements.txt: run `make image-lock`."""
    assert _names(_wanted()) - _names(pins(LOCK.read_text())) == set()


def test_the_lock_satisfies_what_is_asked_for() -> None:
    for python in ("3.10", "3.11", "3.12", "3.13", "3.14"):
        recipe = default_recipe(Settings(python_version=python), "x86_64")
        installed = {canonicalize_name(name): version for name, version in recipe.packages().items()}
        asked = (one for one in _wanted() if one.marker is None or one.marker.evaluate({"python_version": python}))
        for wanted in asked:
            assert wanted.specifier.contains(installed[canonicalize_name(wanted.name)]), (python, wanted)


def test_every_package_is_pinned_to_one_version() -> None:
    for requirement in pins(LOCK.read_text()):
        (pin,) = requirement.specifier
        assert pin.operator == "==", requirement


def test_every_pin_has_the_hashes_of_what_may_be_installed() -> None:
    text = LOCK.read_text().replace("\\\n", " ")
    assert [line for line in text.splitlines() if not re.search(r" --hash=sha256:[0-9a-f]{64}", line)] == []
    assert "://" not in text


def test_the_image_is_built_from_the_lock_alone() -> None:
    installs = [line for line in _instructions() if "pip install" in line]
    assert len(installs) == 1
    assert "--requirement /opt/fanfold/requirements.lock" in installs[0]
    assert "--only-binary=:all: --require-hashes" in installs[0]


def test_a_checkout_that_only_its_owner_may_read_makes_an_image_that_everybody_may() -> None:
    """COPY keeps modes, the CDK's hash of the build context ignores them, and runs are another user than its owner."""
    lines = _instructions()
    (opening,) = (n for n, line in enumerate(lines) if "chmod -R a+rX /opt/fanfold" in line)
    assert max(n for n, line in enumerate(lines) if line.startswith("COPY")) < opening
    assert opening < next(n for n, line in enumerate(lines) if line.startswith("USER"))


def test_neither_lambda_nor_batch_meets_an_entry_point() -> None:
    assert "ENTRYPOINT []" in _instructions()


def test_every_python_that_a_setting_allows_can_be_the_base() -> None:
    assert _instructions()[:4] == [
        "ARG PYTHON_VERSION=3.12",
        "ARG BASE_DIGEST=",
        "ARG BASE=python:${PYTHON_VERSION}-slim-bookworm${BASE_DIGEST}",
        "FROM ${BASE}",
    ]
    assert Settings().python_version == "3.12"


def test_the_base_can_be_one_very_image(templates: Templates, tuned: Templates) -> None:
    digest = "sha256:" + "b" * 64
    assert _build_args(templates) == {"PYTHON_VERSION": "3.12"}
    assert _build_args(tuned) == {
        "PYTHON_VERSION": "3.12",
        "BASE_DIGEST": f"@{digest}",
        "EXPECTED_PYTHON": "3.12.",
    }
    plain, exact = (default_recipe(settings, "x86_64") for settings in (Settings(), Settings(base_digest=digest)))
    assert plain.identity != exact.identity


@pytest.mark.parametrize(("expected", "built"), [("", True), ("{0}.{1}.", True), ("{0}.9.", False)])
def test_a_base_of_another_python_is_refused_as_the_image_is_built(expected: str, built: bool) -> None:
    """The instruction itself, run by a shell: a digest says nothing of the version that it is of."""
    (run,) = (line.removeprefix("RUN ") for line in _instructions() if "EXPECTED_PYTHON}" in line)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "EXPECTED_PYTHON": expected.format(*sys.version_info),
    }
    done = subprocess.run(["sh", "-c", run], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0, "the base is of Python" in done.stderr) == (built, not built)


def _build_args(templates: Templates) -> dict[str, str]:
    (manifest,) = templates.folder.glob("Fanfold-main-Processing.assets.json")
    (image,) = json.loads(manifest.read_text())["dockerImages"].values()
    arguments: dict[str, str] = image["source"]["dockerBuildArgs"]
    return arguments


def test_each_image_is_built_by_a_recipe_of_its_own(full: Templates) -> None:
    (manifest,) = full.folder.glob("Fanfold-main-Processing.assets.json")
    images = [image["source"] for image in json.loads(manifest.read_text())["dockerImages"].values()]
    told = {
        (image["dockerBuildArgs"].get("SYSTEM_PACKAGES"), image["dockerBuildArgs"].get("LOCK"), image["platform"])
        for image in images
    }
    assert told == {
        ("libgl1", None, "linux/amd64"),
        ("libgl1", None, "linux/arm64"),
        ("gdal-bin libglib2.0-0", None, "linux/amd64"),
        (None, "runtime/images/gpu.lock", "linux/amd64"),
        (None, None, "linux/arm64"),
    }
    for image in images:  # a change of one image's packages builds no other anew
        locks = {path.name for path in (full.folder / image["directory"] / "runtime").rglob("*.lock")}
        assert ("gpu.lock" in locks) == ("LOCK" in image["dockerBuildArgs"])


def test_the_packages_of_the_gpu_image_are_for_its_processor() -> None:
    settings = Settings.model_validate({"images": {"gpu": _GPU}})
    recipe = own_recipes(settings)["gpu"]
    packages = recipe.packages()
    assert {"torch", "nvidia-cudnn-cu13", "boto3"} <= set(packages)
    assert "geopandas" not in packages
    assert recipe.identity != default_recipe(settings, "x86_64").identity


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ["images.mine.requirements", "runtime/images/mine.txt is not there"]),
        ({"mine.txt": "numpy"}, ["runtime/images/mine.lock", "make image-lock"]),
        ({"mine.txt": "numpy", "mine.lock": "numpy==1.0"}, ["asks for boto3", "has none", "make image-lock"]),
        ({"mine.txt": "numpy>=2", "mine.lock": "numpy==1.0 --hash=sha256:0"}, ["numpy>=2", "has 1.0"]),
        ({"mine.txt": "-r other.txt", "mine.lock": ""}, ["'-r other.txt' is not a requirement"]),
    ],
)
def test_a_lock_that_is_not_of_its_requirements_stops_the_synthesis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], words: list[str]
) -> None:
    folder = tmp_path / "runtime" / "images"
    folder.mkdir(parents=True)
    (tmp_path / NEEDED).write_text("boto3\n")
    for name, text in files.items():
        (folder / name).write_text(text)
    monkeypatch.setattr("infra.recipe.ROOT", tmp_path)
    settings = Settings.model_validate({"images": {"mine": {"requirements": "runtime/images/mine.txt"}}})
    with pytest.raises(SettingError) as caught:
        check_lock(own_recipes(settings)["mine"])
    assert [word for word in words if word not in str(caught.value)] == []


def test_runs_own_the_shared_files(full: Templates) -> None:
    assert f"USER {full.one('AWS::EFS::AccessPoint')['PosixUser']['Uid']}" in _instructions()


def test_what_is_copied_is_in_the_build_context(templates: Templates) -> None:
    (context,) = templates.folder.glob("asset.*")
    sources = [line.split()[1] for line in _instructions() if line.startswith("COPY")]
    sources[0] = _instructions()[_instructions().index("COPY ${LOCK} /opt/fanfold/requirements.lock") - 1].split("=")[1]
    assert sources == ["runtime/requirements.lock", "client/fanfold", "runtime/fanfold_runtime"]
    assert [source for source in sources if (ROOT / source).exists() and not (context / source).exists()] == []
