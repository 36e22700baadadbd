"""The packages that a UDF asks for, made ready before anything starts: resolved, checked, and stored."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from fanfold.core.cache_key import package_of
from fanfold.core.processes import python_here
from fanfold.core.unfinished import unfinished
from fanfold.engines.base import Description, Engine
from fanfold.environments.indexes import Indexes, pip_indexes, without_passwords
from fanfold.environments.libraries import debian_packages, instead_of, missing_libraries
from fanfold.environments.lock import Lock, normal_name
from fanfold.environments.package_set import PackageSet, size_warning
from fanfold.environments.requirements import (
    AUTO,
    Requested,
    installed_pins,
    installed_version,
    is_satisfied,
    parsed,
    requested,
)
from fanfold.environments.resolve import Target, WheelSource, find_uv, resolve
from fanfold.environments.wheels import Stored, store
from fanfold.errors import InputError
from fanfold.settings import current
from fanfold.stores.keys import blob_key
from fanfold.stores.protocols import ObjectStore
from fanfold.submission.needs import missing_imports

#: A wheel of one moment must be the wheel of the next, or nothing would come from the cache.
_SAME_TIMES = {"SOURCE_DATE_EPOCH": "315532800"}


def packages_of(
    function: Callable[..., object],
    asked: str | Sequence[str] | None,
    engine: Engine,
    described: Description,
    imports: Iterable[str],
) -> PackageSet | None:
    """Have the packages that a UDF asks for ready where its runs find them.

    Raises `InputError` for what cannot be had or does not go with what is there, `MissingPackage` without uv, and
    `ConfigurationError` where the index refuses.
    """
    wanted = requested(asked, function)
    if wanted is None:
        return None
    here = described.uses_own_packages
    if wanted.requirements == (AUTO,):
        wanted = Requested(() if here else tuple(_found_missing(imports, described)))
    if wanted == Requested(()):
        return PackageSet()
    if here and not wanted.paths and is_satisfied(wanted.requirements):
        return PackageSet(identity=" ".join(_installed(wanted.requirements)))
    target = _target(described)
    stored = _make_ready(wanted, target, engine)
    if not stored.lock.wheels:
        return PackageSet()
    _say_what_changes(stored.lock, target)
    if not here:
        _check_libraries(stored, described)
    modules = frozenset(module for facts in stored.facts.values() for module in facts.modules)
    return PackageSet(stored.lock, modules, f"packages:{stored.lock.id}")


def _found_missing(imports: Iterable[str], described: Description) -> Iterator[str]:
    """What "auto" stands for: the packages of the modules that the image lacks, at the versions installed here."""
    for module in missing_imports(imports, described):
        package = package_of(module)
        version = installed_version(package)
        if version is None:
            raise InputError(
                f'packages="auto": the UDF imports {module}, which the image lacks and which is not installed here.',
                next_step="install it here, or name its package: packages=[...].",
            )
        yield f"{package}=={version}"


def _installed(requirements: Iterable[str]) -> Iterator[str]:
    for each in requirements:
        name = parsed(each).name
        yield f"{normal_name(name)}=={installed_version(name)}"


def _target(described: Description) -> Target:
    if described.uses_own_packages:
        return Target(python_here(), "", installed_pins(), "this machine's Python")
    pins = {normal_name(name): version for name, version in described.packages.items()}
    return Target(described.python, described.architecture, pins)


def _make_ready(wanted: Requested, target: Target, engine: Engine) -> Stored:
    """Resolve, or take what the same words came to before, and have every wheel in the store."""
    stores, indexes = engine.stores, pip_indexes()
    with TemporaryDirectory(prefix="own-wheels-", dir=stores.scratch) as folder:
        own = [_own_source(_wheel_of(path, Path(folder, str(n)))) for n, path in enumerate(wanted.paths)]
        if own:
            words = [*wanted.requirements, *(f"{one.name}=={one.version}" for one in own)]
            links = [Path(one.address).parent for one in own]
            mine = {one.name: one for one in own}
            sources = [mine.pop(one.name, one) for one in resolve(words, target, indexes, links)]
            sources = sorted([*sources, *mine.values()])
        else:
            sources = _remembered(wanted.requirements, target, indexes)
        return store(sources, target, indexes, _WheelBlobStore(stores.objects), stores.scratch)


class _WheelBlobStore:
    """Blobs of an object store, by their names."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects

    def exists(self, name: str) -> bool:
        """Whether there is one of that name."""
        return self._objects.exists(blob_key(name))

    def get(self, name: str) -> bytes:
        """Its bytes. Raises `ResultDamaged` where there is none."""
        return self._objects.get(blob_key(name))

    def put(self, name: str, data: bytes) -> None:
        """Keep bytes under a name."""
        self._objects.put(blob_key(name), data)

    def put_file(self, name: str, path: Path) -> None:
        """Keep a file under a name, and take it away."""
        self._objects.put_file(blob_key(name), path)


# The same words mean the same wheels, until `forget_locks`.

#: Raise it when what is found for words changes: older findings are not gone by any more.
_LOCKS = 2


def _remembered(requirements: Sequence[str], target: Target, indexes: Indexes) -> list[WheelSource]:
    said = json.dumps([_LOCKS, requirements, target.python, target.architecture, sorted(target.pins.items())])
    path = _locks_folder() / f"{hashlib.sha256(said.encode()).hexdigest()[:32]}.json"
    try:
        return [WheelSource(*each) for each in json.loads(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError):
        sources = resolve(requirements, target, indexes)
    path.parent.mkdir(parents=True, exist_ok=True)
    clean = [one._replace(address=without_passwords(one.address)) for one in sources]
    part = unfinished(path)
    part.write_text(json.dumps(clean), encoding="utf-8")
    part.replace(path)
    return clean


def forget_locks() -> int:
    """Have every list of packages resolved anew the next time; how many were known."""
    known = list(_locks_folder().glob("*.json"))
    for path in known:
        path.unlink(missing_ok=True)
    return len(known)


def _locks_folder() -> Path:
    return current().home / "packages"


# Wheels and projects of one's own.


def _wheel_of(path: Path, folder: Path) -> Path:
    """The wheel itself, or the one that a project's folder builds, in `folder`. Raises `InputError`."""
    folder.mkdir(parents=True)
    if path.is_file():
        return Path(shutil.copy2(path, folder))
    done = subprocess.run(
        [find_uv(), "build", "--quiet", "--wheel", "--no-python-downloads", "--out-dir", str(folder), str(path)],
        capture_output=True,
        check=False,
        text=True,
        env={**os.environ, **pip_indexes().for_uv, **_SAME_TIMES},
    )
    built = list(folder.glob("*.whl"))
    if done.returncode or len(built) != 1:
        raise InputError(
            f"packages: {path} does not build: {without_passwords(done.stderr).strip()[-2000:]}",
            next_step=f"see that `uv build --wheel {path}` works, or give a wheel.",
        )
    if not built[0].name.endswith("-none-any.whl"):
        raise InputError(
            f"packages: {path} has compiled parts ({built[0].name}), which are of this machine.",
            next_step="build its wheel for the deployment's platform, and give that file's path.",
        )
    return built[0]


def _own_source(path: Path) -> WheelSource:
    from packaging.utils import InvalidWheelFilename, parse_wheel_filename

    try:
        name, version, _, _ = parse_wheel_filename(path.name)
    except InvalidWheelFilename as error:
        raise InputError(f"packages: {path.name} is not a wheel's name.", next_step="keep the name it had.") from error
    data = path.read_bytes()
    return WheelSource(str(name), str(version), str(path), hashlib.sha256(data).hexdigest(), len(data))


# What is said before anything starts.


def _say_what_changes(lock: Lock, target: Target) -> None:
    replaced = [(one, target.pins[one.name]) for one in lock.wheels if one.name in target.pins]
    changes = ", ".join(f"{one.name} {one.version} instead of {before}" for one, before in replaced)
    if changes:
        sys.stderr.write(f"fanfold: packages= brings {changes} of {target.name}.\n")
    if warning := size_warning(lock):
        sys.stderr.write(f"fanfold: {warning}\n")


def _check_libraries(stored: Stored, described: Description) -> None:
    """Raises `InputError` for a system library that neither the image nor another wheel has, as far as is known."""
    needs = {package: facts.needs for package, facts in stored.facts.items() if facts.needs}
    has = described.ask_libraries() if needs else None
    if has is None:
        return
    brought = [name for facts in stored.facts.values() for name in facts.brings]
    image = f"its image {described.image_name!r}" if described.image_name else "the deployment's image"
    for package, names in missing_libraries(needs, brought, has).items():
        debian = ", ".join(debian_packages(names))
        steps = [f"use {instead}" if (instead := instead_of(package)) else "use another package"]
        steps.append(f"deploy with the setting `system_packages`{f': {debian}' if debian else ''}")
        raise InputError(
            f"packages: {package} needs {', '.join(names)} of the system, which {image} does not have.",
            next_step=f"{', or '.join(steps)}.",
        )
