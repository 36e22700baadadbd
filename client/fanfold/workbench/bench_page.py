"""The Workbench page: UDF files, an editor, a form for the parameters, and what a run gives."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from nicegui import ui
from nicegui.element import Element

from fanfold.api import submit
from fanfold.decorator import Udf
from fanfold.errors import FanfoldError
from fanfold.forecast import Plan
from fanfold.planning import plan
from fanfold.workbench import form
from fanfold.workbench.bench_run import BenchRun
from fanfold.workbench.confirm import ask
from fanfold.workbench.shell import button, choice, element, field, link, set_text, show, text
from fanfold.workbench.udf_files import UdfFile, files_in
from fanfold.workbench.watch import Watches

_KEYS = "(e) => { if (e.shiftKey && e.key === 'Enter') { e.preventDefault(); e.stopPropagation(); emit(); } }"


def show_bench(folder: Path, engine: str, watches: Watches) -> None:
    """Build the page for one viewer."""
    names = files_in(folder)
    with element("div", "ff-row"):
        text("Workbench", "", "h1")
        text(f"{folder.name}/", "ff-mono ff-muted")
    if names:
        _Bench(folder, engine, watches, names)
        return
    with element("div", "ff-card ff-empty"):
        text("No Python files here.", "", "h2")
        text("Write a function with @fanfold.udf into one, or start the Workbench in another folder.")


class _Bench:
    """One viewer's file, form and run."""

    def __init__(self, folder: Path, engine: str, watches: Watches, names: list[str]) -> None:
        self._folder, self._engine = folder, engine
        self._file: UdfFile | None = None
        self._udfs: dict[str, Udf] = {}
        self._udf: Udf | None = None
        self._fields: list[form.Field] = []
        self._given: dict[str, str] = {}
        self._inputs = ""
        self._shape: tuple[Any, ...] | None = None
        self._opening = asyncio.Lock()
        with element("div", "ff-bench").on("keydown.capture", self._shift_enter, js_handler=_KEYS):
            with element("nav", "ff-card ff-files").props('aria-label="UDF files"'):
                self._entries = {name: self._entry(name) for name in names}
            with element("section", "ff-card").props('aria-label="Editor"'):
                self._editor = ui.codemirror(language="Python", theme="vscodeLight", line_wrapping=True)
                self._editor.classes("ff-editor").props('aria-label="Code"')
                self._trouble = text("", "ff-pre ff-hidden", "pre").props("role=alert tabindex=0")
                self._planned = text("", "ff-pre ff-table ff-hidden", "pre").props("tabindex=0")
                self._output = element("div")
            with element("section", "ff-card").props('aria-label="Parameters"'):
                self._side = element("div", "ff-card").style("border: 0; padding: 0")
        self._run = BenchRun(watches, self._output)
        ui.timer(0.05, lambda: self._begin(names[0]), once=True)

    def _entry(self, name: str) -> Element:
        made = text(name, "", "button").props("type=button")
        return made.on("click", lambda _: self._open(name))

    async def _begin(self, name: str) -> None:
        dark = await ui.run_javascript("window.ff.nameEditor()", timeout=10.0)
        self._editor.set_theme("githubDark" if dark else "vscodeLight")
        await self._open(name)

    async def _open(self, name: str) -> None:
        async with self._opening:  # a second file may be chosen while the first is still read
            await self._open_now(name)

    async def _open_now(self, name: str) -> None:
        before, typed = self._file, self._editor.value

        def opened() -> None:
            if before is not None and before.name != name:
                before.save(typed)
            self._file = UdfFile(self._folder, name)

        if await self._tried(lambda: asyncio.to_thread(opened)) and self._file is not None:
            self._udf = None
            self._editor.set_value(self._file.text)
            await self._load()
            for other, entry in self._entries.items():
                entry._props["aria-current"] = "true" if other == name else "false"
                entry.update()

    async def _load(self) -> bool:
        """Save what was typed, and read the file's UDFs anew."""
        file = self._file
        if file is None:
            return False
        typed = self._editor.value

        def loaded() -> None:
            file.save(typed)
            self._udfs = file.udfs()

        if not await self._tried(lambda: asyncio.to_thread(loaded)):
            return False
        wanted = self._udf.__name__ if self._udf is not None else ""  # type: ignore[attr-defined]
        self._choose(wanted if wanted in self._udfs else next(iter(self._udfs), ""))
        return self._udf is not None

    def _choose(self, name: str) -> None:
        self._udf = self._udfs.get(name)
        fields = [] if self._udf is None else form.fields_of(self._udf.__fanfold_udf__)
        if self._udf is None or fields != self._fields or not self._given:
            self._fields = fields
            self._given = {one.name: one.default for one in fields}
        machine = None if self._udf is None else self._udf.options.instance_type
        shape = (name, machine, tuple(fields), tuple(self._udfs))
        if shape != self._shape:  # else what is being typed would be lost
            self._shape = shape
            self._side.clear()
            with self._side:
                self._build_side(name)

    def _build_side(self, name: str) -> None:
        if self._udf is None:
            text("This file has no function with @fanfold.udf.", "ff-muted")
            button("Save and look again", self._load)
            return
        if len(self._udfs) > 1:
            choice("UDF", {one: one for one in self._udfs}, value=name, on_change=self._choose)
        else:
            text(name, "", "h2")
        for one in self._fields:
            self._build_field(one)
        self._build_run(self._udf.options.instance_type)
        self._build_many()

    def _build_field(self, one: form.Field) -> None:
        def typed(value: str) -> None:
            self._given[one.name] = value

        label = f"{one.name}{f': {one.annotation}' if one.annotation else ''}{' (required)' if one.required else ''}"
        value = self._given[one.name]
        if one.kind == "choice":
            options = {"": "as the UDF says", **{option: option for option in one.options}}
            choice(label, options, value=value, on_change=typed)
        else:
            step = {"step": "any"} if one.kind == "number" else {}
            field(label, value=value, on_change=typed, type=one.kind, **step)

    def _build_run(self, machine: str | None) -> None:
        if machine is None:
            button("Run (Shift+Enter)", self._start, "ff-first")
            return
        text(f"It runs on {machine}. Press Shift+Enter to run it: you are asked before the machine starts.", "ff-note")

    def _build_many(self) -> None:
        def typed(value: str) -> None:
            self._inputs = value
            for one in (self._planned, self._submit):  # what was planned is not what stands there now
                show(one, shown=False)

        text("Many inputs", "", "h2")
        label = "One a line, for the first parameter; or JSON objects"
        field(label, value=self._inputs, on_change=typed, kind="textarea")
        with element("div", "ff-row"):
            button("Plan", lambda: self._asked_first(self._plan))
            self._submit = button("Submit", lambda: self._asked_first(self._submit_all), "ff-first ff-hidden")

    # --- running -------------------------------------------------------------------------------------------------

    async def _shift_enter(self) -> None:
        if await self._load():
            await self._asked_first(self._start_now)

    async def _start(self) -> None:
        """The button's run: never on a machine, also where the text has just come to ask for one."""
        if await self._load() and self._udf is not None and self._udf.options.instance_type is None:
            await self._start_now()

    async def _asked_first(self, go_on: Callable[[], Awaitable[None]]) -> None:
        machine = None if self._udf is None else self._udf.options.instance_type
        if machine is None or machine == "realtime":
            await go_on()
        else:
            ask(machine, self._engine, go_on)

    async def _start_now(self) -> None:
        given = form.arguments(self._fields, self._given)
        started: list[Any] = []
        act = lambda: started.append(submit(self._udf, [given], engine=self._engine, collect=False))  # noqa: E731
        if await self._tried(lambda: asyncio.to_thread(act)):
            self._run.follow(started[0].id)

    async def _plan(self) -> None:
        found: list[Plan] = []

        def planned() -> None:
            found.append(plan(self._udf, self._all_inputs(), engine=self._engine))

        if await self._tried(lambda: asyncio.to_thread(planned)):
            set_text(self._planned, str(found[0]))
            set_text(self._submit, f"Submit {found[0].count:,} inputs")
            for one in (self._planned, self._submit):
                show(one, shown=True)

    async def _submit_all(self) -> None:
        started: list[Any] = []

        def act() -> None:
            started.append(submit(self._udf, self._all_inputs(), engine=self._engine, collect=False))

        if await self._tried(lambda: asyncio.to_thread(act)):
            self._output.clear()
            with self._output, element("div", "ff-row").props("role=status"):
                text(f"Submitted {len(started[0]):,} runs:", "", "span")
                link(f"job {started[0].id}", f"/job/{started[0].id}")

    def _all_inputs(self) -> list[dict[str, Any]]:
        return form.inputs_from(self._inputs, self._fields, self._given)

    async def _tried(self, act: Callable[[], Awaitable[object]]) -> bool:
        """Do something; where it fails, say why in the editor's place for it."""
        try:
            await act()
        except FanfoldError as error:
            set_text(self._trouble, str(error))
            show(self._trouble, shown=True)
            return False
        show(self._trouble, shown=False)
        return True
