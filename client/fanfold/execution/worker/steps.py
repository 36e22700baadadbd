"""The steps of a run: what an earlier try has computed is not computed again.

A worker reaches no store. It asks its pool, which has the job's stores at hand, and waits for the reply.
Imported by workers whose UDF has steps: cheap standard library only at the top.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import Any

from fanfold.codec import decode, encode, encode_json
from fanfold.contract.layout import INLINE_RESULT_BYTES
from fanfold.core.models import sha256
from fanfold.errors import CodecError, ConfigurationError, InputError
from fanfold.execution import channel
from fanfold.execution.channel import Asked, Reply
from fanfold.execution.worker.perform import JobContext
from fanfold.execution.worker.worker import Worker

#: A run goes on in another try where less of its time is left than this part of it, or than a step may take: the
#: longest so far, and half as much again.
_LEAST_LEFT, _MARGIN = 0.1, 1.5
#: What errors call that which is kept.
_NAMED = {"step": "what the step {!r} returned", "checkpoint": "the checkpoint {!r}"}


class GoesOnLater(BaseException):
    """Ends a try of a run between two steps, near its time limit. No `Exception`: it is not the UDF's to catch."""


class StepsOfRun:
    """The steps of the run that this process performs now."""

    def __init__(self, worker: Worker, job: JobContext, call: int, began: float) -> None:
        self.call = call
        self._worker = worker
        self._job = job
        self._began = self._looked_at = began
        self._longest_s = 0.0
        #: What this try has computed, and what it was given: of one run each step stands once.
        self._computed = 0
        #: Why it is to end now, between two steps, as those say that keep them; "" where it may go on.
        self._ends_for = ""
        self._met: set[str] = set()
        self._questions = 0
        #: Threads of the run may each be at a step: what passes between one and the pool is a file of its own.
        self._files = itertools.count()
        self._lock = threading.Lock()

    def step(self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The value of `function(*args, **kwargs)`: kept, or computed now and kept."""
        if not isinstance(name, str) or not callable(function):
            raise InputError(
                "A step has a name and a function: one of the two is missing.",
                next_step='write fanfold.step("read", read, path).',
            )
        place = self._place(name, args, kwargs)
        if place in self._met:
            raise InputError(
                f"Two steps of this run are named {name!r} and have the same arguments.",
                next_step="give each a name of its own, such as the number of its turn.",
            )
        kept = self._load(place, "step", name)
        if kept is None:
            self._end_if_late()
            began = time.monotonic()
            value = function(*args, **kwargs)
            self._save(place, "step", name, value, took_s=time.monotonic() - began)
            self._end_if_late()  # what comes after the last step takes time as well
            kept = (value,)
        self._met.add(place)
        return kept[0]

    def checkpoint(self, name: str, value: Any) -> None:
        """Keep a value in place of what was kept under that name; the run may end here, to go on later."""
        self._save(f"checkpoint {name}", "checkpoint", name, value, took_s=0.0)
        self._end_if_late()

    def checkpointed(self, name: str) -> tuple[Any] | None:
        """What was saved last under that name, or None."""
        return self._load(f"checkpoint {name}", "checkpoint", name)

    def _load(self, place: str, what: str, name: str) -> tuple[Any] | None:
        """What is kept there, or None."""
        facts, body = self._ask({"do": "load", "step": place, "file": self._new_file(), "what": what, "name": name})
        if "codec" not in facts:
            return None
        if "file" in facts:
            with open(facts["file"], "rb") as file:
                body = file.read()
            os.unlink(facts["file"])
        pickled = self._job.serializer == "pickle"
        return (decode(facts["codec"], body, allow_pickle=pickled, from_source=self._job.udf.blobs.from_source),)

    def _save(self, place: str, what: str, name: str, value: Any, *, took_s: float) -> None:
        """Keep a value there. Returns when nothing of it can be lost. Raises `CodecError`."""
        try:
            codec, data = encode(value, serializer=self._job.serializer, name=_NAMED[what].format(name))
        except CodecError as error:
            raise CodecError(error.message, next_step=error.next_step) from None
        facts = {"do": "save", "step": place, "codec": codec, "size": len(data), "took_s": took_s, "file": ""}
        facts.update(what=what, name=name)
        facts["sha256"] = sha256(data).hexdigest()
        if len(data) > INLINE_RESULT_BYTES:
            facts["file"], data = self._written(data), b""
        self._ask(facts, data)
        self._computed += 1

    def _place(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """What tells this step from others of the run: its name, and its arguments by their content."""
        hashes: list[str] = []
        try:
            text = encode_json(
                [*args, kwargs],
                put_blob=lambda digest, _: hashes.append(digest),
                name=f"the arguments of the step {name!r}",
            )
        except CodecError as error:
            raise CodecError(error.message, next_step="pass what it works on, or its path or number.") from None
        return sha256("\0".join(["step", name, text, *hashes]).encode()).hexdigest()

    def _end_if_late(self) -> None:
        """End this try where what comes next may not find the time that it needs. Only where this one has got on."""
        is_main = threading.current_thread() is threading.main_thread()
        if self._ends_for and is_main:
            raise GoesOnLater(f"{self._ends_for}: {self._computed} steps more are kept, and it goes on from there")
        limit_s, now = self._job.go_on_later_after_s, time.monotonic()
        self._longest_s = max(self._longest_s, now - self._looked_at)
        self._looked_at = now
        if limit_s is None or not self._computed or not is_main:
            return
        left_s = limit_s - (now - self._began)
        if left_s < max(_LEAST_LEFT * limit_s, _MARGIN * self._longest_s):
            raise GoesOnLater(
                f"{now - self._began:.0f} of {limit_s:.0f} s are over: {self._computed} steps more are kept, and it"
                " goes on from there"
            )

    def _ask(self, facts: dict[str, Any], body: bytes = b"") -> Reply:
        """Ask the pool, and wait for its reply. What a signal's handler left unread of an earlier one is skipped."""
        with self._lock:
            if self._worker.pid != os.getpid() or _now(self._worker) is not self:
                raise ConfigurationError(
                    "Only a run's own process can have steps, for as long as the run goes on.",
                    next_step="take the step in the UDF itself, around what starts processes or threads.",
                )
            self._questions += 1
            path = os.path.join(self._worker.folder, channel.REPLIES)
            if not os.path.exists(path):
                os.mkfifo(path, 0o600)
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)  # to write as well: then it never ends
            try:
                self._worker.say(Asked(self.call, self._questions, facts, body))
                reply = self._reply(fd)
            finally:
                os.close(fd)
        self._ends_for = self._ends_for or str(reply[0].get("ends_for", ""))
        if "refused" in reply[0]:
            raise ConfigurationError(
                f"The step cannot be kept: {reply[0]['refused']}.",
                next_step="call the function itself, without `fanfold.step`.",
            )
        return reply

    def _reply(self, fd: int) -> Reply:
        stream = b""
        while True:
            stream += os.read(fd, 1 << 16)
            whole, stream = channel.unpack_reply(stream)
            if whole is not None and whole[0] == self._questions:
                return whole[1], whole[2]

    def _new_file(self) -> str:
        return os.path.join(self._worker.folder, f"step-{self.call}-{next(self._files)}")

    def _written(self, data: bytes) -> str:
        path = self._new_file()
        with open(path, "wb") as file:
            file.write(data)
        return path


#: Those of the run that was asked for last.
_latest: list[StepsOfRun] = []


def current_steps() -> StepsOfRun | None:
    """The steps of the run that this process performs; None where it performs none."""
    worker = Worker.of_this_process
    return None if worker is None else _now(worker)


def _now(worker: Worker) -> StepsOfRun | None:
    if worker.now is None:
        return None
    called, job, began = worker.now
    if not _latest or _latest[0].call != called.number:
        _latest[:] = [StepsOfRun(worker, job, called.number, began)]
    return _latest[0]
