"""The realtime handler in an environment that Lambda kills once, at the step that the variable names."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.objects import S3ObjectStore
from fanfold_runtime import realtime

STEP, MARK = os.environ["TEST_DIES"], Path(os.environ["TEST_MARK"])


def dies_at(step: str, owner: object, name: str, *, after: bool) -> None:
    """Have this process killed as it calls, or has called, that function for the first time ever."""
    real = getattr(owner, name)

    def deadly(*arguments, **more):
        result = real(*arguments, **more) if after else None
        if step == STEP and not MARK.exists():
            MARK.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return result if after else real(*arguments, **more)

    setattr(owner, name, deadly)


dies_at("before it started", realtime, "get_header", after=False)
dies_at("after its result was stored", S3ObjectStore, "put_file", after=True)
dies_at("before its end was told", AwsStores, "record", after=False)
dies_at("after its end was told", AwsStores, "record", after=True)

handler = realtime.handler
