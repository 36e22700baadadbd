"""The Workbench with a watch on its event loop: `/stalls.json` tells the longest stall since it was last asked.

It is told in milliseconds, and what the process computed meanwhile as well (`cpu_ms`): on a machine that does other
things, that is what the Workbench has of it. Called with the folder of UDFs and the port.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from nicegui import app

from fanfold import workbench

_TICK_S = 0.005
worst_s = {"ms": 0.0, "cpu_ms": 0.0}
tasks = []


async def watch() -> None:
    """Notice how much later than asked for the loop comes back."""
    while True:
        began, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(_TICK_S)
        worst_s["ms"] = max(worst_s["ms"], time.perf_counter() - began - _TICK_S)
        worst_s["cpu_ms"] = max(worst_s["cpu_ms"], time.process_time() - cpu)


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
