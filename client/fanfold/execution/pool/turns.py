"""Who has the pool's places: several bundles may have more to do than there are workers to be had."""

from __future__ import annotations

from collections.abc import Sequence

from fanfold.execution.pool.worker_set import WorkerSet

#: A set whose turn is over, or that has never had one for so long, gets the next.
_PATIENCE_S = 2.0
#: A set keeps its last worker for so long before one that is new gets it: a start takes longer than small calls.
_KEEP_S = 0.02


def shares(sets: Sequence[WorkerSet], size: int, now: float) -> dict[WorkerSet, int]:
    """How many workers each set may have by now, of `size`: as many as it wants, the same for all, in turns.

    Every set that has work gets one, in the order of `in_turn`; what is left is dealt out one by one.
    """
    wanted = {each: each.wanted(size, now) for each in sets}
    given = dict.fromkeys(sets, 0)
    left = size
    order = in_turn(sets, now)
    while left > 0:
        wanting = [each for each in order if given[each] < wanted[each]][:left]
        if not wanting:
            break
        for each in wanting:
            given[each] += 1
        left -= len(wanting)
    return given


def in_turn(sets: Sequence[WorkerSet], now: float) -> list[WorkerSet]:
    """Whose turn it is first: a set that has just begun, one that has waited long, a new one, and then the others."""
    return sorted(sets, key=lambda each: _place(each, now))


def _place(each: WorkerSet, now: float) -> tuple[int, float]:
    since = now - each.turn_since
    if each.staying:
        return (0 if since < _KEEP_S else 3), since
    if since > _PATIENCE_S:
        return 1, -since
    return (4 if each.has_had_turn else 2), -since
