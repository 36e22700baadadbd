"""From what was asked for to the wheels that it takes, by uv: for another Python and platform or for this one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from fanfold.contract.records import NamedTuple
from fanfold.environments.indexes import Indexes, without_passwords
from fanfold.environments.lock import normal_name
from fanfold.environments.requirements import parsed
from fanfold.errors import ConfigurationError, InputError, MissingPackage
from fanfold.settings import parsed_toml

if TYPE_CHECKING:
    from packaging.tags import Tag

#: The glibc of the image's base, Debian 12.
_GLIBC = 36
_OLDEST_GLIBC = 5
_OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}
_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}
#: What the worker itself works with: where one of them is replaced, the others must go with it.
_WORKER_NEEDS = ("numpy", "pandas", "pyarrow")


class Target(NamedTuple):
    """What an environment is for: a Python such as "3.12", a processor ("" for this machine), and what is there."""

    python: str
    architecture: str
    pins: Mapping[str, str]
    #: How messages name it.
    name: str = "the deployment's image"

    @property
    def platform(self) -> str:
        """The platform as uv names it; empty for this machine."""
        return f"{_MACHINES[self.architecture]}-manylinux_2_{_GLIBC}" if self.architecture else ""

    def tags(self) -> list[Tag]:
        """What its wheels may be tagged with, best first."""
        from packaging.tags import compatible_tags, cpython_tags, sys_tags

        if not self.architecture:
            return list(sys_tags())
        version = [int(part) for part in self.python.split(".")[:2]]
        interpreter = "cp" + "".join(map(str, version))
        platforms = list(_platforms(_MACHINES[self.architecture]))
        tags = list(cpython_tags(version, abis=[interpreter], platforms=platforms))
        return tags + list(compatible_tags(version, interpreter, platforms))


def _platforms(machine: str) -> Iterable[str]:
    for minor in range(_GLIBC, _OLDEST_GLIBC - 1, -1):
        yield f"manylinux_2_{minor}_{machine}"
        if minor in _OLD_NAMES:
            yield f"{_OLD_NAMES[minor]}_{machine}"
    yield f"linux_{machine}"


class WheelSource(NamedTuple):
    """A wheel, and where it is to be had: an address without a password, or a file here. Size 0: not known yet."""

    name: str
    version: str
    address: str
    sha256: str
    size: int

    @property
    def file(self) -> str:
        """The wheel's file name."""
        return unquote(urlsplit(self.address).path).rsplit("/", 1)[-1]


def resolve(
    requirements: Sequence[str], target: Target, indexes: Indexes, links: Sequence[Path] = ()
) -> list[WheelSource]:
    """The wheels that `requirements` take beyond what the target has; `links` are folders of wheels to look into too.

    Raises `InputError` where there is no such set, or a wheel is missing for the target.
    """
    uv = _Uv(target, indexes, links)
    replaced = [each for each in map(parsed, requirements) if _replaces(each, target.pins)]
    pins = dict(target.pins)
    if replaced:
        pins = uv.prefer([*requirements, *(name for name in _WORKER_NEEDS if name in pins)])
    packages = uv.lock(requirements, pins)
    found = [_source(package, target) for package in packages]
    return sorted(one for one in found if target.pins.get(one.name) != one.version)


def _replaces(requirement: Any, pins: Mapping[str, str]) -> bool:
    pinned = pins.get(normal_name(requirement.name))
    return pinned is not None and not requirement.specifier.contains(pinned, prereleases=True)


class _Uv:
    """uv's resolver, set up for one target."""

    def __init__(self, target: Target, indexes: Indexes, links: Sequence[Path]) -> None:
        self._target, self._indexes = target, indexes
        self._program = find_uv()
        self._options = ["--quiet", "--no-header", "--no-annotate", "--no-python-downloads", "--only-binary", ":all:"]
        self._options += ["--python", sys.executable, "--python-version", target.python]
        if target.platform:
            self._options += ["--python-platform", target.platform]
        for folder in links:
            self._options += ["--find-links", str(folder)]

    def lock(self, requirements: Sequence[str], pins: Mapping[str, str]) -> list[dict[str, Any]]:
        """The packages that uv finds where nothing may differ from `pins`."""
        with tempfile.TemporaryDirectory(prefix="fanfold-") as folder:
            constraints = Path(folder, "constraints.txt")
            constraints.write_text(_lines(pins), encoding="utf-8")
            text = self._compile(requirements, ["--format", "pylock.toml", "--constraint", str(constraints)])
        packages: list[dict[str, Any]] = parsed_toml(text, Path("pylock.toml")).get("packages", [])
        return packages

    def prefer(self, requirements: Sequence[str]) -> dict[str, str]:
        """Pins that do for `requirements`, and differ from the target's only where they have to."""
        with tempfile.TemporaryDirectory(prefix="fanfold-") as folder:
            before = Path(folder, "requirements.txt")
            before.write_text(_lines(self._target.pins), encoding="utf-8")  # uv prefers what an earlier output says
            self._compile(requirements, ["--output-file", str(before)])
            lines = before.read_text(encoding="utf-8").splitlines()
        found = dict(line.split(" ;")[0].strip().split("==") for line in lines if "==" in line)
        return {**self._target.pins, **{normal_name(name): version for name, version in found.items()}}

    def _compile(self, requirements: Sequence[str], more: Sequence[str]) -> str:
        done = subprocess.run(
            [self._program, "pip", "compile", *self._options, *more, "-"],
            check=False,
            input="\n".join(requirements),
            capture_output=True,
            text=True,
            env={**os.environ, **self._indexes.for_uv},
        )
        if done.returncode:
            raise _told(without_passwords(done.stderr), self._target)
        return done.stdout


def _lines(pins: Mapping[str, str]) -> str:
    return "".join(f"{name}=={version}\n" for name, version in pins.items())


def find_uv() -> str:
    """uv's program. Raises `MissingPackage`."""
    try:
        from uv import find_uv_bin

        return str(find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
    if found is None:
        raise MissingPackage(
            "packages= needs `uv`, which finds out what they need in turn, and it is not installed.",
            next_step="pip install 'fanfold[packages]'",
        )
    return found


def _told(stderr: str, target: Target) -> InputError | ConfigurationError:
    """uv's explanation, and what can be done about it."""
    said = re.sub(r"\s+", " ", stderr.replace("error:", "").replace("cause:", "")).strip()
    where = f"{target.name} (Python {target.python}{f', {target.platform}' if target.platform else ''})"
    if re.search(r"\b(401|403)\b|[Uu]nauthorized|[Ff]orbidden", said):
        return ConfigurationError(
            f"The index of packages refuses this machine: {said}",
            next_step="give its user and password, in pip.conf, PIP_INDEX_URL or the netrc file.",
        )
    if re.search(r"no (usable )?wheels|no wheels with a matching", said):
        return InputError(
            f"packages: there is no wheel for {where}: {said}",
            next_step="ask for another version, or build the wheel yourself and give its path.",
        )
    pins = {name: re.escape(f"{name}=={version}") for name, version in target.pins.items()}
    pinned = [name for name, pin in pins.items() if re.search(rf"(?<![\w-]){pin}(?![\w.]*\w)", said)]
    if pinned:
        return InputError(
            f"packages: what is asked for does not go with {where}: {said}",
            next_step=f"name {' and '.join(pinned)} in packages= as well, with a version that goes with the rest, to"
            " have another than the one that is there.",
        )
    if "not found in the package registry" in said or "No solution" in said:
        return InputError(
            f"packages: there is no such set for {where}: {said}", next_step="check the names and the versions."
        )
    return ConfigurationError(
        f"The packages could not be resolved: {said}", next_step="check the network, or the index that pip goes by."
    )


def _source(package: Mapping[str, Any], target: Target) -> WheelSource:
    """The best of a package's wheels for the target. Raises `InputError` where none fits."""
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    rank = {tag: number for number, tag in enumerate(target.tags())}
    best: tuple[int, WheelSource] | None = None
    name, version = normal_name(package["name"]), str(package["version"])
    for wheel in package.get("wheels", ()):
        address = wheel.get("url") or wheel.get("path") or ""
        one = WheelSource(name, version, address, wheel.get("hashes", {}).get("sha256", ""), wheel.get("size", 0))
        try:
            tags = parse_wheel_filename(one.file)[3]
        except InvalidWheelFilename:
            continue
        number = min((rank[tag] for tag in tags if tag in rank), default=None)
        if number is not None and (best is None or number < best[0]):
            best = number, one
    if best is None:
        where = target.platform or "this machine"
        raise InputError(
            f"packages: {name} {version} has no wheel for Python {target.python} on {where}.",
            next_step="ask for another version, or build the wheel yourself and give its path.",
        )
    return best[1]
