"""One run of a job, as its caller sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fanfold.core.formatting import Seconds
from fanfold.core.models import RunStatus, Usage
from fanfold.errors import (
    RunFailed,
)
from fanfold.job import logs

if TYPE_CHECKING:
    from collections.abc import Callable

    from fanfold.codec import Encoded
    from fanfold.job.job import Job
    from fanfold.job.post_mortem import PostMortem
    from fanfold.job.profile import Profile
    from fanfold.job.why import Why


class Run:
    """One input's execution: a view that is as fresh as its job."""

    def __init__(self, job: Job, index: int) -> None:
        self._job = job
        self.index = index

    @property
    def job(self) -> Job:
        """The job that it is a run of."""
        return self._job

    @property
    def status(self) -> RunStatus:
        """What the run is now."""
        return self._job.state.status_of(self.index)

    @property
    def attempt(self) -> int:
        """Which try the status tells of, from 0."""
        return self._job.state.attempt_of(self.index)

    @property
    def input(self) -> dict[str, Any]:
        """The arguments it was called with."""
        return self._job.contents.loaded_arguments(self.index)

    @property
    def duration_s(self) -> Seconds | None:
        """How long it took in seconds; None where it has not ended, or came from the cache."""
        seconds = self._job.state.duration_s(self.index)
        return None if seconds is None else Seconds(seconds)

    @property
    def usage(self) -> Usage | None:
        """Seconds, CPU seconds and peak memory of its last attempt."""
        return self._job.state.usage(self.index)

    @property
    def code_hash(self) -> str:
        """The hash of the code that it ran: after `job.retry(udf=fixed)` not all runs have the same."""
        return self._job.state.code_hash_of(self.index)

    @property
    def error(self) -> RunFailed | None:
        """Why it failed, if it did."""
        return self._job.error(self.index)

    def result(self) -> Any:
        """Its value. Raises `RunFailed` where it failed, and waits where it has not ended."""
        with self._job.tracker.waiting():
            return self._job.result(self.index)

    def logs(self) -> str:
        """What it has printed."""
        return logs.text(self._job.contents, self.index)

    def stack(self) -> str:
        """Where it stands now: the Python stack of its worker, the innermost call first; in AWS it takes some seconds.

        The run goes on meanwhile. Raises `InputError` where it does not run now, or its worker does not answer.
        """
        from fanfold.job.stacks import stack_of

        return stack_of(self._job, self.index)

    def debug(self, *, pdb: bool | None = None) -> PostMortem:
        """Call the failed run again here, with its own code and arguments: where it fails, and on what values.

        `pdb` None opens the debugger on a terminal only. Raises `InputError` where it has not failed.
        """
        from fanfold.job.post_mortem import debug_run

        return debug_run(self._job, self.index, pdb=pdb)

    def profile(self, *, memory: bool = False) -> Profile:
        """Call the run again here under a profiler: which lines take its time, and with `memory` which hold its memory.

        That takes pyinstrument, and memray for `memory`, which makes a second call. Raises `InputError` where the run
        has ended its process, and `MissingPackage`.
        """
        from fanfold.job.profile import profile_run

        return profile_run(self._job, self.index, memory=memory)

    def why(self) -> Why:
        """Where its result comes from: code, commit, arguments, packages, image, tries, times and steps."""
        from fanfold.job.why import explain_run

        return explain_run(self._job, self.index)

    # As an input of another job it stands for its result (`codec.stored`).

    def small_value(self) -> Any:
        """Its result where that is small and plain, else itself; waits for its end."""
        from fanfold.job.upstream import small_value

        return small_value(self)

    def argument_tree(self, objects: Any, put_part: Callable[[Encoded], Any]) -> Any:
        """What stands for its result in arguments that are kept in `objects`; waits for its end."""
        from fanfold.job.upstream import argument_tree

        return argument_tree(self, objects, put_part)

    # The older spelling (see docs/compatibility.md).

    def done(self) -> bool:
        """True where it has ended."""
        return self.status.final

    def exception(self) -> RunFailed | None:
        """Why it failed, if it did."""
        return self.error

    def time(self) -> Seconds | None:
        """How long it took; None where it has not ended, or came from the cache."""
        return self.duration_s

    def __repr__(self) -> str:
        took = f", {self.duration_s}" if self.duration_s is not None else ""
        return f"<Run {self.index} of {self._job.id}: {self.status.value}{took}>"
