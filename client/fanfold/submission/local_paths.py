"""Files of this machine among the inputs of runs that are performed elsewhere, and will not find them."""

from __future__ import annotations

import sys

from fanfold.codec.paths import local_path
from fanfold.contract.cloud import MOUNT_PATH


def say_local_path(own: str, constants: str) -> bool:
    """Say on stderr which file of this machine a run's arguments name, if any; whether there is one."""
    path = next(filter(None, map(local_path, (own, constants or "{}"))), None)
    if path is None or path.startswith(MOUNT_PATH):
        return False
    sys.stderr.write(
        f"fanfold: {path} is of this machine, and runs in AWS do not see it: put it into S3 and pass its s3://"
        " path, or pass what is in it.\n"
    )
    return True
