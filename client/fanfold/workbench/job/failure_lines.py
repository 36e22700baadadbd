"""Where a failure was raised: the last line of the user's own code in its traceback."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import NamedTuple

_FRAME = re.compile(r'^\s*File "([^"\n]+)", line (\d+)(?:, in (\S+))?', re.MULTILINE)
#: Folders of other people's code.
_FOREIGN = ("/site-packages/", "/dist-packages/", "/lib/python", "<frozen", "<string>")


class RaisingLine(NamedTuple):
    """A file as the traceback names it, the number of a line in it, and the function that it stands in."""

    file: str
    number: int
    function: str = ""


def raising_line(traceback: str) -> RaisingLine | None:
    """The line that raised: the last frame in the user's own files, else the last one; None where there is no frame."""
    frames = [RaisingLine(file, int(number), function or "") for file, number, function in _FRAME.findall(traceback)]
    own = [frame for frame in frames if not any(part in frame.file for part in _FOREIGN)]
    return next(reversed(own or frames), None)


def is_file(named: str, file: str) -> bool:
    """Whether a traceback's name of a file means this file of a folder, by as many parts as the shorter one has."""
    one, other = PurePosixPath(named).parts, PurePosixPath(file).parts
    length = min(len(one), len(other))
    return length > 0 and one[-length:] == other[-length:]
