"""The proof that a job is complete, from the stored bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

from fanfold.core.fold import JobState
from fanfold.core.formatting import counted
from fanfold.errors import ResultDamaged
from fanfold.job.results import Contents
from fanfold.job.summary import describe_codes


@dataclass(frozen=True, slots=True, repr=False)
class Receipt:
    """What `job.verify()` found: runs without a final event, and bytes that are not what was stored.

    Runs that failed or were lost have ended: they make a job no less complete, and are in `failed`.
    """

    job_id: str
    count: int
    results: int
    result_bytes: int
    missing: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    damaged: dict[int, str] = field(default_factory=dict)
    #: What is damaged of the source, the inputs and the large arguments.
    damaged_sources: list[str] = field(default_factory=list)
    #: How many runs have ended with each code, by its hash: more than one after `job.retry(udf=fixed)`.
    code_hashes: dict[str, int] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True where every run has one final event, and all that it was given and gave matches its hash."""
        return not self.missing and not self.damaged and not self.damaged_sources

    def __bool__(self) -> bool:
        return self.complete

    def __str__(self) -> str:
        ended = self.count - len(self.missing)
        proved = "which matches its hash" if self.results == 1 else "all match their hashes"
        intact = f"{len(self.damaged):,} damaged or missing" if self.damaged else proved
        failed = f", {len(self.failed):,} of {counted(self.count, 'run')} without a result" if self.failed else ""
        lines = [
            f"job {self.job_id}: {'complete' if self.complete else 'NOT complete'}{failed}",
            f"  {ended:,} of {counted(self.count, 'run')} {'has' if self.count == 1 else 'have'} ended,"
            f" {len(self.failed):,} without a result",
            f"  {counted(self.results, 'result')}, {counted(self.result_bytes, 'byte')}, {intact}",
        ]
        if len(self.code_hashes) > 1:
            lines.append(f"  {describe_codes(self.code_hashes)}")
        if self.missing:
            lines.append(f"  not ended: runs {_some(self.missing)}")
        if self.damaged_sources:
            lines.append("  source, inputs or arguments are damaged: what was computed with them may be wrong")
            lines += [f"  {reason}" for reason in self.damaged_sources[:10]]
        if self.damaged:
            lines.append("  the same submit computes again what is damaged or missing")
        return "\n".join(lines + [f"  run {index}: {reason}" for index, reason in list(self.damaged.items())[:10]])

    __repr__ = __str__


def verify_results(job_id: str, state: JobState, contents: Contents) -> Receipt:
    """Read every result, the inputs and the source, and compare each with its hash.

    Damaged results are taken out of the cache.
    """
    damaged: dict[int, str] = {}
    failed, results, size = [], 0, 0
    missing = state.missing()
    ended = sorted(set(range(state.header.count)) - set(missing))
    contents.expect(state, ended)
    for index in ended:
        output = state.output(index)
        if output is None:
            failed.append(index)
            continue
        try:
            size += len(contents.read_checked(index, output))
            results += 1
        except ResultDamaged as error:
            damaged[index] = error.message
    if damaged:
        contents.forget(damaged)
    sources = contents.damaged_sources()
    return Receipt(job_id, state.header.count, results, size, missing, failed, damaged, sources, state.code_hashes())


def _some(indexes: list[int]) -> str:
    shown = ", ".join(map(str, indexes[:10]))
    return shown if len(indexes) <= 10 else f"{shown} and {len(indexes) - 10:,} more"
