"""What a run has printed, as it stands on a terminal in the end."""

from __future__ import annotations

import re

#: Colours, movements of the cursor, titles of windows: all that a terminal would not show as text.
#: Those that begin with the one character of 8 bits that stands for two are among them.
_ANSI = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours and the cursor
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x90\x98\x9c-\x9f]*(?:\x07|\x1b\\|\x9c)"  # titles, links, pictures
    r"|\x1b[ -/]*[0-~]"  # sets of characters, and all that is short
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain(text: str) -> str:
    """A line that a run has printed, as plain text: without what would only steer a terminal."""
    if "\r" in text:  # a progress bar: what stands on the terminal in the end is what came last
        text = text.rstrip("\r").rpartition("\r")[2]
    return _CONTROL.sub("", _ANSI.sub("", text))
