"""What a look at one thing gives, and what all looks give together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Verdict = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: how it is, and what to do where it should be otherwise."""

    what: str
    verdict: Verdict
    found: str
    next_step: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """All that `doctor` looked at; true where nothing has failed."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """True where Fanfold can run here; warnings tell what does not work yet."""
        return all(check.verdict != "fail" for check in self.checks)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        """Short: at a prompt it follows the report that `doctor` has just printed."""
        verdicts = [check.verdict for check in self.checks]
        counts = (f"{verdicts.count(one)} {one}" for one in get_args(Verdict) if one in verdicts)
        return f"<Diagnosis: {', '.join(counts)}>"

    def __str__(self) -> str:
        width = max(len(check.what) for check in self.checks)
        lines = []
        for check in self.checks:
            lines.append(f"{check.verdict:<4}  {check.what:<{width}}  {check.found}")
            if check.next_step:
                lines.append(f"{'':<{width + 8}}next: {check.next_step}")
        return "\n".join(lines)
