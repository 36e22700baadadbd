"""Two jobs side by side: their facts, what became of the inputs that both have, and what differs in their code."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import NamedTuple

from fanfold.core.formatting import duration
from fanfold.core.models import BAD, GOOD, RunStatus
from fanfold.errors import FanfoldError
from fanfold.job.history import code
from fanfold.job.job import Job
from fanfold.job.summary import Summary, median

#: Runs whose inputs are looked up in the other job, and lines of the differing code.
_MOST_RUNS, _MOST_LINES = 20_000, 400


class Fact(NamedTuple):
    """One fact of both jobs, and how the second differs from the first where that is a number."""

    label: str
    before: str
    after: str
    change: str = ""


class Comparison(NamedTuple):
    """What two jobs have in common and what not; runs are numbered as in the second."""

    facts: list[Fact]
    same_inputs: int
    repaired: list[int]
    broken: list[int]
    #: How many times as long the second job's runs took, in the middle, of inputs that succeeded in both.
    slower: float | None
    #: What differs in the code, as `diff -u` writes it.
    code: str
    #: Whether there are more runs than were looked at.
    is_part: bool

    def sentences(self) -> Iterator[str]:
        """What became of the inputs that both have."""
        if not self.same_inputs:
            yield "They have no input in common."
            return
        yield f"{self.same_inputs:,} {'input is' if self.same_inputs == 1 else 'inputs are'} in both."
        yield f"{len(self.repaired):,} that failed before succeeded; {len(self.broken):,} that succeeded before failed."
        if self.slower is not None:
            yield f"A run of the same input took {self.slower:.2f} times as long, in the middle."
        if self.is_part:
            yield f"Only the first {_MOST_RUNS:,} runs of each were looked at."


def compare(before: Job, after: Job) -> Comparison:
    """Compare a job with a later one; both are read anew."""
    _ = before.status, after.status
    known = {before.contents.own_text(index): index for index in range(min(len(before), _MOST_RUNS))}
    repaired, broken, ratios, same = [], [], [], 0
    for index in range(min(len(after), _MOST_RUNS)):
        other = known.get(after.contents.own_text(index))
        if other is None:
            continue
        same += 1
        was, now = before.state.status_of(other), after.state.status_of(index)
        if was in BAD and now in GOOD:
            repaired.append(index)
        elif was in GOOD and now in BAD:
            broken.append(index)
        elif was is now is RunStatus.SUCCEEDED:
            took, takes = before.state.duration_s(other), after.state.duration_s(index)
            if took and takes:
                ratios.append(takes / took)
    slower = median(ratios) if ratios else None
    is_part = max(len(before), len(after)) > _MOST_RUNS
    return Comparison(_facts(before, after), same, repaired, broken, slower, _difference(before, after), is_part)


def _facts(before: Job, after: Job) -> list[Fact]:
    one, other = before.summary(), after.summary()
    words = [dict(summary.rows()) for summary in (one, other)]
    labels = [label for label in dict.fromkeys([*words[0], *words[1]]) if label != "advice"]
    facts = [Fact("job", before.id, after.id), Fact("status", one.status, other.status)]
    facts += [
        Fact(label, words[0].get(label, ""), words[1].get(label, ""), _change(label, one, other)) for label in labels
    ]
    facts.append(Fact("code", before.header.code_hash[:16], after.header.code_hash[:16]))
    return facts


def _change(label: str, one: Summary, other: Summary) -> str:
    numbers: dict[str, tuple[float | None, float | None]] = {
        "time": (one.wall_s, other.wall_s),
        "per run": (one.median_s, other.median_s),
        "memory": (one.peak_memory_mib, other.peak_memory_mib),
        "cost": (float(one.cost), float(other.cost)),
    }
    was, now = numbers.get(label, (None, None))
    if not was or now is None:
        return ""
    least = f" ({duration(now - was)} more)" if label in ("time", "per run") and now > was else ""
    return f"{100 * (now - was) / was:+.0f}%{least}"


def _difference(before: Job, after: Job) -> str:
    try:
        texts = [dict(code(job)) for job in (before, after)]
    except FanfoldError:  # a bundle that was removed
        return ""
    lines: list[str] = []
    for path in dict.fromkeys([*texts[0], *texts[1]]):
        old, new = ([line[6:] for line in text.get(path, "").split("\n")] for text in texts)
        lines += difflib.unified_diff(old, new, f"{path} before", f"{path} after", lineterm="", n=2)
        if len(lines) > _MOST_LINES:
            return "\n".join([*lines[:_MOST_LINES], "…"])
    return "\n".join(lines)
