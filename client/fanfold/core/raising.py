"""Where a failure was raised: the last line of the user's own code in its traceback."""

from __future__ import annotations

import re

from fanfold.contract.records import NamedTuple

#: A group of exceptions has its frames behind a line that is drawn at its left.
_FRAME = re.compile(r'^[\s|]*File "([^"\n]+)", line (\d+)(?:, in (\S+))?', re.MULTILINE)
#: Folders of other people's code, and what stands for a file where code is made by a library, or is read as a text:
#: by the standard library, attrs, decorator, NumPy and SymPy. A notebook's cell may be called `<ipython-input-3-...>`.
_FOREIGN = re.compile(
    r"/(site|dist)-packages/|/lib(64)?/(python|pypy)\d"
    r"|^<(frozen|string>|unknown>|attrs |decorator-gen|__array_function__|lambdifygenerated)"
)


class RaisingLine(NamedTuple):
    """A file as the traceback names it, the number of a line in it, and the function that it stands in."""

    file: str
    number: int
    function: str = ""


def frames_in(traceback: str) -> list[RaisingLine]:
    """All frames of a traceback, or of a dump of where a run stands, in its order."""
    return [RaisingLine(file, int(number), function or "") for file, number, function in _FRAME.findall(traceback)]


def is_own(frame: RaisingLine) -> bool:
    """Whether a frame is in a file of the user's."""
    return _FOREIGN.search(frame.file) is None


def raising_line(traceback: str) -> RaisingLine | None:
    """The line that raised: the last frame in the user's own files, else the last one; None where there is no frame."""
    frames = frames_in(traceback)
    return next(reversed(list(filter(is_own, frames)) or frames), None)
