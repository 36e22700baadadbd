"""The folder that all runs share: a file system in the cloud, a folder of one's own here."""

from __future__ import annotations

import os
from pathlib import Path

from fanfold.contract.layout import ENV_MOUNT
from fanfold.errors import ConfigurationError


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


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
