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

from infra.image import DOCKERFILE, LOCK, identity, packages, pins
from infra.settings import Settings
from tests.infra.templates import ROOT, Synthesise, Templates

_REQUIREMENTS = ROOT / "runtime" / "requirements.txt"


def _wanted() -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in _REQUIREMENTS.read_text().splitlines())
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
        installed = {
            canonicalize_name(name): version for name, version in packages(Settings(python_version=python)).items()
        }
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
    assert _instructions()[:3] == [
        "ARG PYTHON_VERSION=3.12",
        "ARG BASE_DIGEST=",
        "FROM python:${PYTHON_VERSION}-slim-bookworm${BASE_DIGEST}",
    ]
    assert Settings().python_version == "3.12"


def test_the_base_can_be_one_very_image(synthesise: Synthesise) -> None:
    digest = "sha256:" + "b" * 64
    assert _build_args(synthesise()) == {"PYTHON_VERSION": "3.12"}
    assert _build_args(synthesise(base_digest=digest)) == {
        "PYTHON_VERSION": "3.12",
        "BASE_DIGEST": f"@{digest}",
        "EXPECTED_PYTHON": "3.12.",
    }
    assert identity(Settings(base_digest=digest)) != identity(Settings())


@pytest.mark.parametrize(("expected", "built"), [("", True), ("{0}.{1}.", True), ("{0}.9.", False)])
def test_a_base_of_another_python_is_refused_as_the_image_is_built(expected: str, built: bool) -> None:
    """The instruction itself, run by a shell: a digest says nothing of the version that it is of."""
    (run,) = (line.removeprefix("RUN ") for line in _instructions() if "EXPECTED_PYTHON}" in line)
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "EXPECTED_PYTHON": expected.format(*sys.version_info),
    }
    done = subprocess.run(["sh", "-c", run], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode == 0, "base_digest is of Python" in done.stderr) == (built, not built)


def _build_args(templates: Templates) -> dict[str, str]:
    (manifest,) = templates.folder.glob("Fanfold-main-Processing.assets.json")
    (image,) = json.loads(manifest.read_text())["dockerImages"].values()
    arguments: dict[str, str] = image["source"]["dockerBuildArgs"]
    return arguments


def test_runs_own_the_shared_files(full: Templates) -> None:
    assert f"USER {full.one('AWS::EFS::AccessPoint')['PosixUser']['Uid']}" in _instructions()


def test_what_is_copied_is_in_the_build_context(templates: Templates) -> None:
    (context,) = templates.folder.glob("asset.*")
    sources = [line.split()[1] for line in _instructions() if line.startswith("COPY")]
    assert sources == ["runtime/requirements.lock", "client/fanfold", "runtime/fanfold_runtime"]
    assert [source for source in sources if (ROOT / source).exists() and not (context / source).exists()] == []
