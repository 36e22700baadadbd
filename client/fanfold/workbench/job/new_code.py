"""Asking which code the failed runs are to have: the dialog shows the text of a file, and runs them with just that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from nicegui import ui

from fanfold.contract.records import NamedTuple
from fanfold.core.raising import RaisingLine
from fanfold.errors import FanfoldError, InputError
from fanfold.job.causes import is_file
from fanfold.workbench.editor.fix import run_these
from fanfold.workbench.editor.udf_process import Order, UdfAnswer, UdfProcess
from fanfold.workbench.editor.udf_source import UdfFile, digest, files_in, offered_in
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.layout import button, choice, dialog_named, element, set_text, show, text


class Code(NamedTuple):
    """A file that has a UDF, by name and with the text that would be run."""

    file: str
    text: str


def codes_for(folder: Path, udf: str, line: RaisingLine | None) -> list[Code]:
    """The files of a folder that have this UDF, the one that a failure names first; called in a thread."""
    found = []
    for name in files_in(folder):
        try:
            file = UdfFile(folder, name)
            if udf in offered_in(file.text, name):
                found.append(Code(name, file.text))
        except InputError:  # no Python as it stands, or gone: nothing could be run with it
            continue
    return sorted(found, key=lambda code: line is None or not is_file(line.file, code.file))


class NewCodeDialog:
    """One viewer's dialog, opened with the files that have the job's UDF."""

    def __init__(self, followed: FollowedJob, folder: Path, engine: str, done: Callable[[], Awaitable[None]]) -> None:
        self._followed, self._engine, self._done = followed, engine, done
        self._process = UdfProcess(folder)

    def open(self, codes: list[Code], failed: int, address: str) -> None:
        """Show the code of the first file; `address` is the editor's."""
        header = self._followed.job.header
        by_name = {code.file: code for code in codes}
        self._chosen = codes[0] if codes else None
        with dialog_named(run_these(failed)) as dialog, element("div", "ff-dialog ff-wide"):
            text(run_these(failed), "", "h2")
            if not codes:
                text(f"No file of this folder has a UDF {header.name}. Start the Workbench where it is.")
                button("Close", dialog.close)
                dialog.open()
                return
            text(f"They run again with {header.name} as it stands here; all results that there are stay.")
            if header.instance_type is not None:
                text(f"They run on {header.instance_type}, as the job does.", "ff-note")
            if len(codes) > 1:
                choice("File", {name: name for name in by_name}, on_change=lambda name: self._show(by_name[name]))
            self._file = text(codes[0].file, "ff-mono ff-muted")
            self._text = text(codes[0].text, "ff-pre", "pre").props('tabindex=0 aria-label="Code"')
            self._wrong = text("", "ff-note ff-hidden").props("role=alert")
            with element("div", "ff-row"):
                button(run_these(failed), partial(self._run, dialog), "ff-first")
                button("Edit it first", lambda: ui.navigate.to(address))
                button("Not now", dialog.close)
        dialog.open()

    def _show(self, code: Code) -> None:
        self._chosen = code
        set_text(self._file, code.file)
        set_text(self._text, code.text)

    async def _run(self, dialog: ui.dialog) -> None:
        code, header = self._chosen, self._followed.job.header
        if code is None:
            return
        given = {"job": header.id}
        order = Order(code.file, header.name, "retry", given, self._engine, digest=digest(code.text))
        try:
            answer: UdfAnswer | None = await self._process.carry_out(order)
        except FanfoldError as error:
            set_text(self._wrong, str(error))
            show(self._wrong, shown=True)
            return
        dialog.close()
        if answer is not None:
            runs = f"{answer.count:,} {'run' if answer.count == 1 else 'runs'}"
            ui.notify(f"Running {runs} with the new code …", position="bottom-left")
        await self._done()
