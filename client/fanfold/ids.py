"""Identifiers that sort by time."""

import itertools
import os
import time

#: In the order of the alphabet: a word is the 32nd part of a second in which a job was made.
_WORDS = (
    "amber aspen basil birch cedar clover delta dune elm ember fern fjord garnet grove harbor iris "
    "juniper kelp lagoon maple north olive pebble quartz river sable tundra umber valley willow yarrow zephyr"
).split()

_count = itertools.count()
_tag = ""
_tag_pid = 0


def new_job_id(now: float | None = None) -> str:
    """A job id that sorts by time, to a millisecond, and reads well aloud, such as `20260131-141502-river-7f3a`."""
    moment = time.time() if now is None else now
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(moment))
    word, rest = divmod(int(moment % 1 * (32 << 5)), 1 << 5)
    noise = int.from_bytes(os.urandom(2), "big") & 0x7FF
    return f"{stamp}-{_WORDS[word]}-{rest << 11 | noise:04x}"


def new_event_id(at: float) -> str:
    """An event id: milliseconds, then this process's random tag, then a count, so that no two are alike."""
    global _tag, _tag_pid
    if _tag_pid != os.getpid():  # a fork must not share its parent's tag
        _tag, _tag_pid = os.urandom(4).hex(), os.getpid()
    return f"{int(at * 1000):012x}{_tag}{next(_count) & 0xFFFFFFFF:08x}"
