"""Why runs of a job came from the cache, or did not, beside an earlier job that might have left their results there."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fanfold.core.models import GOOD, RunStatus
from fanfold.job.diff import find_difference, matched_runs, numbered_runs
from fanfold.stores.packing import Manifest

if TYPE_CHECKING:
    from fanfold.job import Job

#: What differs between two jobs and is no part of any key.
_NOT_IN_KEYS = frozenset(
    "engine timeout_s memory_mib max_workers n_processes_per_worker max_retry retry_on backoff_s rate batch_size fresh"
    " cache architecture tags commit".split()
)


@dataclass(frozen=True, slots=True, repr=False)
class CacheReasons:
    """Why runs of job `later` came from the cache or were computed, beside job `earlier`.

    `key` names the parts of the cache key that differ, each from and to; `runs` gives the runs of `later`, by their
    numbers, that each reason is true of.
    """

    earlier: str
    later: str
    key: dict[str, tuple[Any, Any]]
    code: str
    runs: dict[str, list[int]]

    def __str__(self) -> str:
        lines = [f"{self.earlier} -> {self.later}: {'the keys differ' if self.key else 'what keys share is the same'}"]
        lines += [f"  {name:<9} {old!r} -> {new!r}" for name, (old, new) in self.key.items()]
        lines += [f"  {reason}: {numbered_runs(runs)}" for reason, runs in self.runs.items()]
        return "\n".join([*lines, *(("", self.code) if self.code else ())])

    __repr__ = __str__


def explain_reuse(earlier: Job, later: Job) -> CacheReasons:
    """Why runs of `later` came from the cache, or did not; both are read anew."""
    difference = find_difference(earlier, later)
    key = {name: pair for name, pair in difference.environment.items() if name not in _NOT_IN_KEYS}
    code = "" if difference.same_code else difference.code
    if not difference.same_code:
        key = {"code": (earlier.header.code_hash[:12], later.header.code_hash[:12]), **key}
    runs: defaultdict[str, list[int]] = defaultdict(list)
    known = {new: old for old, new in matched_runs(earlier, later)}
    for index in range(len(later)):
        runs[_reason(earlier, later, known.get(index), index)].append(index)
    return CacheReasons(earlier.id, later.id, key, code, dict(runs))


def _reason(earlier: Job, later: Job, old: int | None, new: int) -> str:
    """Why one run was computed, or was not."""
    if later.state.status_of(new) is RunStatus.CACHED:
        return "came from the cache"
    if not later.header.cache:
        return "cache=False: nothing was taken from the cache"
    if later.header.cache_max_age_s == 0:
        return "cache_max_age=0: nothing was taken from the cache"
    if old is None:
        return "another input: no run of the first has these arguments"
    if _key(earlier, old) != _key(later, new):
        return "the key differs"
    return _why_not_there(earlier, later, old)


def _why_not_there(earlier: Job, later: Job, old: int) -> str:
    """Why a result was not to be had whose key is the same."""
    ended_at, submitted_at = earlier.state.finished_at(old), later.header.created_at
    if not earlier.header.cache:
        return "the first kept nothing: cache=False, or other code in a retry"
    if ended_at is not None and earlier.state.status_of(old) not in GOOD:
        return "it had failed in the first: failures are never cached"
    if ended_at is None or ended_at > submitted_at:
        return "the first had not computed it yet"
    if submitted_at - ended_at > later.header.cache_max_age_s:
        return "it was older than cache_max_age"
    return "a file that it names had changed, or it was removed from the cache"


def _key(job: Job, index: int) -> str:
    return Manifest(job.tracker.engine.stores.objects, job.id, len(job)).cache_key(index)
