"""Short calls that a worker has taken together: performed one after the other, and answered with one breath.

What a run costs besides its UDF is mostly what is done once for it, whatever it computes: for a chunk it is done once.
Each call is claimed before it begins, so the pool knows which one runs, and may give the others to another worker.
"""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Sequence
from typing import Any

from fanfold.errors import FanfoldError
from fanfold.execution.channel import (
    EXIT_PIPES_CLOSED,
    NUMBER,
    SO_FAR,
    Called,
    SoFar,
    pack_finished,
    pack_numbers,
)
from fanfold.execution.worker.perform import JobContext, is_small, whole
from fanfold.execution.worker.sandbox import Sandbox


class Claims:
    """The calls that this process has taken together, and not begun: it reads each before it begins it.

    A call is the process's that reads its number: this one's, or the pool's.
    """

    _ALL_BYTES = 4096

    def __init__(self, claims: int, offers: int) -> None:
        self._claims, self._offers = claims, offers

    def offer(self, numbers: Sequence[int]) -> None:
        """Have these calls to be claimed."""
        try:
            os.write(self._offers, pack_numbers(numbers))
        except OSError:
            os._exit(EXIT_PIPES_CLOSED)

    def claim(self, number: int) -> bool:
        """Take the next call, which is of that number; False where the pool has it."""
        read = self._read(NUMBER.size)
        if read == NUMBER.pack(number):
            return True
        if read:  # a UDF has read some: what is left must not be taken for a later call's
            self.give_up()
        return False

    def give_up(self) -> None:
        """Begin none of those that are left."""
        self._read(self._ALL_BYTES)

    def _read(self, most: int) -> bytes:
        try:
            return os.read(self._claims, most)
        except BlockingIOError:
            return b""
        except OSError:
            os._exit(EXIT_PIPES_CLOSED)


def shown_memory(path: str) -> mmap.mmap | bytearray:
    """Memory that the pool sees in a file; where there is no room for one, memory that it does not see.

    The file is written as a whole: to fill a hole in it on a full disk would end this process.
    """
    try:
        fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            if os.write(fd, bytes(SoFar.SIZE)) == SoFar.SIZE:
                return mmap.mmap(fd, SoFar.SIZE)
        finally:
            os.close(fd)
    except (OSError, ValueError):
        pass
    return bytearray(SoFar.SIZE)


#: After so long the calls that are left go back to the pool: they are not so short after all.
_LONG_S = 0.005


class Chunks:
    """Performs calls that this process has taken together. `claims` and `offers`: see `worker.Pipes`."""

    def __init__(self, sandbox: Sandbox, claims: int, offers: int) -> None:
        self.claims = Claims(claims, offers)
        self._sandbox = sandbox
        self._so_far = SoFar(shown_memory(f"{sandbox.folder}/{SO_FAR}"))

    def decoded(self, calls: list[Called], job: JobContext) -> Any:
        """The arguments of these calls; None where they cannot be read together: each is read alone, which says why."""
        try:
            return job.arguments(f"[{','.join([called.arguments.decode() for called in calls])}]")
        except (ValueError, RecursionError, FanfoldError):
            return None

    def perform(self, calls: list[Called], given: Any, job: JobContext) -> tuple[bytes, list[Called]]:
        """The answer to these calls, up to one whose end is more than a small result, and the calls after that one."""
        sandbox, so_far, claim = self._sandbox, self._so_far, self.claims.claim
        last, left, given_back = None, [], calls[:0]
        so_far.begin(calls[0].number, sandbox.mib)
        since = sandbox.begin_quiet_calls(job, calls[0])
        for place, called in enumerate(calls):
            if place and not claim(called.number):
                given_back = calls[place:]  # the pool has them already, or a UDF has read their numbers
                break
            began = time.perf_counter()
            result = sandbox.hold_quiet_call(job, given[place], called.number)
            ended = time.perf_counter()
            if sandbox.has_printed() or not is_small(result):
                last, left = (called, whole(result), ended - began), calls[place + 1 :]
                break
            so_far.add(time.time(), int((ended - began) * 1e6) / 1e6, *result)
            if ended - since > _LONG_S:
                self.claims.give_up()
                given_back = calls[place + 1 :]
                break
        cpu_share, peak_mib = sandbox.measure_quiet_calls(time.perf_counter() - since)
        returned = [called.number for called in given_back]
        answer = so_far.answer(cpu_share=cpu_share, peak_mib=int(peak_mib * 10) / 10, returned=returned)
        if last is not None:
            answer += pack_finished(sandbox.finished(*last, cpu_share * last[2], peak_mib))
        return answer, left
