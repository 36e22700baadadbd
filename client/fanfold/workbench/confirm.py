"""Asking before a machine is started: which, for what price, and how long it takes to come up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import ui

from fanfold.contract.instances import INSTANCE_TYPES
from fanfold.workbench.shell import button, element, text


def ask(instance_type: str, engine: str, go_on: Callable[[], Awaitable[None]]) -> None:
    """Open a dialog that names the machine and its price; `go_on` runs when it is confirmed."""
    machine = INSTANCE_TYPES[instance_type]
    served = f", served by {machine.host.name}" if machine.served_by_another else ""
    price = f"${machine.host.usd_per_hour:,.3f} per hour"

    async def confirmed() -> None:
        dialog.close()
        await go_on()

    with ui.dialog() as dialog, element("div", "ff-dialog").props('role=document aria-label="Start a machine?"'):
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
