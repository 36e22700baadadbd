"""The page ends soon once it is told to, whatever it is reading then.

The server waits for the requests that are under way, and Python for their threads. One that reads a result may wait for
ever for what the user's own class does there, and one that reads a store for as long as that is silent.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from typing import Any

from nicegui.server import Server

from fanfold.workbench.asked_process import AskedProcess

#: What is being read may end by itself for so long, before the page ends without it.
_PATIENCE_S = 8.0


def end_soon(processes: Iterable[AskedProcess]) -> None:
    """Have the server, where it is told to end, end these processes as well: who waits for them is told so."""
    handle = Server.handle_exit
    some = list(processes)

    def handle_exit(self: Any, number: int, frame: Any) -> None:
        if not self.should_exit:
            # Not here: what was interrupted may hold the locks that it takes to end them.
            threading.Thread(target=_end, args=(some, number), name="fanfold-ending", daemon=True).start()
        handle(self, number, frame)

    Server.handle_exit = handle_exit  # type: ignore[assignment,method-assign]


def _end(processes: list[AskedProcess], number: int) -> None:
    for process in processes:
        process.close_for_good()
    time.sleep(_PATIENCE_S)  # the interpreter ends meanwhile, and this thread with it
    what = f"What the page was reading has not ended within {_PATIENCE_S:g} s of {signal.Signals(number).name}"
    sys.stderr.write(f"fanfold: {what}; it ends without it.\n")
    sys.stderr.flush()
    os._exit(128 + number)
