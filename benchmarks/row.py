"""A line of the table of what was measured."""

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
