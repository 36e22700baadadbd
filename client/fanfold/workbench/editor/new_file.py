"""The dialog that makes a new file of the folder, and opens it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from nicegui import ui

from fanfold.errors import FanfoldError
from fanfold.workbench.editor.udf_source import new_file
from fanfold.workbench.layout import button, dialog_named, element, field, set_text, show, text


def ask_for_name(folder: Path) -> None:
    """Ask for its name, and open it once it is made."""
    name = [""]

    async def make() -> None:
        try:
            made = await asyncio.to_thread(new_file, folder, name[0])
        except FanfoldError as error:
            set_text(wrong, str(error))
            show(wrong, shown=True)
            return
        dialog.close()
        ui.navigate.to(f"/workbench?file={made}")

    with dialog_named("New file") as dialog, element("div", "ff-dialog"):
        text("New file", "", "h2")
        asked = field("Name", on_change=lambda value: name.__setitem__(0, value), placeholder="flights.py")
        # A dialog that opens gives the focus to what has this mark.
        asked.props("data-autofocus tabindex=0").on("keydown.enter.prevent", make)
        wrong = text("", "ff-note ff-hidden").props("role=alert")
        with element("div", "ff-row"):
            button("Make it", make, "ff-first")
            button("Not now", dialog.close)
    dialog.open()
