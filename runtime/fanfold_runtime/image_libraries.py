"""What an image says of itself when it has run: its system libraries, against which clients check `packages=`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

from fanfold.contract.cloud import ENV_IMAGE
from fanfold.environments.libraries import libraries_in
from fanfold.errors import FanfoldError
from fanfold.stores.keys import libraries_key
from fanfold.stores.protocols import ObjectStore
from fanfold_runtime import telemetry

#: By its path: the users that runs are performed as do not have it in theirs.
_LDCONFIG = "/sbin/ldconfig"


def publish_libraries(objects: ObjectStore, environment: Mapping[str, str] = os.environ) -> None:
    """Keep the names of this image's system libraries, where no other worker of it has. Nothing depends on it."""
    identity = environment.get(ENV_IMAGE)
    if not identity:
        return
    key = libraries_key(identity)
    try:
        if objects.exists(key):
            return
        listed = subprocess.run([_LDCONFIG, "-p"], capture_output=True, text=True, check=True, timeout=5).stdout
        objects.put(key, "\n".join(sorted(libraries_in(listed))).encode())
    except (FanfoldError, OSError, subprocess.SubprocessError) as error:
        telemetry.logger.warning("libraries not announced", error=type(error).__name__)
