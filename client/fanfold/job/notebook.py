"""A job in a notebook's output, which brings itself up to date in place until the job has ended."""

from __future__ import annotations

import threading
import time
from typing import Any

from fanfold.engines.protocol import Engine
from fanfold.errors import FanfoldError
from fanfold.fold import JobState
from fanfold.job import display
from fanfold.job.contents import Contents
from fanfold.job.progress import in_notebook
from fanfold.job.tracker import Tracker
from fanfold.models import JobHeader

#: Seconds between two pictures, at least; and how many times as long as making one takes, so that a job of very many
#: runs leaves the kernel to its user.
_PACE_S, _TIMES_AS_LONG = 1.0, 20.0

_lock = threading.Lock()
_followers: dict[str, _Follower] = {}


def shown_live(header: JobHeader, engine: Engine) -> bool:
    """Show an open job, and keep what is shown up to date; False where it has ended, or this is no notebook."""
    if not in_notebook():
        return False
    state = Tracker(header, engine).refresh()
    if state.done:
        return False
    with _lock:
        follower = _followers.get(header.id)
        if follower is None:
            follower = _followers[header.id] = _Follower(header, engine)
            follower.start()
        follower.add(state)
    return True


class _Follower(threading.Thread):
    """Reads on by itself, for the user's thread may be anywhere; it only reads, and looks after no lost runs."""

    def __init__(self, header: JobHeader, engine: Engine) -> None:
        super().__init__(name=f"fanfold-notebook-{header.id}", daemon=True)
        self._tracker = Tracker(header, engine)
        self._contents = Contents(header, engine.stores)
        self._outputs: list[Any] = []
        self._stale = ""

    def add(self, state: JobState) -> None:
        """Show the job once more, in an output of its own."""
        from IPython.display import display as shown

        output = shown(self._picture(state), display_id=True)  # type: ignore[no-untyped-call]
        self._outputs.append(output)

    def run(self) -> None:
        """Draw until the job has ended."""
        done = False
        while not done:
            began = time.monotonic()
            try:
                state, self._stale = self._tracker.refresh(), ""
                done = self._draw(state)
                took_s = time.monotonic() - began
                self._tracker.engine.wait_for_news(_PACE_S)
            except FanfoldError as error:  # it may go on in a minute, and until then it is said how old the picture is
                self._stale = self._stale or f"as of {time.strftime('%H:%M:%S')}: {error.message}"
                self._draw(self._tracker.state)
                took_s = _PACE_S
            if not done:
                time.sleep(max(0.0, max(_PACE_S, took_s * _TIMES_AS_LONG) - (time.monotonic() - began)))

    def _draw(self, state: JobState) -> bool:
        """Draw every output anew; True where that was the last time."""
        # Nobody may add an output between the last drawing and the end.
        with _lock:
            picture = self._picture(state)
            for output in self._outputs:
                output.update(picture)
            if state.done:
                _followers.pop(self._tracker.header.id, None)
            return state.done

    def _picture(self, state: JobState) -> Any:
        from IPython.display import HTML

        contents = None if self._stale else self._contents
        return HTML(display.html(state, contents, stale=self._stale))  # type: ignore[no-untyped-call]
