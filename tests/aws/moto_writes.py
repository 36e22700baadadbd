"""moto's writes that go by what is there, made one at a time, as AWS makes them.

moto looks whether a condition holds, writes and answers while other threads do the same: on a loaded machine two
callers were told the same count, two put an object that was to be put once, and two started one execution.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import wraps
from typing import Any

from moto.dynamodb.responses import DynamoHandler
from moto.s3.responses import S3Response
from moto.stepfunctions.models import StepFunctionBackend

#: What decides, writes and words its answer; of each service one waits for another.
_WRITES: dict[type[Any], tuple[str, ...]] = {
    DynamoHandler: ("put_item", "update_item", "delete_item", "batch_write_item", "transact_write_items"),
    S3Response: ("put_object", "_key_response_post"),
    StepFunctionBackend: ("start_execution",),
}
_MARK = "made_alone"


def install() -> None:
    """Have writes wait for each other. Again is harmless."""
    for service, names in _WRITES.items():
        lock = threading.RLock()
        for name in names:
            write = getattr(service, name)
            if not hasattr(write, _MARK):
                setattr(service, name, _one_at_a_time(write, lock))


def _one_at_a_time(write: Callable[..., Any], lock: Any) -> Callable[..., Any]:
    """The write with its answer, which moto words from what is there by then."""

    @wraps(write)
    def alone(*arguments: Any, **named: Any) -> Any:
        with lock:
            return write(*arguments, **named)

    setattr(alone, _MARK, True)
    return alone
