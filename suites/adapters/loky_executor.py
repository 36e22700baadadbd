"""`fanfold.Executor` as loky's tests ask for theirs."""

from __future__ import annotations

import fanfold


class LokyExecutor(fanfold.Executor):
    def __init__(self, max_workers=None, context=None, initializer=None, initargs=()):
        super().__init__(max_workers, initializer=initializer, initargs=initargs)

    def shutdown(self, wait=True, kill_workers=False, **more):
        if kill_workers:
            self.kill_workers()
        super().shutdown(wait=wait, **more)


_reusable = {}


def get_reusable_executor(max_workers=2, **_):
    """One of that size: the one that is there, or a new one in the place of a broken one."""
    try:
        _reusable[max_workers].submit(int)  # not waited for: this may be a callback
    except (KeyError, RuntimeError):  # none yet, broken, or shut down
        _reusable[max_workers] = LokyExecutor(max_workers)
    return _reusable[max_workers]
