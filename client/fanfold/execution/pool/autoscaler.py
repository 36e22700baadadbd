"""How many workers a backlog is worth: starting one takes a core as long as a hundred no-op calls take another."""

#: What starting a worker takes of a core: a fork, and the loading of a small UDF.
_START_S = 0.01
#: The last call weighs this much in what the next is expected to take.
_NEWS = 0.2
#: A call that is running may be loading its UDF still for so long.
_LOAD_S = 0.02


class Autoscaler:
    """What calls take, as far as is known, and how many workers they are therefore worth."""

    def __init__(self) -> None:
        self._call_s = 0.0
        self._last_s = 0.0

    def note(self, duration_s: float) -> None:
        """A call has taken this long. The lesser of two in a row counts: a worker's first one loads the UDF as well."""
        self._call_s += _NEWS * (min(duration_s, self._last_s) - self._call_s)
        self._last_s = duration_s

    def worth(self, ready: int, waiting: int, running_s: float) -> int:
        """How many workers there should be, where `ready` are up and `waiting` calls have been begun by none of them.

        `running_s`: how long the call that is running longest has taken by now; those that wait may take as long.
        """
        backlog_s = waiting * max(self._call_s, running_s - _LOAD_S)
        return max(1, ready + int(backlog_s / _START_S))

    def look_again_s(self, waiting: int) -> float:
        """After how long a call that is running now makes another worker worth its start."""
        return _START_S / max(waiting, 1) + _LOAD_S
