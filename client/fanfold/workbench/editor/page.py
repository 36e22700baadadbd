"""The Workbench page: UDF files, an editor, a form for the parameters, and what a run gives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from nicegui import ui
from nicegui.element import Element

from fanfold.errors import FanfoldError
from fanfold.workbench.editor.form import EditorForm, ask
from fanfold.workbench.editor.run import EditorRun
from fanfold.workbench.editor.udf_process import Answer, Order, UdfProcess
from fanfold.workbench.editor.udf_source import UdfFile, files_in, udfs_in
from fanfold.workbench.following import FollowedJobs
from fanfold.workbench.layout import button, element, link, set_text, show, text

_KEYS = "(e) => { if (e.shiftKey && e.key === 'Enter') { e.preventDefault(); e.stopPropagation(); emit(); } }"


async def show_editor(folder: Path, engine: str, followed_jobs: FollowedJobs) -> None:
    """Build the page for one viewer."""
    names = await asyncio.to_thread(files_in, folder)
    with element("div", "ff-row"):
        text("Workbench", "", "h1")
        text(f"{folder.name}/", "ff-mono ff-muted")
    if names:
        _EditorPage(folder, engine, followed_jobs, names)
        return
    with element("div", "ff-card ff-empty"):
        text("No Python files here.", "", "h2")
        text("Write a function with @fanfold.udf into one, or start the Workbench in another folder.")


class _EditorPage:
    """One viewer's file, form and run. The file is only ever read here; it is imported elsewhere (`UdfProcess`)."""

    def __init__(self, folder: Path, engine: str, followed_jobs: FollowedJobs, names: list[str]) -> None:
        self._folder, self._engine = folder, engine
        self._file: UdfFile | None = None
        self._process = UdfProcess(folder)
        self._opening = asyncio.Lock()
        with element("div", "ff-workspace").on("keydown.capture", self._run_asked, js_handler=_KEYS):
            with element("nav", "ff-card ff-files").props('aria-label="UDF files"'):
                self._entries = {name: self._entry(name) for name in names}
            with element("section", "ff-card ff-code").props('aria-label="Editor"'):
                self._editor = ui.codemirror(language="Python", theme="vscodeLight", line_wrapping=True)
                self._editor.classes("ff-editor").props('aria-label="Code"')
                self._editor.on_value_change(self._read_quietly)
                self._trouble = text("", "ff-pre ff-hidden", "pre").props("role=alert tabindex=0")
            with element("section", "ff-card ff-side").props('aria-label="Parameters"'):
                self._form = EditorForm(run=self._run, plan=self._plan, submit=self._submit_all, chosen=self._forget)
            with element("section", "ff-card ff-outcome ff-hidden").props(
                'aria-label="What it gives"'
            ) as self._outcome:
                self._build_outcome()
        self._dialogs = element("div")
        self._editor_run = EditorRun(followed_jobs, self._output, again=partial(self._run, cache=False))
        ui.timer(0.05, lambda: self._begin(names[0]), once=True)
        ui.context.client.on_delete(self._process.stop)

    def _build_outcome(self) -> None:
        with element("div", "ff-row ff-hidden").props("role=status") as self._busy:
            self._doing = text("", "ff-muted", "span")
            button("Stop", self._process.stop)
        self._planned = text("", "ff-pre ff-table ff-hidden", "pre").props('tabindex=0 aria-label="Plan"')
        self._output = element("div", "ff-output")

    def _entry(self, name: str) -> Element:
        made = text(name, "", "button").props("type=button")
        return made.on("click", lambda _: self._open(name))

    async def _begin(self, name: str) -> None:
        dark = await ui.run_javascript("window.ff.nameEditor()", timeout=10.0)
        self._editor.set_theme("githubDark" if dark else "vscodeLight")
        await self._open(name)

    # --- the file ------------------------------------------------------------------------------------------------

    async def _open(self, name: str) -> None:
        async with self._opening:  # a second file may be chosen while the first is still read
            await self._open_now(name)

    async def _open_now(self, name: str) -> None:
        before, typed = self._file, self._editor.value

        def opened() -> UdfFile:
            if before is not None and before.name != name:
                before.save(typed)
            return UdfFile(self._folder, name)

        files: list[UdfFile] = []

        async def open_it() -> None:
            files.append(await asyncio.to_thread(opened))

        if not await self._tried(open_it) or (before is not None and files[0].is_same(before)):
            return  # what is open already stays as it is, with what has been typed since
        self._file = files[0]
        self._forget()
        self._form.begin_anew()
        self._editor.set_value(self._file.text)
        await self._tried(self._read)
        for other, entry in self._entries.items():
            entry._props["aria-current"] = "true" if other == name else "false"
            entry.update()

    async def _read(self) -> None:
        """Have the form be that of the text. Raises `InputError` where it is not Python."""
        if self._file is not None:
            self._form.offer(udfs_in(self._editor.value, self._file.name))

    async def _read_quietly(self) -> None:
        """While it is typed, a text is not Python most of the time: then the form stays as it is."""
        try:
            await self._read()
        except FanfoldError:
            return

    async def _saved(self) -> bool:
        """Save what was typed, and read it anew; whether there is a UDF to run then."""
        file, typed = self._file, self._editor.value
        if file is None or not await self._tried(lambda: asyncio.to_thread(file.save, typed)):
            return False
        return await self._tried(self._read) and self._form.udf is not None

    def _forget(self) -> None:
        """What there was of another UDF is not shown beside this one."""
        self._process.stop()
        self._editor_run.clear()
        for one in (self._planned, self._outcome, self._trouble):
            show(one, shown=False)
        self._form.offer_submit("")

    # --- running -------------------------------------------------------------------------------------------------

    async def _run_asked(self) -> None:
        """Shift+Enter: also on a machine, after a confirmation."""
        if await self._saved():
            await self._asked_first(lambda machine: self._start(allowed=machine))

    async def _run(self, *, cache: bool = True) -> None:
        """The button: never on a machine, also where the text has just come to ask for one."""
        if await self._saved():
            await self._start(cache=cache, by_key=False)

    async def _plan(self) -> None:
        if await self._saved():
            await self._asked_first(self._plan_now)

    async def _submit_all(self) -> None:
        if await self._saved():
            await self._asked_first(self._submit_now)

    async def _asked_first(self, go_on: Callable[[str | None], Awaitable[None]], machine: str | None = None) -> None:
        """Go on, with the machine that may be started: none, or the one that was asked for and confirmed."""
        machine = machine or (self._form.udf.instance_type if self._form.udf is not None else None)
        with self._dialogs:
            asked = ask(machine, self._engine, lambda: go_on(machine))
        if not asked:
            await go_on(None)

    async def _start(self, *, allowed: str | None = None, cache: bool = True, by_key: bool = True) -> None:
        answer = await self._carried_out("submit", lambda: [self._form.arguments()], allowed, cache=cache)
        if answer is None:
            return
        if answer.machine and by_key:
            await self._asked_first(lambda machine: self._start(allowed=machine), answer.machine)
        elif answer.machine:
            self._say(f"It runs on {answer.machine}. Press Shift+Enter to run it: you are asked before it starts.")
        else:
            self._editor_run.follow(answer.job)

    async def _plan_now(self, allowed: str | None) -> None:
        answer = await self._carried_out("plan", self._form.all_inputs, allowed)
        if answer is not None and answer.machine:
            await self._asked_first(self._plan_now, answer.machine)
        elif answer is not None:
            set_text(self._planned, answer.plan)
            show(self._planned, shown=True)
            self._form.offer_submit(f"Submit {answer.count:,} inputs")

    async def _submit_now(self, allowed: str | None) -> None:
        answer = await self._carried_out("submit", self._form.all_inputs, allowed)
        if answer is not None and answer.machine:
            await self._asked_first(self._submit_now, answer.machine)
        elif answer is not None:
            with self._output, element("div", "ff-row").props("role=status"):
                text(f"Submitted {answer.count:,} runs:", "", "span")
                link(f"job {answer.job}", f"/job/{answer.job}")

    async def _carried_out(
        self, act: str, inputs: Callable[[], list[dict[str, Any]]], allowed: str | None, *, cache: bool = True
    ) -> Answer | None:
        """Have a process do it, and say so meanwhile; None where it failed or was stopped."""
        file, udf = self._file, self._form.udf
        if file is None or udf is None:
            return None
        answers: list[Answer | None] = []

        async def carry_out() -> None:
            order = Order(file.name, udf.name, act, inputs(), self._engine, allowed, cache)
            self._editor_run.clear()
            set_text(self._doing, f"{'Planning' if act == 'plan' else 'Starting'} {udf.name} …")
            for one in (self._outcome, self._busy):
                show(one, shown=True)
            answers.append(await self._process.carry_out(order))

        done = await self._tried(carry_out)
        if not self._process.busy:
            show(self._busy, shown=False)
        return answers[0] if done else None

    async def _tried(self, act: Callable[[], Awaitable[object]]) -> bool:
        """Do something; where it fails, say why in the editor's place for it."""
        try:
            await act()
        except FanfoldError as error:
            self._say(str(error))
            return False
        show(self._trouble, shown=False)
        return True

    def _say(self, words: str) -> None:
        set_text(self._trouble, words)
        show(self._trouble, shown=True)
