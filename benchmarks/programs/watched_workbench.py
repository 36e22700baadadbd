"""The Workbench with a watch on its event loop: `/stalls.json` tells the longest stall since it was last asked, in ms.

Called with the folder of UDFs and the port.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from nicegui import app

from fanfold import workbench

_TICK_S = 0.005
worst_s = [0.0]
tasks = []


async def watch() -> None:
    """Notice how much later than asked for the loop comes back."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(_TICK_S)
        worst_s[0] = max(worst_s[0], time.perf_counter() - began - _TICK_S)


@app.get("/stalls.json")
def stalls() -> dict[str, float]:
    """The longest stall since the last call, in milliseconds."""
    told, worst_s[0] = worst_s[0], 0.0
    return {"ms": 1000 * told}


async def begin() -> None:
    """Start the watch in the server's own loop."""
    tasks.append(asyncio.get_running_loop().create_task(watch()))


app.on_startup(begin)
workbench.serve(
    port=int(sys.argv[2]), show=False, folder=Path(sys.argv[1]), announce=lambda said: print(said, flush=True)
)
