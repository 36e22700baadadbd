"""Which module of this package knows a value, a codec or a tag. Nothing is imported until it is needed."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Any

from fanfold.errors import MissingPackage

#: What stands where a secret would.
HIDDEN = "**********"

#: By the top-level package that a value's class comes from: a look at its name never imports that package.
_BY_PACKAGE = {
    "datetime": "moments",
    "zoneinfo": "moments",
    "cftime": "moments",
    "uuid": "builtin",
    "decimal": "builtin",
    "pathlib": "builtin",
    "builtins": "builtin",
    "fractions": "builtin",
    "ipaddress": "builtin",
    "re": "builtin",
    "numpy": "arrays",
    "pandas": "frames",
    "geopandas": "geo",
    "shapely": "geo",
    "polars": "polars_frames",
    "pyarrow": "arrow_tables",
    "PIL": "images",
    "scipy": "scientific",
    "xarray": "labelled",
    "xarray.coding.cftimeindex": "frames",
    "affine": "rasters",
    "rasterio": "rasters",
    "pyproj": "rasters",
    "pydantic": "sealed",
    "fanfold": "sealed",
    "fanfold.codec.stored": "stored",
    "fanfold.job.run": "stored",
}

#: Whose values are tables, arrays and the like, which may be of any size.
_BULK = frozenset(("numpy", "pandas", "geopandas", "shapely", "polars", "pyarrow", "PIL", "scipy", "xarray"))

_BUILT_IN = frozenset(("json/1", "bytes/1", "parts/1", "pickle/1"))
#: The codec of frames that are laid out to be read in place; other frames are Parquet.
IPC = "ipc-pandas/1"
#: Frames and series of polars as they were written before, with a letter before the Parquet file: F or S.
POLARS_WITH_LETTER = "parquet-polars/1"
#: Read in place where their bytes may be written to.
IN_PLACE = frozenset((IPC, "npy/1"))

_BY_CODEC = {
    "npy/1": "arrays",
    "parquet-pandas/1": "frames",
    IPC: "mapped_frames",
    "geoparquet/1": "geo",
    **dict.fromkeys((POLARS_WITH_LETTER, "parquet-polars/2", "parquet-polars-series/2"), "polars_frames"),
    "parquet-arrow/1": "arrow_tables",
    "ipc-arrow/1": "arrow_tables",
    "png/1": "images",
}

_BY_TAG = {
    **dict.fromkeys(("$datetime", "$date", "$time", "$timedelta", "$zone", "$cftime"), "moments"),
    **dict.fromkeys(("$numpy", "$npy_scalar"), "arrays"),
    **dict.fromkeys(("$timestamp", "$duration", "$pandas", "$period", "$interval"), "pandas_scalars"),
    **dict.fromkeys(("$objects", "$texts", "$dtype", "$masked", "$view", "$locked", "$noted"), "arrays"),
    **dict.fromkeys(("$sparse", "$frozen"), "scientific"),
    **dict.fromkeys(("$xarray", "$variable"), "labelled"),
    **dict.fromkeys(("$affine", "$window", "$crs", "$transformer"), "rasters"),
    **dict.fromkeys(("$offset", "$pandas_dtype"), "pandas_scalars"),
    "$polars_schema": "polars_frames",
    **dict.fromkeys(("$arrow",), "arrow_tables"),
    "$wkb": "geo",
    "$exception": "exceptions",
    "$ref": "builtin",
    "$sealed": "sealed",
    "$absent": "stored",
}


def module_for_type(kind: type) -> Any:
    """The codec module for values of class `kind`, or None."""
    # `pathlib` became a package in 3.13, and pandas moves its classes between modules: only the top level is stable.
    return codec_module(_BY_PACKAGE.get(kind.__module__) or _BY_PACKAGE.get(package_of(kind)))


def package_of(kind: type) -> str:
    """The top-level package that a class comes from; "" for Cython's functions, which on Python 3.10 do not say."""
    module = kind.__module__
    return module.partition(".")[0] if type(module) is str else ""


def knows(kind: type) -> bool:
    """Whether there is a codec module for values of class `kind`; nothing is loaded for the answer."""
    return package_of(kind) in _BY_PACKAGE


def is_bulk(kind: type) -> bool:
    """Whether values of class `kind` may be large."""
    return package_of(kind) in _BULK


def secret_kinds() -> tuple[type, ...]:
    """pydantic's classes for secrets; none where it is not loaded, or not of its second version."""
    types = sys.modules.get("pydantic.types")
    found = (getattr(types, name, None) for name in ("SecretStr", "SecretBytes", "Secret"))
    return tuple(kind for kind in found if isinstance(kind, type))


def is_secret(value: Any) -> bool:
    """Whether a value is one of pydantic's secrets, or extends one."""
    return "pydantic.types" in sys.modules and issubclass(type(value), secret_kinds())


def is_sealed(value: Any) -> bool:
    """Whether a value is a secret that was read without its key."""
    sealed = sys.modules.get("fanfold.codec.sealed")
    return sealed is not None and isinstance(value, sealed.Sealed)


def is_by_reference(value: Any) -> bool:
    """Whether a value is a run of a job or the result of one, which the run reads that it is an input of."""
    return _BY_PACKAGE.get(type(value).__module__) == "stored"


def module_for_codec(codec: str) -> Any:
    """The codec module that reads `codec`, or None."""
    return codec_module(_BY_CODEC.get(codec))


def is_known(codec: str) -> bool:
    """Whether this version reads `codec`: a newer one may have written others."""
    return codec in _BY_CODEC or codec in _BUILT_IN


#: Which extra brings what codecs import.
_EXTRA_OF = {"geopandas": "geo", "shapely": "geo", "PIL": "images", "polars": "polars"}


def module_for_tag(tag: str) -> Any:
    """The codec module that reads the JSON tag `tag`, or None."""
    return codec_module(_BY_TAG.get(tag, "builtin"))


@cache
def codec_module(name: str | None) -> Any:
    """The codec module of that name, or None. Raises `MissingPackage` where what it needs is not installed."""
    if name is None:
        return None
    try:
        return import_module(f"fanfold.codec.{name}")
    except ModuleNotFoundError as error:
        raise missing(error) from error


def missing(error: ImportError) -> MissingPackage:
    """The error where a value cannot be read for a package that is not installed, or that is another version."""
    package = str(error.name).partition(".")[0]
    if not isinstance(error, ModuleNotFoundError):
        return MissingPackage(
            f"Reading this value needs {error.name} as it was where the value was written: {error}.",
            next_step=f"install the version of {package} that wrote it.",
        )
    extra = _EXTRA_OF.get(package)
    return MissingPackage(
        f"Reading this value needs {package}, which is not installed.",
        next_step=f"pip install 'fanfold[{extra}]'" if extra else f"pip install {package}",
    )
