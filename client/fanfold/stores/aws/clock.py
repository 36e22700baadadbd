"""The service's time: whose clock is wrong by minutes must not get the order of things wrong.

AWS accepts what a clock has signed that is wrong by up to five minutes. Each of its answers says what time it is there;
from that follows how far ahead this machine's clock is, and everything that is written down or compared is in the
service's time. In between, time goes on as fast as it does since the machine was started, its sleep included: a clock
that somebody sets meanwhile, or that NTP finds wrong, moves nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

#: An answer's date is looked at this often, and has whole seconds.
_LOOK_EVERY_S = 20.0
_DATE_S = 1.0
#: A clock that is wrong by less is right: the network takes its time as well.
_RIGHT_WITHIN_S = 2.0
#: An answer that took so long (an invoked function's, a call that was tried again) does not tell when it was dated.
_PROMPT_S = 5.0
#: Goes on while the machine sleeps, on Linux and, by another name, on macOS.
_SINCE_START = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class ServiceClock:
    """What time it is at AWS, as the answers say. Any thread may use it."""

    def __init__(self) -> None:
        #: When the machine was started, by the service's time (seconds since 1970); and by this machine's clock, when
        #: an answer was looked at last.
        self._started_at = self._started_here = _started_here()
        self._looked_at: float | None = None

    def now(self) -> float:
        """What time it is at the service, in seconds since 1970."""
        return self._started_at + time.clock_gettime(_SINCE_START)

    @property
    def ahead_s(self) -> float:
        """How far this machine's clock is ahead now, in seconds: negative for one that is behind, 0 for a right one."""
        ahead_s = _started_here() - self._started_at
        return ahead_s if abs(ahead_s) > _RIGHT_WITHIN_S else 0.0

    def note(self, answer: Mapping[str, Any], took_s: float) -> None:
        """Learn from an answer of a service that came just now, `took_s` after it was asked for."""
        if took_s > _PROMPT_S or not self._may_be_wrong():
            return
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        said = None if date is None else _seconds(date)
        if said is None:
            return
        self._looked_at, self._started_here = time.monotonic(), _started_here()
        # The date was said between the call and its answer, and may be older than it says by what it leaves out.
        started_at = said + _DATE_S / 2 + took_s / 2 - time.clock_gettime(_SINCE_START)
        within_s = _RIGHT_WITHIN_S + took_s / 2
        if abs(started_at - self._started_at) <= within_s:
            return  # it is what was known: keep moments comparable
        is_right = abs(started_at - self._started_here) <= within_s
        self._started_at = self._started_here if is_right else started_at

    def _may_be_wrong(self) -> bool:
        """Whether an answer is to be looked at: now and then, and at once where this machine's clock was set."""
        if self._looked_at is None or time.monotonic() - self._looked_at >= _LOOK_EVERY_S:
            return True
        return abs(_started_here() - self._started_here) > _RIGHT_WITHIN_S


def _started_here() -> float:
    return time.time() - time.clock_gettime(_SINCE_START)


def _seconds(date: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
