"""The facts of two jobs side by side, as their page shows them."""

from __future__ import annotations

from fanfold.contract.records import NamedTuple
from fanfold.core.formatting import duration
from fanfold.job import Job
from fanfold.job.diff import Difference
from fanfold.job.summary import Summary

#: What has grown by more than this is told as so many times what it was.
_MANY_PERCENT = 200


class Fact(NamedTuple):
    """One fact of both jobs, and how the second differs from the first where that is a number."""

    label: str
    before: str
    after: str
    change: str = ""


def facts_of(before: Job, after: Job, found: Difference) -> list[Fact]:
    """What both jobs' summaries tell, and what differs in their environment."""
    one, other = before.summary(), after.summary()
    words = [dict(summary.rows()) for summary in (one, other)]
    labels = [label for label in dict.fromkeys([*words[0], *words[1]]) if label != "advice"]
    facts = [Fact("job", before.id, after.id), Fact("status", one.status, other.status)]
    facts += [
        Fact(label, words[0].get(label, ""), words[1].get(label, ""), _change(label, one, other)) for label in labels
    ]
    facts += [Fact(name, _in_words(old), _in_words(new)) for name, (old, new) in found.environment.items()]
    facts.append(Fact("code", before.header.code_hash[:16], after.header.code_hash[:16]))
    return facts


def _in_words(value: object) -> str:
    """A value of one job's environment; what the other alone has is blank here."""
    return "" if value is None else str(value)


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
    percent = round(100 * (now - was) / was)
    if percent == 0:
        return "the same"
    return f"{now / was:,.1f} times{least}" if percent > _MANY_PERCENT else f"{percent:+}%{least}"
