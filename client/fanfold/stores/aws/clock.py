"""The service's time: whose clock is wrong by minutes must not get the order of things wrong.

AWS accepts what a clock has signed that is wrong by up to five minutes. Each of its answers says what time it is there;
from that follows how far ahead this machine's clock is, and everything that is written down or compared is in the
service's time.
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


class ServiceClock:
    """How far this machine's clock is ahead of AWS's, as the answers say. Any thread may use it."""

    def __init__(self) -> None:
        #: Seconds; negative for a clock that is behind, 0 for one that is right within two seconds.
        self.ahead_s = 0.0
        self._looked_at: float | None = None

    def now(self) -> float:
        """What time it is at the service, in seconds since 1970."""
        return time.time() - self.ahead_s

    def note(self, answer: Mapping[str, Any], took_s: float) -> None:
        """Learn from an answer of a service that came just now, `took_s` after it was asked for."""
        moment = time.monotonic()
        if took_s > _PROMPT_S or (self._looked_at is not None and moment - self._looked_at < _LOOK_EVERY_S):
            return
        date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        said = None if date is None else _seconds(date)
        if said is None:
            return
        self._looked_at = moment
        # The date was said between the call and its answer, and may be older than it says by what it leaves out.
        ahead_s = time.time() - took_s / 2 - (said + _DATE_S / 2)
        if abs(ahead_s) <= _RIGHT_WITHIN_S + took_s / 2:
            self.ahead_s = 0.0
        elif abs(ahead_s - self.ahead_s) > _RIGHT_WITHIN_S:  # else it is what was known: keep moments comparable
            self.ahead_s = ahead_s


def _seconds(date: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
