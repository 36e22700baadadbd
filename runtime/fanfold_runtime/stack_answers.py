"""Answers `job[17].stack()`: where a run stands now. Its worker's stack becomes an object of the job's.

The question stands beside the cancel flag, which every worker reads every few seconds: so it costs no request.
"""

from __future__ import annotations

import threading

from fanfold.errors import FanfoldError
from fanfold.execution.pool.pool import Pool
from fanfold.stores.aws import AwsStores
from fanfold.stores.keys import stack_key
from fanfold_runtime import telemetry
from fanfold_runtime.cancel_flag import CancelFlag

#: Nobody waits any more for the answer to an older question.
_OLD_S = 60.0


class StackAnswers:
    """Answers questions about the runs of one pool while it serves a job."""

    def __init__(self, pool: Pool, flag: CancelFlag, stores: AwsStores, job_id: str) -> None:
        self._pool, self._flag, self._stores, self._job_id = pool, flag, stores, job_id
        self._answered = ""

    def is_cancelled(self) -> bool:
        """Whether the job is known to be cancelled; on the way, answer what is asked. Does not wait for AWS."""
        cancelled, question = self._flag.is_set(), self._flag.question
        if question is not None and question.name != self._answered:
            stack = None
            if self._stores.log.now() - question.at < _OLD_S:
                stack = self._pool.where(question.index)
            if stack is not None:
                threading.Thread(target=self._keep, args=(question.name, stack), daemon=True).start()
            self._answered = question.name
        return cancelled

    def _keep(self, question: str, stack: str) -> None:
        try:
            self._stores.objects.put(stack_key(self._job_id, question), stack.encode("utf-8", "replace"))
        except FanfoldError as error:  # who waits asks again
            telemetry.logger.warning("stack not kept", error=type(error).__name__)
