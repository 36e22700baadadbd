"""A line of the table of what was measured, and the page that such lines make up."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table: what was done, what it took here and at the peer, and whether the target was met."""

    work: str
    ours: str
    peer: str
    ratio: str
    target: str
    met: bool

    def __str__(self) -> str:
        verdict = "ok  " if self.met else "MISS"
        return f"{verdict} {self.work}: {self.ours} | {self.peer} | {self.ratio} | {self.target}"

    def to_line(self) -> str:
        """The row as a line of Markdown."""
        met = "yes" if self.met else "**no**"
        return f"| {self.work} | {self.ours} | {self.peer} | {self.ratio} | {self.target} | {met} |"


def page(title: str, made_by: str, how: str, rows: Sequence[Row]) -> str:
    """The rows as a page: made by which command, on what machine, and how it was measured."""
    machine = f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    lines = [
        f"# {title}",
        "",
        f"By `{made_by}` on {machine}. {how}",
        "",
        "| work | here | peer | ratio | target | met |",
        "| --- | --- | --- | --- | --- | --- |",
        *(row.to_line() for row in rows),
        "",
    ]
    return "\n".join(lines)
