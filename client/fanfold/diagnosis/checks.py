"""What a look at one thing gives, and what all looks give together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

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

    def __str__(self) -> str:
        width = max(len(check.what) for check in self.checks)
        lines = []
        for check in self.checks:
            lines.append(f"{check.verdict:<4}  {check.what:<{width}}  {check.found}")
            if check.next_step:
                lines.append(f"{'':<{width + 8}}next: {check.next_step}")
        return "\n".join(lines)
