"""From what was asked for to the wheels that it takes, by uv: for another Python and platform or for this one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
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
#: What takes only certain versions of one another: where one is replaced, those that are there go with it. The first
#: are those that the worker itself works with.
_FAMILIES = (
    ("numpy", "pandas", "pyarrow"),
    ("botocore", "boto3", "s3transfer", "aiobotocore", "s3fs"),
    ("fsspec", "s3fs", "gcsfs", "adlfs"),
)
#: A version that is older than this may be a resolver's way out, and that far behind another it is one.
_FALLS_BACK = timedelta(days=365)


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
    if any(_replaces(each, target.pins) for each in map(parsed, requirements)):
        packages, _ = _newer(uv, requirements, target)
    else:
        try:
            packages = uv.lock(requirements, target.pins)
        except InputError as error:
            raise _with_what_goes(error, uv, requirements, target) from None
        packages = _without_fallbacks(uv, requirements, packages, target)
    found = [_source(package, target) for package in packages]
    return sorted(one for one in found if target.pins.get(one.name) != one.version)


def _replaces(requirement: Any, pins: Mapping[str, str]) -> bool:
    pinned = pins.get(normal_name(requirement.name))
    return pinned is not None and not requirement.specifier.contains(pinned, prereleases=True)


def _relatives(replaced: Iterable[str], pins: Mapping[str, str]) -> list[str]:
    """What is there and goes with packages that are replaced, beside these themselves."""
    names = set(replaced)
    found = {name for family in _FAMILIES if names & {*family} for name in family}
    return sorted((found - names) & pins.keys())


# What is there may keep a resolver from all versions of today: it then finds one so old that it asks for nothing in
# particular, and works with nothing (s3fs of 2020, with today's botocore).

_Packages = list[dict[str, Any]]


def _without_fallbacks(uv: _Uv, requirements: Sequence[str], packages: _Packages, target: Target) -> _Packages:
    """The packages, or newer ones where some fell back by years; what stood in their way is then replaced as well."""
    if not any(_may_have_fallen_back(each) for each in packages if normal_name(each["name"]) not in target.pins):
        return packages
    try:
        newer, pins = _newer(uv, requirements, target)
    except InputError:  # none but these
        return packages
    by_name = {normal_name(each["name"]): each for each in newer}
    fallen = [each for each in packages if _has_fallen_back(each, by_name.get(normal_name(each["name"])))]
    if not fallen:
        return packages
    there = ", ".join(f"{name} {target.pins[name]}" for name in _changed(pins, target) if name in by_name)
    name, version = fallen[0]["name"], fallen[0]["version"]
    year = f" of {made_at.year}" if (made_at := _made_at(fallen[0])) else ""
    sys.stderr.write(
        f"fanfold: packages: with {there} of {target.name} there is no {name} newer than {version}{year}, so it is"
        f" {name} {by_name[normal_name(name)]['version']} with others. {name}=={version} asks for the older one.\n"
    )
    return newer


def _newer(uv: _Uv, requirements: Sequence[str], target: Target) -> tuple[_Packages, dict[str, str]]:
    """What there is where pins may give way, and these pins; what goes with those that do gives way too."""
    pins = uv.prefer(requirements)
    if relatives := _relatives(_changed(pins, target), target.pins):
        asked = {normal_name(parsed(each).name) for each in requirements}
        exact = [f"{name}=={pins[name]}" for name in sorted(asked & pins.keys())]
        pins = uv.prefer([*requirements, *exact, *relatives])
    changed = {*_changed(pins, target)}
    return uv.lock([*requirements, *(name for name in relatives if name in changed)], pins), pins


def _changed(pins: Mapping[str, str], target: Target) -> list[str]:
    return [name for name, version in target.pins.items() if pins[name] != version]


def _with_what_goes(error: InputError, uv: _Uv, requirements: Sequence[str], target: Target) -> InputError:
    """The error of a set that does not go with what is there, naming what does where there is such a thing."""
    try:
        newer, pins = _newer(uv, requirements, target)
    except InputError:
        return error
    brought = {normal_name(each["name"]) for each in newer}
    names = [name for name in _changed(pins, target) if name in brought]
    there = ", ".join(f"{name} {target.pins[name]}" for name in names)
    others = ", ".join(f'"{name}=={pins[name]}"' for name in names)
    return InputError(
        f"packages: no {', '.join(requirements)} goes with {there} of {target.name}.",
        next_step=f"add {others} to packages=: with these it goes, and the UDF's runs have them instead.",
    )


def _may_have_fallen_back(package: Mapping[str, Any]) -> bool:
    made_at = _made_at(package)
    return made_at is None or datetime.now(timezone.utc) - made_at > _FALLS_BACK


def _has_fallen_back(package: Mapping[str, Any], other: Mapping[str, Any] | None) -> bool:
    """Whether the other is a version of today where this is one of long ago."""
    from packaging.version import Version

    if other is None or Version(str(other["version"])) <= Version(str(package["version"])):
        return False
    before, after = _made_at(package), _made_at(other)
    if before is None or after is None:  # an index that does not tell
        return Version(str(other["version"])).major > Version(str(package["version"])).major
    return after - before > _FALLS_BACK


def _made_at(package: Mapping[str, Any]) -> datetime | None:
    """When a package's wheels were uploaded, where the index says so."""
    times = [wheel["upload-time"] for wheel in package.get("wheels", ()) if "upload-time" in wheel]
    return max(times, default=None)


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

    def lock(self, requirements: Sequence[str], pins: Mapping[str, str]) -> _Packages:
        """The packages that uv finds where nothing may differ from `pins`."""
        with tempfile.TemporaryDirectory(prefix="fanfold-") as folder:
            constraints = Path(folder, "constraints.txt")
            constraints.write_text(_lines(pins), encoding="utf-8")
            text = self._compile(requirements, ["--format", "pylock.toml", "--constraint", str(constraints)])
        packages: _Packages = parsed_toml(text, Path("pylock.toml")).get("packages", [])
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
