"""What an image is made of: the default one and those with a name, each from a lock file, or in ECR already."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from infra.settings import OwnImage, SettingError, Settings

ROOT = Path(__file__).parents[1]
DOCKERFILE = ROOT / "runtime" / "Dockerfile"
#: What UDFs import by default, and what Fanfold itself needs in each image.
REQUIREMENTS, NEEDED = "runtime/requirements.txt", "runtime/fanfold.txt"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One image for one processor. `name` is empty for the default image, `base` for the usual one."""

    name: str
    architecture: str
    python_version: str
    base: str
    base_digest: str
    system_packages: tuple[str, ...]
    requirements: str
    uri: str | None

    @property
    def lock(self) -> Path:
        """The lock file that the image's packages are installed from."""
        return (ROOT / self.requirements).with_suffix(".lock")

    @property
    def is_plain(self) -> bool:
        """Whether its base and system packages are the usual ones."""
        return not (self.uri or self.base or self.system_packages)

    @property
    def build_args(self) -> dict[str, str]:
        """What the Dockerfile is told where it is not the usual."""
        given = {"PYTHON_VERSION": self.python_version}
        if self.base_digest:
            given["BASE_DIGEST"] = f"@{self.base_digest}"
        if self.base:
            given["BASE"] = self.base
        if self.base or self.base_digest:
            given["EXPECTED_PYTHON"] = f"{self.python_version}."
        if self.requirements != REQUIREMENTS:
            given["LOCK"] = str(Path(self.requirements).with_suffix(".lock"))
        if self.system_packages:
            given["SYSTEM_PACKAGES"] = " ".join(self.system_packages)
        return given

    @property
    def identity(self) -> str:
        """Changes when the image may compute something else: other packages, another Python or another processor.

        Fanfold's own code is left out on purpose, so that an update of it keeps every cached result.
        """
        contents = self.uri or DOCKERFILE.read_text() + self.lock.read_text() + "".join(self.build_args.values())
        return hashlib.sha256(f"{contents}\n{self.architecture}".encode()).hexdigest()[:16]

    @property
    def target(self) -> dict[str, Any]:
        """What markers of requirements are evaluated for."""
        python, machine = self.python_version, "aarch64" if self.architecture == "arm64" else "x86_64"
        where = {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine}
        return {**where, "python_version": python, "python_full_version": f"{python}.0"}

    def packages(self) -> dict[str, str]:
        """Version by name of every Python package in it, from the lock file; none of one that is in ECR already."""
        if self.uri:
            return {}
        target = self.target
        return {
            pin.name: str(pin.specifier).removeprefix("==")
            for pin in pins(self.lock.read_text())
            if pin.marker is None or pin.marker.evaluate(target)
        }

    def build_context(self) -> list[str]:
        """What of the checkout is left out, as Docker's patterns: other images' locks too, which change by themselves.

        The CDK makes a copy first, and does not read Docker's file of patterns by itself.
        """
        lines = DOCKERFILE.with_name("Dockerfile.dockerignore").read_text().splitlines()
        patterns = [line for line in lines if line and not line.startswith("#")]
        if self.requirements == REQUIREMENTS:
            return [*patterns, "runtime/images"]
        return [*patterns, "runtime/images/*", f"!{self.lock.relative_to(ROOT)}"]


def default_recipe(settings: Settings, architecture: str) -> Recipe:
    """The image of UDFs that name none, for a processor."""
    return Recipe(
        name="",
        architecture=architecture,
        python_version=settings.python_version,
        base="",
        base_digest=settings.base_digest or "",
        system_packages=tuple(sorted(settings.system_packages)),
        requirements=REQUIREMENTS,
        uri=settings.image_uri_for(architecture),
    )


def own_recipes(settings: Settings) -> dict[str, Recipe]:
    """The images that have a name, by it."""
    return {name: _own_recipe(name, image, settings) for name, image in sorted(settings.images.items())}


def _own_recipe(name: str, image: OwnImage, settings: Settings) -> Recipe:
    return Recipe(
        name=name,
        architecture=settings.architecture_of(image),
        python_version=image.python_version or settings.python_version,
        base=image.base or "",
        base_digest="" if image.base else settings.base_digest or "",
        system_packages=tuple(sorted(image.system_packages)),
        requirements=image.requirements or REQUIREMENTS,
        uri=image.image_uri,
    )


# Lock files


def pins(lock: str) -> Iterator[Requirement]:
    """The pins of a lock file, whose lines go on with the hashes of what may be installed."""
    for line in lock.replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            yield Requirement(line.split(" --hash=")[0].strip())


def check_lock(recipe: Recipe) -> None:
    """Raises `SettingError` where an image's lock file is not what its requirements, and Fanfold's own, come to."""
    if recipe.uri:
        return
    setting = f"images.{recipe.name}.requirements" if recipe.name else REQUIREMENTS
    if not (ROOT / recipe.requirements).is_file():
        raise SettingError(f"{setting}: {recipe.requirements} is not there; it is a path within the checkout")
    if not recipe.lock.is_file():
        lock = recipe.lock.relative_to(ROOT)
        raise SettingError(f"{setting}: {lock}, which the image is built from, is not there; run `make image-lock`")
    locked = {canonicalize_name(name): version for name, version in recipe.packages().items()}
    target = recipe.target
    for file in (recipe.requirements, NEEDED):
        for wanted in _wanted(file, setting):
            if wanted.marker is not None and not wanted.marker.evaluate(target):
                continue
            version = locked.get(canonicalize_name(wanted.name))
            if version is None or not wanted.specifier.contains(version, prereleases=True):
                has = f"has {version}" if version else "has none"
                raise SettingError(
                    f"{setting}: {file} asks for {wanted}, of which {recipe.lock.relative_to(ROOT)} {has}; "
                    "run `make image-lock`"
                )


def _wanted(file: str, setting: str) -> Iterator[Requirement]:
    for line in (ROOT / file).read_text().splitlines():
        text = re.sub(r"(^|\s)#.*$", "", line).strip()
        if not text:
            continue
        try:
            yield Requirement(text)
        except InvalidRequirement as error:
            raise SettingError(f"{setting}: {file}: {text!r} is not a requirement: {error}") from error
