"""What a job's header says while its runs go on: whether the job was cancelled, and who asks where a run stands."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from fanfold.errors import FanfoldError
from fanfold.stores.aws.job_headers import JobHeaders, StackQuestion


class CancelFlag:
    """Whether a job has been cancelled, as far as is known.

    It is asked for in a thread of its own: AWS may let one wait for long, and meanwhile the limits of the runs are
    watched. Where it cannot be had it is asked for again: no run ends for that.
    """

    def __init__(self, job_headers: JobHeaders, job_id: str, shard: int, *, every_s: float) -> None:
        self._job_headers, self._job_id, self._shard, self._every_s = job_headers, job_id, shard, every_s
        self._asked_at = time.monotonic()
        self._asking: threading.Thread | None = None
        self._is_set = False
        #: The last question about a run's stack that stood beside the flag.
        self.question: StackQuestion | None = None

    def is_set(self) -> bool:
        """What was found last; asks anew every `every_s` seconds, and does not wait for the answer."""
        waits = self._asking is not None and self._asking.is_alive()
        if not self._is_set and not waits and time.monotonic() - self._asked_at > self._every_s:
            self._asked_at = time.monotonic()
            self._asking = threading.Thread(target=self._ask, name="fanfold-cancel", daemon=True)
            self._asking.start()
        return self._is_set

    def _ask(self) -> None:
        with suppress(FanfoldError):  # it is asked for again
            head = self._job_headers.read_copy(self._job_id, self._shard)
            self.question = head.question
            self._is_set = head.header.cancelled_at is not None


def is_cancelled(job_headers: JobHeaders, job_id: str, shard: int) -> bool:
    """Whether a job has been cancelled by now; False also where that cannot be had."""
    try:
        return job_headers.read_copy(job_id, shard).header.cancelled_at is not None
    except FanfoldError:
        return False
