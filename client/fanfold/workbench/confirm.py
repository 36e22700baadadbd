"""Asking before a machine is started: which, for what price, and how long it takes to come up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fanfold.engines.select import engine_for
from fanfold.pricing import prices
from fanfold.workbench.shell import button, dialog_named, element, text


def ask(instance_type: str | None, engine: str, go_on: Callable[[], Awaitable[None]]) -> bool:
    """Open a dialog that names the machine and its price; `go_on` runs when it is confirmed.

    Opens none and returns False where there is no such machine: then there is nothing to ask.
    """
    described = engine_for(engine).describe()
    machine = described.instance_types.get(instance_type or "")
    if machine is None:
        return False
    served = f", served by {machine.host.name}" if machine.served_by_another else ""
    kind = " (Spot)" if described.spot else ""
    price = f"${machine.host.price(prices(), spot=described.spot):,.3f} per hour{kind}"

    async def confirmed() -> None:
        dialog.close()
        await go_on()

    with dialog_named("Start a machine?") as dialog, element("div", "ff-dialog"):
        text("Start a machine?", "", "h2")
        text(f"{machine.name}: {machine.vcpus:,} vCPU, {machine.memory_gib:g} GB{served}.")
        if engine == "local":
            text(f"On this machine it costs nothing and starts at once. On AWS: {price}, up in 30 s or more.")
        else:
            text(f"It costs {price} while it is up, and takes 30 s or more to start.")
        with element("div", "ff-row"):
            button(f"Start {machine.name}", confirmed, "ff-first")
            button("Not now", dialog.close)
    dialog.open()
    return True
