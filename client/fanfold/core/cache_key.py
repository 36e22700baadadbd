"""When a result may serve again: how old it may be, the key it goes by, and the versions of packages it depends on."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable
from datetime import timedelta

from fanfold.contract.layout import DEFAULT_CACHE_MAX_AGE_S
from fanfold.core.models import sha256
from fanfold.errors import InputError

#: Part of every key: raise it when what a key stands for changes, and no older result is taken for a newer one.
KEY_FORMAT = 1

#: The codec of a cache entry that is no result: what the files were that a result names (`returned_key`).
RETURNED = "returned/1"

#: A sealed secret within encoded text (`codec.sealed`): its class and its name, which count, and what each job seals
#: by a key of its own.
_SEALED = '"$sealed":['
_SEALED_ANEW = r'("\$sealed":\["\w+","[0-9a-f]{64}"),"[0-9a-f]*","[A-Za-z0-9+/=]*"\]'

#: The result of another job's run (`codec.stored`): what it is counts, not where it lies nor which run gave it.
_BLOB = '"$blob":['
_LYING = r'("\$blob":\["[^"]+","[0-9a-f]{64}"),"[^"]*","[^"]*"\]'

#: What stands in arguments for the result of a run that has none.
ABSENT_TAG = '"$absent":['

_UNITS_S = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_AGE = r"\s*(\d+(?:\.\d+)?)\s*([smhdw]?)\s*"


def parse_age(value: str | float | timedelta | None) -> float:
    """Seconds in an age: "30s", "5m", "12h", "7d", "2w", a number of seconds, a timedelta, or None for the default.

    0 means that nothing is taken from the cache; what is computed is kept there. Raises `InputError` for anything else.
    """
    if value is None:
        return DEFAULT_CACHE_MAX_AGE_S
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str):
        match = re.fullmatch(_AGE, value, re.ASCII)
        seconds = float(match[1]) * _UNITS_S[match[2]] if match else math.nan
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = _as_float(value)
    else:
        seconds = math.nan
    if math.isfinite(seconds) and seconds >= 0:
        return seconds
    raise InputError(
        f"cache_max_age={value!r} is not an age.",
        next_step='write "30s", "5m", "12h", "7d" or "2w", a number of seconds, or 0 to take nothing from the cache.',
    )


class KeyMaker:
    """Makes the cache keys of one job's inputs: what they share is hashed once, each then takes about a microsecond.

    `arguments` and `constants` are canonical text (see `codec`); `path` is "realtime" or the instance type, since the
    two keep separate results; `image` tells which Python and packages the runs meet.
    """

    __slots__ = ("_shared", "image")

    def __init__(self, *, code_hash: str, constants: str, path: str, image: str) -> None:
        self.image = image
        self._shared = sha256(b"fanfold-key-%d\n" % KEY_FORMAT)
        for part in (code_hash, key_text(constants), path, image):
            data = part.encode()
            # The length comes first, so that no two ways of cutting a text into parts have a key in common.
            self._shared.update(b"%d:" % len(data))
            self._shared.update(data)

    @property
    def flight(self) -> str:
        """What all of these keys have in common, as 32 hexadecimal digits (see `engines.following`)."""
        return self._shared.hexdigest()[:32]

    def key(self, arguments: str) -> str:
        """The cache key of one input, 64 hexadecimal digits."""
        return self.digest(arguments).hex()

    def digest(self, arguments: str) -> bytes:
        """The same, 32 bytes."""
        # The arguments are last, and so need no length.
        digest = self._shared.copy()
        digest.update(key_text(arguments).encode())
        return digest.digest()


def stamped_key(key: str, stamp: str) -> str:
    """The key of a run whose arguments name files: `stamp` stands for what these were when it ended."""
    return sha256(f"{key} {stamp}".encode()).hexdigest() if stamp else key


def returned_key(key: str) -> str:
    """Where the cache keeps what the files were that a result names."""
    return sha256(f"{key} returned".encode()).hexdigest()


def sealed_key(key: str) -> str:
    """Where the cache keeps how the folders were that a run was given (`codec.folders`)."""
    return sha256(f"{key} folders".encode()).hexdigest()


def written_key(job_id: str, folder: str) -> str:
    """Where the cache keeps that runs of a job write to a folder."""
    return sha256(f"{job_id} writes to {folder}".encode(errors="surrogatepass")).hexdigest()


def key_text(text: str) -> str:
    """What of an encoded text counts: of a secret its name, which is the same for every job; of a result its hash."""
    if _BLOB in text:
        text = re.sub(_LYING, r"\1]", text)
    return re.sub(_SEALED_ANEW, r"\1]", text) if _SEALED in text else text


def _as_float(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


# Packages on this machine: which of them brings a module along, and in which version.

#: Of packages that are imported by another name than they are installed by, for those not installed here; any of them
#: brings the module along, the first is the one that is most likely meant.
_ALSO_KNOWN_AS: dict[str, tuple[str, ...]] = {
    "MySQLdb": ("mysqlclient",),
    "PIL": ("pillow",),
    "Crypto": ("pycryptodome",),
    "attr": ("attrs",),
    "bs4": ("beautifulsoup4",),
    "cv2": (
        "opencv-python-headless",
        "opencv-python",
        "opencv-contrib-python-headless",
        "opencv-contrib-python",
    ),
    "dateutil": ("python-dateutil",),
    "docx": ("python-docx",),
    "dotenv": ("python-dotenv",),
    "ee": ("earthengine-api",),
    "faiss": ("faiss-cpu", "faiss-gpu"),
    "gi": ("pygobject",),
    "git": ("gitpython",),
    "jwt": ("pyjwt",),
    "lance": ("pylance",),
    "libarchive": ("libarchive-c",),
    "mpl_toolkits": ("matplotlib",),
    "mysql": ("mysql-connector-python",),
    "odf": ("odfpy",),
    "osgeo": ("gdal",),
    "pkg_resources": ("setuptools",),
    "pylab": ("matplotlib",),
    "psycopg2": ("psycopg2-binary", "psycopg2"),
    "skimage": ("scikit-image",),
    "sklearn": ("scikit-learn",),
    "smbclient": ("smbprotocol",),
    "snowflake": ("snowflake-sqlalchemy",),
    "umap": ("umap-learn",),
    "wx": ("wxpython",),
    "yaml": ("pyyaml",),
}


#: Modules that several packages share, each with a part that is called as it is: `odc.geo` is of odc-geo.
NAMESPACES = frozenset({"azure", "google", "odc", "opentelemetry", "ruamel"})


def package_of(module: str) -> str:
    """The package that brings a module along here, or, where none does, the one that is most likely to."""
    found = sorted(_installed_by(module))
    return found[0] if found else _ALSO_KNOWN_AS.get(module, (module,))[0]


def not_brought(modules: Iterable[str], packages: Iterable[str]) -> list[str]:
    """The top-level modules that none of these packages brings along, as far as is known from this machine."""
    there = {normal_name(name) for name in packages}
    foreign = [name for name in modules if name not in sys.stdlib_module_names and name != "fanfold"]
    missing = [name for name in foreign if there.isdisjoint((normal_name(name), *_ALSO_KNOWN_AS.get(name, ())))]
    shared = {name for name in NAMESPACES.intersection(missing) if any(each.startswith(f"{name}-") for each in there)}
    return [name for name in missing if name not in shared and there.isdisjoint(_installed_by(name))]


def versions(modules: Iterable[str]) -> str:
    """The versions of the packages that bring these modules along on this machine: a result may change with them."""
    foreign = [name for name in modules if name not in sys.stdlib_module_names]
    return " ".join(dict.fromkeys(found for name in foreign for found in _versions_of(name)))


def _versions_of(module: str) -> list[str]:
    by_its_name = _version(module) or next(filter(None, map(_version, _ALSO_KNOWN_AS.get(module, ()))), "")
    if by_its_name:
        return [by_its_name]
    return [found for name in sorted(_installed_by(module)) if (found := _version(name))]


def _version(package: str) -> str:
    from fanfold.core.distributions import installed

    found = installed(package)
    if found is None:
        return ""
    # Installed again under the same version (`pip install .`, a branch of git), it has other files.
    files = f"#{sha256(found.record.encode()).hexdigest()[:12]}" if found.record else ""
    return f"{package}=={found.version}{files}"


def _installed_by(module: str) -> frozenset[str]:
    from fanfold.core.distributions import installed_by

    return installed_by(module)


def normal_name(name: str) -> str:
    """A package's name as all ways of writing it come out."""
    return re.sub(r"[-_.]+", "-", name).lower()
