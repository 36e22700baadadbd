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


def new_job_id(now: float | None = None) -> str:
    """A job id that sorts by time, to a millisecond, and reads well aloud, such as `20260131-141502-river-7f3a`."""
    moment = time.time() if now is None else now
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(moment))
    word, rest = divmod(int(moment % 1 * (32 << 5)), 1 << 5)
    noise = int.from_bytes(os.urandom(2), "big") & 0x7FF
    return f"{stamp}-{_WORDS[word]}-{rest << 11 | noise:04x}"


def new_event_id(at: float) -> str:
    """An event id: milliseconds, then this process's random tag, then a count, so that no two are alike."""
    return f"{int(at * 1000):012x}{_tag.text or _tag.renew()}{next(_count) & 0xFFFFFFFF:08x}"


class _Tag:
    """What tells this process's events from those of all others."""

    text = ""

    def renew(self) -> str:
        self.text = os.urandom(4).hex()
        return self.text


_tag = _Tag()
os.register_at_fork(after_in_child=_tag.renew)  # a forked child must not share its parent's
