"""A job's failures by cause: runs that raised the same type at the same line, with the messages that they had."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from pathlib import PurePosixPath

from fanfold.contract.records import NamedTuple
from fanfold.core.fold import JobState
from fanfold.core.models import BAD, RunError, RunStatus
from fanfold.core.raising import RaisingLine, raising_line
from fanfold.core.shown import short
from fanfold.errors import FanfoldError
from fanfold.job.results import Contents


def is_file(named: str, file: str) -> bool:
    """Whether a traceback's name of a file means this file of a folder, by as many parts as the shorter one has."""
    one, other = PurePosixPath(named).parts, PurePosixPath(file).parts
    length = min(len(one), len(other))
    return length > 0 and one[-length:] == other[-length:]


# Failures that were raised there alike.

_DIGITS = re.compile(r"0x[0-9a-f]+|\d+")


class CauseKey(NamedTuple):
    """What failures of one cause have in common: the type, and the line; where no line is known, the words."""

    kind: str
    line: RaisingLine | None
    words: str = ""


class Cause(NamedTuple):
    """Runs that failed alike: the first of them stands for all."""

    key: CauseKey
    message: str
    traceback: str
    runs: array[int]
    #: The messages, each with how many runs had it, the most frequent first.
    variants: list[tuple[str, int]]

    @property
    def title(self) -> str:
        """How many runs, the type, and the line that raised."""
        line = self.key.line
        where = f" · {line.file}, line {line.number}" if line is not None else ""
        return f"{len(self.runs):,} {'run' if len(self.runs) == 1 else 'runs'}: {self.key.kind}{where}"


def causes_of(state: JobState) -> list[Cause]:
    """Failures by cause, the most frequent first."""
    firsts: dict[CauseKey, RunError] = {}
    runs: dict[CauseKey, array[int]] = {}
    messages: dict[CauseKey, Counter[str]] = {}
    lines: dict[str, RaisingLine | None] = {}
    for index in state.indexes(*BAD):
        error = state.error(index) or _unknown_error(state.status_of(index))
        if error.traceback not in lines:
            lines[error.traceback] = raising_line(error.traceback)
        line = lines[error.traceback]
        key = CauseKey(error.type, line, "" if line is not None else _DIGITS.sub("#", error.message))
        firsts.setdefault(key, error)
        runs.setdefault(key, array("I")).append(index)
        messages.setdefault(key, Counter())[error.message] += 1
    found = [
        Cause(key, first.message, first.traceback, runs[key], messages[key].most_common())
        for key, first in firsts.items()
    ]
    return sorted(found, key=lambda cause: -len(cause.runs))


def _unknown_error(status: RunStatus) -> RunError:
    return RunError(status.value.replace("_", " ").capitalize(), "nothing more is known")


def input_line(contents: Contents, index: int) -> str:
    """A run's own arguments on one line; what cannot be read any more is said to be so."""
    try:
        given = contents.own_arguments(index)
    except FanfoldError as error:
        return f"({error.message})"
    except Exception as error:  # noqa: BLE001  reading may run the user's own code
        return f"({type(error).__name__}: {error})"
    return ", ".join(f"{name}={short(value)}" for name, value in given.items())
