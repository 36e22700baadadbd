"""Identifiers that sort by time."""

import itertools
import os
import time

_WORDS = (
    "amber birch cedar delta ember fjord grove harbor iris juniper kelp lagoon maple north olive pebble "
    "quartz river sable tundra umber valley willow yarrow zephyr aspen basil clover dune elm fern garnet"
).split()

_count = itertools.count()
_tag = ""
_tag_pid = 0


def new_job_id(now: float | None = None) -> str:
    """A job id that sorts by time and reads well aloud, such as `20260131-141502-river-7f3a`."""
    noise = int.from_bytes(os.urandom(3), "big")
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(time.time() if now is None else now))
    return f"{stamp}-{_WORDS[noise >> 16 & 31]}-{noise & 0xFFFF:04x}"


def new_event_id(at: float) -> str:
    """An event id: milliseconds, then this process's random tag, then a count, so that no two are alike."""
    global _tag, _tag_pid
    if _tag_pid != os.getpid():  # a fork must not share its parent's tag
        _tag, _tag_pid = os.urandom(4).hex(), os.getpid()
    return f"{int(at * 1000):012x}{_tag}{next(_count) & 0xFFFFFFFF:08x}"
