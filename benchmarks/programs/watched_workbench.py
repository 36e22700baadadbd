"""The Workbench with a watch on its event loop: `/stalls.json` tells the longest stall since it was last asked.

It is told in milliseconds, and what the process computed meanwhile as well (`cpu_ms`). On a machine that does other
things, the browser of this measurement among them, the loop also waits for a core, or for a thread of its process that
holds the interpreter and waits for one: `own_ms` is the longest stall without the longest such wait, as Linux counts.
Called with the folder of UDFs and the port.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from nicegui import app

from fanfold import workbench

_TICK_S = 0.005
_THREADS = "/proc/self/task"
#: How often it is looked which threads there are.
_LISTED_S = 0.5
worst_s = {"ms": 0.0, "own_ms": 0.0, "cpu_ms": 0.0}
tasks = []


async def watch() -> None:
    """Notice how much later than asked for the loop comes back."""
    waits = CoreWaits()
    while True:
        began, cpu, before = time.perf_counter(), time.process_time(), waits.by_thread()
        await asyncio.sleep(_TICK_S)
        late_s, now = time.perf_counter() - began - _TICK_S, waits.by_thread()
        waited_s = max((now[one] - before[one] for one in now if one in before), default=0.0)
        worst_s["ms"] = max(worst_s["ms"], late_s)
        worst_s["own_ms"] = max(worst_s["own_ms"], late_s - waited_s)
        worst_s["cpu_ms"] = max(worst_s["cpu_ms"], time.process_time() - cpu)


class CoreWaits:
    """For how many seconds each thread of this process has waited for a core; nothing where that is not counted."""

    def __init__(self) -> None:
        self._open: dict[str, int] = {}
        self._listed_at = 0.0

    def by_thread(self) -> dict[str, float]:
        """What Linux has counted so far, by thread."""
        if time.monotonic() - self._listed_at > _LISTED_S and os.path.exists(_THREADS):
            self._listed_at = time.monotonic()
            for one in set(os.listdir(_THREADS)) - set(self._open):
                with suppress(OSError):  # it has ended meanwhile
                    self._open[one] = os.open(f"{_THREADS}/{one}/schedstat", os.O_RDONLY)
        found = {}
        for one, descriptor in list(self._open.items()):
            try:
                found[one] = int(os.pread(descriptor, 100, 0).split()[1]) / 1e9
            except (OSError, IndexError):  # it has ended
                os.close(self._open.pop(one))
        return found


@app.get("/stalls.json")
def stalls() -> dict[str, float]:
    """The longest stall since the last call, in milliseconds."""
    answer = {name: 1000 * value for name, value in worst_s.items()}
    worst_s.update(dict.fromkeys(worst_s, 0.0))
    return answer


async def begin() -> None:
    """Start the watch in the server's own loop."""
    tasks.append(asyncio.get_running_loop().create_task(watch()))


app.on_startup(begin)
workbench.serve(
    port=int(sys.argv[2]), show=False, folder=Path(sys.argv[1]), announce=lambda said: print(said, flush=True)
)
