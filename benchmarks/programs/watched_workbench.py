"""The Workbench with a watch on its event loop: `/stalls.json` tells the longest stall since it was last asked.

It is told in milliseconds, and what the process computed meanwhile as well (`cpu_ms`). On a machine that does other
things, the browser of this measurement among them, the loop also waits for a core: `own_ms` is the longest stall
without that wait, as Linux counts it. Called with the folder of UDFs and the port.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from nicegui import app

from fanfold import workbench

_TICK_S = 0.005
worst_s = {"ms": 0.0, "own_ms": 0.0, "cpu_ms": 0.0}
tasks = []


async def watch() -> None:
    """Notice how much later than asked for the loop comes back."""
    waited_s = core_waits()
    while True:
        began, cpu, waited = time.perf_counter(), time.process_time(), waited_s()
        await asyncio.sleep(_TICK_S)
        late_s = time.perf_counter() - began - _TICK_S
        worst_s["ms"] = max(worst_s["ms"], late_s)
        worst_s["own_ms"] = max(worst_s["own_ms"], late_s - (waited_s() - waited))
        worst_s["cpu_ms"] = max(worst_s["cpu_ms"], time.process_time() - cpu)


def core_waits() -> Callable[[], float]:
    """What tells for how many seconds this thread has waited for a core; always 0 where that is not counted."""
    path = f"/proc/self/task/{threading.get_native_id()}/schedstat"
    if not os.path.exists(path):
        return lambda: 0.0
    descriptor = os.open(path, os.O_RDONLY)
    return lambda: int(os.pread(descriptor, 100, 0).split()[1]) / 1e9


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
