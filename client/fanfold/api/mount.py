"""What all runs share: a folder (a file system in the cloud, a folder of one's own here), and a place for data."""

from __future__ import annotations

import os
from pathlib import Path

from fanfold.contract.layout import ENV_DATA, ENV_MOUNT
from fanfold.errors import ConfigurationError, InputError


def mount_path() -> Path:
    """The folder that all runs of all jobs share: `/mnt/shared` in a deployment with `mount`, else one in home.

    Raises `ConfigurationError` in a deployment without a shared file system, and where runs are elsewhere than here.
    """
    told = os.environ.get(ENV_MOUNT)
    if told:
        return _made(Path(told))
    from fanfold.engines.base import shared_folder  # a run is told by its environment, and need not read this

    folder = shared_folder()
    if folder is None:
        raise ConfigurationError(
            "There is no shared folder here: either this is not a run, or its deployment has no shared file system.",
            next_step='call it within a UDF, and deploy with `"mount": true` in cdk.json.',
        )
    return _made(folder)


def data_path(name: str = "") -> str:
    """Where data called `name` (`"x.parquet"`, `"tiles/7.tif"`) is kept for all runs, and for their caller.

    In a deployment an address below its bucket's `data/`, which UDFs may read and write; here a file below the home,
    whose folder is there. Raises `InputError` for a name that leads elsewhere.
    """
    if not stays_below(name):
        raise InputError(f"data_path({name!r}) leads elsewhere.", next_step="give a name such as tiles/7.tif.")
    told = os.environ.get(ENV_DATA)
    if not told:
        from fanfold.engines.base import engine_for

        told = engine_for().stores.data_place
    path = told + name
    if "://" not in told:
        _made(Path(path).parent if name else Path(path))
    return path


def stays_below(name: str) -> bool:
    """Whether a file of this name is below the folder that it is put into."""
    parts = name.split("/")
    return not (name.startswith(("/", "\\")) or ".." in parts or "\0" in name or ":" in parts[0])


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
