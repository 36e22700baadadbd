"""What a UDF asks for: a list, a file, "auto", or the metadata at the top of its script."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.contract.records import NamedTuple
from fanfold.environments.lock import normal_name
from fanfold.errors import InputError, MissingPackage

if TYPE_CHECKING:
    from packaging.requirements import Requirement

AUTO = "auto"
#: https://peps.python.org/pep-0723/: a comment block that opens with this line.
_METADATA = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")
#: The name that a requirement begins with; a path or a file has none.
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(?=\s*(?:$|[\[<>=!~;@(]))(?<!\.txt)(?<!\.whl)")
_HOW = 'write packages=["scikit-learn==1.5", "./mine-1.0-py3-none-any.whl"], "requirements.txt" or "auto".'


class Requested(NamedTuple):
    """What was asked for: requirements as pip writes them, and wheels or project folders on this machine."""

    requirements: tuple[str, ...]
    paths: tuple[Path, ...] = ()


def requested(packages: str | Sequence[str] | None, function: Callable[..., object]) -> Requested | None:
    """What is to be there, `fanfold` left out; None where nothing was asked for. "auto" is `AUTO` alone.

    Raises `InputError`, or `MissingPackage` where this Fanfold has come without what reads requirements.
    """
    if packages is None:
        packages = _script_metadata(function)
    if packages is None:
        return None
    said = [packages] if isinstance(packages, str) else list(packages)
    if said == [AUTO]:
        return Requested((AUTO,))
    lines: list[str] = []
    for each in said:
        lines += _file_lines(_there(each, function)) if each.endswith(".txt") else [each]
    return _sorted_out(lines)


def with_more(function: Callable[..., object], own: str | Sequence[str] | None, more: Sequence[str]) -> list[str]:
    """What a UDF asks for, and `more`, which counts where both name a package; "auto" goes with nothing else."""
    mine = _script_metadata(function) if own is None else [own] if isinstance(own, str) else list(own)
    if mine == [AUTO] or AUTO in more:
        return list(more)
    named = {_name(each) for each in more}
    return [*(each for each in mine or () if _name(each) not in named), *more]


def _name(requirement: str) -> str:
    """The package's name; of a file its path."""
    found = _NAME.match(requirement)
    return requirement if found is None else normal_name(found[0])


def parsed(text: str) -> Requirement:
    """One requirement. Raises `InputError` for what is none."""
    try:
        from packaging.requirements import InvalidRequirement, Requirement
    except ImportError as error:
        raise _extra_missing() from error
    try:
        return Requirement(text)
    except InvalidRequirement as error:
        raise InputError(f"packages: {text!r} is not a requirement: {error}.", next_step=_HOW) from error


def _extra_missing() -> MissingPackage:
    return MissingPackage(
        "packages= needs `uv` and `packaging`, which are not installed.",
        next_step="pip install 'fanfold[packages]'",
    )


def _sorted_out(lines: Iterable[str]) -> Requested:
    requirements, paths = [], []
    for line in lines:
        if line.endswith(".whl") or line.startswith((".", "/", "~")):
            paths.append(_local(line))
            continue
        one = parsed(line)
        if one.url is not None:
            raise InputError(
                f"packages: {one.name} is given by an address.",
                next_step="build or fetch its wheel, and give the file's path.",
            )
        if normal_name(one.name) != "fanfold":
            requirements.append(str(one))
    return Requested(tuple(sorted(requirements)), tuple(paths))


def _local(text: str) -> Path:
    path = Path(text).expanduser().resolve()
    if path.is_dir() and ((path / "pyproject.toml").exists() or (path / "setup.py").exists()):
        return path
    if path.is_file() and path.suffix == ".whl":
        return path
    raise InputError(f"packages: {text} is neither a wheel nor the folder of a project.", next_step=_HOW)


def _there(name: str, function: Callable[..., object]) -> Path:
    """A file of requirements: seen from the folder that one stands in, else from beside the UDF."""
    beside = Path(getattr(getattr(function, "__code__", None), "co_filename", "")).parent
    for path in (Path(name).expanduser(), beside / name):
        if path.is_file():
            return path
    raise InputError(f"packages={name!r}: there is no such file.", next_step="give its path, or a list.")


def _file_lines(path: Path) -> Iterator[str]:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        said = re.sub(r"(^|\s)#.*$", "", line).split(" --hash=")[0].strip()
        included = re.fullmatch(r"(?:-r|--requirement)[\s=]*(.+)", said)
        if included:
            yield from _file_lines(path.parent / included[1])
        elif said.startswith("-"):
            raise InputError(
                f"{path.name}: {said.split()[0]} is not for packages=.",
                next_step="give an index by PIP_INDEX_URL or pip.conf, and wheels by their paths.",
            )
        elif said:
            yield said


def _script_metadata(function: Callable[..., object]) -> list[str] | None:
    """The dependencies that the UDF's file declares for itself, where it does."""
    import linecache

    file = getattr(getattr(function, "__code__", None), "co_filename", "")
    if not file or file.startswith("<"):
        return None
    text = "".join(linecache.getlines(file))
    match = _METADATA.search(text) if "# /// script" in text else None
    if match is None:
        return None
    from fanfold.settings import parsed_toml

    lines = match["content"].splitlines()
    said = parsed_toml("\n".join(line[2:] if line.startswith("# ") else line[1:] for line in lines), Path(file))
    dependencies = said.get("dependencies")
    return None if dependencies is None else [str(each) for each in dependencies]


# Whether this machine's own packages will do, and what "auto" stands for.


def is_satisfied(requirements: Iterable[str]) -> bool:
    """Whether this process's own packages are all that is asked for, with what these need in turn."""
    waiting, seen = [(parsed(each), "") for each in requirements], set()
    while waiting:
        one, extra = waiting.pop()
        if (str(one), extra) in seen or (one.marker is not None and not one.marker.evaluate({"extra": extra})):
            continue
        seen.add((str(one), extra))
        installed = installed_version(one.name)
        if installed is None or not one.specifier.contains(installed, prereleases=True):
            return False
        waiting += [(parsed(text), wanted) for wanted in ("", *one.extras) for text in _requires(one.name)]
    return True


def _requires(name: str) -> list[str]:
    from importlib.metadata import requires

    return requires(name) or []


def installed_version(name: str) -> str | None:
    """The version of a package that is installed here."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None


def installed_pins() -> dict[str, str]:
    """Version by name of all that is installed here."""
    from importlib.metadata import distributions

    found = {normal_name(one.metadata["Name"] or ""): one.version for one in distributions()}
    return {name: version for name, version in sorted(found.items()) if name and version}
