"""What every engine does with a job: one set of cases, for the local engine, the local cloud and the simulation.

A place (see `places.py`) submits runs that do as they are told: a run's acts are those of the first, second, ... time
that it is carried out, and the last goes on for ever. `good` returns the square of the run's number, `brief` does so
after a moment, `fails` raises a ValueError, `dies` kills its worker, `waits` never ends, and `slow` is too long for the
realtime path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

#: What a run does each time that it is carried out.
Acts = tuple[str, ...]


class Place(Protocol):
    """Where jobs are carried out. A job is whatever `submit` returns."""

    def submit(self, *acts: Acts, on_machine: bool = False, escalate: bool = False, **options: Any) -> Any:
        """Submit a run for each of `acts`; with `escalate` also wait, and run what is too long on a machine."""

    def wait_until_begun(self, job: Any, count: int) -> None:
        """Wait until so many of its runs have begun."""

    def lose_machines(self, job: Any) -> None:
        """What carries its runs out is gone at once."""

    def cancel(self, job: Any) -> None:
        """Cancel it."""

    def wait(self, job: Any) -> None:
        """Wait until it is done."""

    def ends(self, job: Any) -> Sequence[tuple[str, int]]:
        """Each run's status and attempt."""

    def values(self, job: Any) -> Sequence[int | None]:
        """Each run's result, None where it has none."""

    def often(self, job: Any) -> Sequence[int]:
        """How often each run was begun."""


GOOD = ("good",)


def start(place: Place) -> None:
    """Each run is carried out once, and its result is the one of its input."""
    job = place.submit(GOOD, GOOD, GOOD)
    place.wait(job)
    assert place.ends(job) == [("succeeded", 0)] * 3
    assert place.values(job) == [0, 1, 4]
    assert place.often(job) == [1, 1, 1]


def start_on_machines(place: Place) -> None:
    """Two machines share the work, and nothing is done twice."""
    job = place.submit(*[GOOD] * 4, on_machine=True, max_workers=2)
    place.wait(job)
    assert place.ends(job) == [("succeeded", 0)] * 4
    assert place.values(job) == [0, 1, 4, 9]
    assert place.often(job) == [1] * 4


def retry(place: Place) -> None:
    """An error that is named is tried again, `max_retry` times."""
    job = place.submit(("fails", "good"), ("fails",), GOOD, max_retry=1, retry_on=("ValueError",))
    place.wait(job)
    assert place.ends(job) == [("succeeded", 1), ("failed", 1), ("succeeded", 0)]
    assert place.values(job) == [0, None, 4]
    assert place.often(job) == [2, 2, 1]


def cancel(place: Place) -> None:
    """What is cancelled ends, and has no result; nothing of it begins any more."""
    job = place.submit(("waits",), ("waits",))
    place.wait_until_begun(job, 1)
    place.cancel(job)
    place.wait(job)
    assert [status for status, _ in place.ends(job)] == ["cancelled"] * 2
    assert place.values(job) == [None, None]
    assert max(place.often(job)) <= 1


def lost(place: Place) -> None:
    """A run whose worker dies is tried again without being named; the others know nothing of it."""
    job = place.submit(("dies", "good"), ("dies",), GOOD, max_retry=1)
    place.wait(job)
    assert place.ends(job) == [("succeeded", 1), ("failed", 1), ("succeeded", 0)]
    assert place.values(job) == [0, None, 4]
    assert place.often(job) == [2, 2, 1]


def lost_machine(place: Place) -> None:
    """What was under way on a machine that is gone is carried out by another, and what had ended is kept."""
    job = place.submit(("waits", "good"), GOOD, on_machine=True, max_workers=1)
    place.wait_until_begun(job, 1)
    place.lose_machines(job)
    place.wait(job)
    assert [status for status, _ in place.ends(job)] == ["succeeded"] * 2
    assert place.values(job) == [0, 1]
    assert place.often(job)[0] == 2


def escalate(place: Place) -> None:
    """What is too long for the realtime path is run on a machine, and its result is the first job's."""
    job = place.submit(GOOD, ("slow",), GOOD, escalate=True)
    assert place.ends(job) == [("succeeded", 0), ("succeeded", 1), ("succeeded", 0)]
    assert place.values(job) == [0, 1, 4]
    assert place.often(job) == [1, 2, 1]


def duplicates(place: Place) -> None:
    """Who submits what is under way already waits for it: each run is carried out once for both."""
    acts = [("brief",)] * 3
    job, same = place.submit(*acts), place.submit(*acts)
    place.wait(job)
    place.wait(same)
    assert place.ends(job) == [("succeeded", 0)] * 3
    assert [status for status, _ in place.ends(same)] == ["cached"] * 3
    assert place.values(job) == place.values(same) == [0, 1, 4]
    assert place.often(job) == [1, 1, 1]


CASES: tuple[Callable[[Place], None], ...] = (
    start, start_on_machines, retry, cancel, lost, lost_machine, escalate, duplicates,
)  # fmt: skip
