"""A call that waits in a thread for one who awaits it: to cancel the await cancels the job."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.job import Job


_STEP_S = 0.25


class AwaitedCall:
    """The job of an awaited call, once it has one. Its thread holds the job, and the event loop cancels it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._job: Job | None = None
        self._is_cancelled = False

    def hold(self, job: Job) -> None:
        """Take the job that the call has started; an await that was cancelled before cancels it now."""
        with self._lock:
            self._job = job
            is_late = self._is_cancelled
        if is_late:
            job.cancel()

    @property
    def words(self) -> tuple[str, ...]:
        """What becomes of the job, for who reads of the cancelled await."""
        if self._job is None:
            return ("the job that was being started is cancelled; fanfold.get_jobs() shows it",)
        return (f'job {self._job.id} is cancelled; fanfold.get_job("{self._job.id}").retry() runs it',)

    def cancel(self) -> None:
        """Cancel the job, now or as soon as there is one."""
        with self._lock:
            self._is_cancelled = True
            job = self._job
        if job is not None:
            job.cancel()


async def wait_in_thread(call: Callable[[], Any], calls: threading.local) -> Any:
    """What `call` gives in a thread of the loop's, in which `calls.awaited` says who awaits it."""
    awaited = AwaitedCall()

    def waits() -> Any:
        calls.awaited = awaited
        try:
            return call()
        finally:
            del calls.awaited

    done = asyncio.ensure_future(asyncio.to_thread(waits))
    try:
        # In steps, in which a notebook's interrupt is heard: ipykernel leaves it to the loop, and does not wake that.
        while not (await asyncio.wait((done,), timeout=_STEP_S))[0]:
            pass
        return done.result()
    except asyncio.CancelledError as cancelled:
        done.cancel()
        # Not in one of the loop's threads: where many calls are cancelled together, these all wait for their jobs.
        own = ThreadPoolExecutor(1)
        over = asyncio.get_running_loop().run_in_executor(own, awaited.cancel)
        own.shutdown(wait=False)
        await asyncio.shield(over)
        cancelled.args = cancelled.args or awaited.words
        raise
