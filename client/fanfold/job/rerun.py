"""A run's own code with its own arguments, called again in this process: to debug it, or to see what it takes."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING, Any

from fanfold.codec import encode
from fanfold.codec.sealed import opened_by, texts_of_secrets
from fanfold.contract.layout import ENV_ATTEMPT, ENV_RUN, ENV_SCRATCH
from fanfold.core.models import RunError, RunStatus
from fanfold.engines.feed import together
from fanfold.errors import FanfoldError, InputError
from fanfold.inputs import decode_arguments
from fanfold.source.load import Bundle, load, part_of
from fanfold.stores.keys import blob_key, bundle_key

if TYPE_CHECKING:
    from fanfold.job import Job

_SETUP = "__fanfold_setup__"


def check_survivable(job: Job, index: int, error: RunError | None) -> None:
    """Raises `InputError` where the run ended its process, and would end this one too."""
    status = job.state.status_of(index)
    if error is not None and (status is RunStatus.OUT_OF_MEMORY or error.type == "WorkerDied"):
        shown = status.value.replace("_", " ")
        raise InputError(
            f"Run {index} of job {job.id} ended its process ({shown}: {error.message}), and would end this one too.",
            next_step=f"`fanfold.run(udf, **job[{index}].input)` runs it in a worker, whose error says where it stood.",
        )


class Rerun:
    """A call of the run's own code with its own arguments, encoded as a worker would. Raises what reading it does.

    `note_secrets` is given the texts of the secrets among its arguments.
    """

    def __init__(self, job: Job, index: int, note_secrets: Callable[[Iterable[str]], None]) -> None:
        stores, header, state = job.tracker.engine.stores, job.header, job.state
        self._objects, self._serializer = stores.objects, header.serializer
        hashes, bundles = (header.code_hash, *header.fixed_hashes), (header.bundle_sha256, *header.fixed_bundles)
        bundle = self._objects.get(bundle_key(dict(zip(hashes, bundles, strict=True))[state.code_hash_of(index)]))
        self._key = stores.sealing_key(header) if header.sealed_with else None
        with opened_by(self._key):
            self._loaded = load(Bundle.from_bytes(bundle), get_blob=self._get_blob)
        self._text = together(job.contents.own_text(index), header.constants)
        if self._key is not None:
            note_secrets(texts_of_secrets(self._text, self._key))
        self._limit_s = header.timeout_s if state.status_of(index) is RunStatus.TIMED_OUT else None
        self._function: Callable[..., Any] | None = None

    def load(self) -> Callable[..., Any]:
        """Run the code around the function, imports and `setup` included, once. Raises what that raises."""
        if self._function is None:
            with opened_by(self._key):
                function = self._loaded()
            setup = getattr(function, _SETUP, None)
            if setup is not None:
                setup()
            self._function = function
        return self._function

    def __call__(self) -> Any:
        """The value. Raises what the function does, and `TimeoutError` where it met its limit before."""
        function = self.load()
        arguments = decode_arguments(self._text, get_blob=self._get_blob, from_source=self._part, key=self._key)
        with _time_limit(self._limit_s):
            value = function(**arguments)
            value = _awaited(value) if hasattr(type(value), "__await__") else value
        encode(value, serializer=self._serializer)
        return value

    def _get_blob(self, name: str) -> bytes:
        return self._objects.get(blob_key(name))

    def _part(self, tree: Any) -> Any:
        return part_of(self._loaded, tree)


def _awaited(value: Any) -> Any:
    import asyncio

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())


@contextmanager
def environment_of(job: Job, index: int) -> Iterator[None]:
    """What code can ask of its run, and nothing of it afterwards."""
    with TemporaryDirectory() as scratch:
        told = {
            ENV_RUN: f"{job.id}/{index}",
            ENV_ATTEMPT: str(job.state.attempt_of(index)),
            ENV_SCRATCH: scratch,
        }
        before = {name: os.environ.get(name) for name in told}
        os.environ.update(told)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@contextmanager
def _time_limit(seconds: float | None) -> Iterator[None]:
    """Raise `TimeoutError` in the code within, where it stands when its time is over."""
    if seconds is None:
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        raise TimeoutError(f"still running after {seconds:g} s, which is the limit")

    try:
        before = signal.signal(signal.SIGALRM, ring)
    except ValueError as error:
        raise FanfoldError(
            "A run that met its time limit can be called again in the main thread only, where it can be stopped.",
            next_step="call debug() outside a thread, or use `fanfold debug`.",
        ) from error
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
