"""Has a process of its own import a UDF file and submit or plan, and ends it where it does not come to an end."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import Process
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from fanfold.contract.records import NamedTuple
from fanfold.errors import InputError
from fanfold.workbench.editor.udf_child import PROGRAM

#: Seconds that the import of a file may take. What a plan's sample takes is bounded by the realtime path's limit.
IMPORT_S = 60.0
_LAST_LINES, _LAST_BYTES = 8, 16_384
#: A process that was killed is gone at once, and so are its pipes, unless one that it has started holds on to them.
_GONE_S = 2.0


class Order(NamedTuple):
    """What a process is to do with a UDF: `act` is "submit", "plan" or "retry".

    A retry is of the job that `given` names, with the code that it has, or where there is a file with that file's UDF.
    Only machine `allowed` may be started.
    """

    file: str
    udf: str
    act: str
    #: Either `inputs`, or where these are read from: `path`, `name`, `others` and `first` (see `inputs`); or `job`.
    given: dict[str, Any]
    engine: str
    allowed: str | None = None
    cache: bool = True
    #: The sha256 of the text that is shown; another text is not run.
    digest: str = ""


class UdfAnswer(NamedTuple):
    """What came of it: a job, a plan's text, or the machine that would have to be allowed first."""

    count: int = 0  # type: ignore[assignment]
    job: str = ""
    plan: str = ""
    machine: str = ""


class UdfProcess:
    """At most one process at a time, for one viewer: starting another gives up the one before."""

    def __init__(self, folder: Path, import_s: float = IMPORT_S) -> None:
        self._folder, self._import_s = folder, import_s
        self._process: Process | None = None
        #: How often something was begun or stopped, by which one that is not up yet is stopped, and how many are not.
        self._turns = self._coming = 0

    async def carry_out(self, order: Order) -> UdfAnswer | None:
        """Carry an order out; None where it was stopped meanwhile.

        Raises `InputError` in the words of the process, or where it ended or did not come to an end.
        """
        self.stop()
        turn = self._turns
        with TemporaryFile() as said:  # a file, for what it has started may go on, and would keep a pipe open
            process = await self._started(said)
            try:
                if turn != self._turns:
                    return None  # it was stopped, or another begun, before this one was up
                self._process = process
                return await self._conversation(process, said, order)
            finally:
                _end(process)
                await _is_gone(process)

    async def _started(self, said: IO[bytes]) -> Process:
        self._coming += 1
        try:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", PROGRAM),
                cwd=self._folder,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=said,
                limit=1 << 24,
                start_new_session=True,  # it is ended with all that it has started
            )
        finally:
            self._coming -= 1

    @property
    def busy(self) -> bool:
        """Whether something is under way."""
        return self._process is not None or self._coming > 0

    def stop(self) -> None:
        """End what is under way."""
        self._turns += 1
        process, self._process = self._process, None
        if process is not None:
            _end(process)

    async def _conversation(self, process: Process, said: IO[bytes], order: Order) -> UdfAnswer | None:
        assert process.stdin is not None
        with suppress(ConnectionError):
            process.stdin.write(json.dumps(order._asdict()).encode() + b"\n")
            await process.stdin.drain()
        process.stdin.close()
        answer = await self._answer(process, order)
        if self._process is not process:
            return None
        self._process = None
        if not answer:
            _end(process)
            await _is_gone(process)
            raise InputError(
                f"{order.file} ended the process that imported it (exit code {process.returncode}).\n{_last_of(said)}",
                next_step="look for what ends it, such as `os._exit`, then run again.",
            )
        if "error" in answer:
            raise InputError(answer["error"])
        return UdfAnswer(**answer)

    async def _answer(self, process: Process, order: Order) -> dict[str, Any]:
        """The line that tells what came of it; empty where there is none."""
        assert process.stdout is not None
        try:
            first = await asyncio.wait_for(process.stdout.readline(), self._import_s)
        except asyncio.TimeoutError:
            raise InputError(
                f"{order.file} was still being imported after {self._import_s:g} s, and was stopped.",
                next_step="move what takes long into the UDF, or under `if __name__ == '__main__':`.",
            ) from None
        answer: dict[str, Any] = json.loads(first or b"{}")
        return json.loads(await process.stdout.readline() or b"{}") if "imported" in answer else answer


def _last_of(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - _LAST_BYTES))
    return "\n".join(said.read().decode(errors="replace").splitlines()[-_LAST_LINES:])


async def _is_gone(process: Process) -> None:
    """Wait for a process that was ended. Its answers are read to their end: only then is the pipe closed."""
    assert process.stdout is not None
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.gather(process.stdout.read(), process.wait()), _GONE_S)


def _end(process: Process) -> None:
    """End a process and those it has started, unless they have a session of their own, as jobs have."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
