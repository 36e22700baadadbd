"""The Workbench page: UDF files, an editor, a form for the parameters, and what a run gives."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from nicegui import ui
from nicegui.element import Element

from fanfold.contract.records import NamedTuple
from fanfold.core.raising import RaisingLine
from fanfold.errors import FanfoldError, InputError
from fanfold.job.causes import is_file
from fanfold.workbench.editor.fix import FailedJob, FixBar
from fanfold.workbench.editor.form import INPUTS_PATH, EditorForm, ask
from fanfold.workbench.editor.new_file import ask_for_name
from fanfold.workbench.editor.offered import OfferedReader, OfferedText
from fanfold.workbench.editor.open_run import input_texts
from fanfold.workbench.editor.run import Actions, EditorRun
from fanfold.workbench.editor.udf_process import Order, UdfAnswer, UdfProcess
from fanfold.workbench.editor.udf_source import UdfFile, difference, digest, error_line, files_in
from fanfold.workbench.following import FollowedJobs
from fanfold.workbench.layout import button, element, link, script, set_text, show, text
from fanfold.workbench.remembered import Remembered
from fanfold.workbench.uploads import Uploads

_KEYS = (
    "(e) => { const key = window.ff.editor.key(e); if (key) { e.preventDefault(); e.stopPropagation(); emit(key); } }"
)
#: How often the page looks whether the file that is open has changed on disk.
_DISK_S = 1.0
#: How often the page and the browser are compared: once more for each key that comes in between.
_LOOKS = 5
#: How long a browser may take to answer, and to begin: it may have to fetch and compile the editor first.
_BROWSER_S, _BEGIN_S = 10.0, 120.0


class Shared(NamedTuple):
    """What all viewers' editors share."""

    folder: Path
    engine: str
    followed_jobs: FollowedJobs
    uploads: Uploads
    remembered: Remembered
    offered: OfferedReader


async def show_editor(shared: Shared, query: Mapping[str, str]) -> None:
    """Build the page for one viewer. `query` is the address's: file, udf, line, and job and run for the input."""
    names = await asyncio.to_thread(files_in, shared.folder)
    with element("div", "ff-row"):
        text("Workbench", "", "h1")
        text(f"{shared.folder.name}/", "ff-mono ff-muted")
        new = element("div", "ff-spread")
    page = _EditorPage(shared, names, query) if names else None
    with new:
        button("New file", partial(ask_for_name, shared.folder))
    if page is None:
        with element("div", "ff-card ff-empty"):
            text("No Python files here.", "", "h2")
            text("Press New file, or start the Workbench in another folder.")


class _EditorPage:
    """One viewer's file, form and run. The file is only ever read here; it is imported elsewhere (`UdfProcess`)."""

    def __init__(self, shared: Shared, names: list[str], query: Mapping[str, str]) -> None:
        self._shared, self._folder, self._engine = shared, shared.folder, shared.engine
        self._query: Mapping[str, str] = query
        self._file: UdfFile | None = None
        #: What the disk holds where it is neither what this page knows nor what stands in the editor.
        self._conflict: str | None = None
        self._upload = ""
        #: Whether the last look has not found the file.
        self._is_missed = False
        self._process = UdfProcess(shared.folder)
        #: Held while a file is opened or saved: the text that is shown belongs to `_file` whenever it is not.
        self._turn = asyncio.Lock()
        self._fix = FixBar(shared.followed_jobs, self._run_failed)
        with element("div", "ff-workspace").on("keydown.capture", self._key_pressed, js_handler=_KEYS):
            with element("nav", "ff-card ff-files").props('aria-label="UDF files"'):
                self._entries = {name: self._entry(name) for name in names}
            with element("section", "ff-card ff-code").props('aria-label="Editor"'):
                self._build_code()
            with element("section", "ff-card ff-side").props('aria-label="Parameters"'):
                self._form = EditorForm(run=self._run, plan=self._plan, submit=self._submit_all, chosen=self._forget)
            with element("section", "ff-card ff-outcome ff-hidden").props(
                'aria-label="What it gives"'
            ) as self._outcome:
                self._build_outcome()
        self._offered = OfferedText(shared.offered, self._shown_text, self._form.offer)
        self._dialogs = element("div")
        actions = Actions(again=partial(self._run, cache=False), go_to=self._go_to_raising)
        self._editor_run = EditorRun(shared.followed_jobs, self._output, actions)
        wanted = query.get("file", "")
        found = next((name for name in names if is_file(wanted, name)), None)
        self._gone = wanted if found is None else ""
        ui.timer(0.05, lambda: self._begin(found or names[0]), once=True)
        ui.timer(_DISK_S, self._look_at_disk)
        ui.context.client.on_delete(self._process.stop)

    def _build_code(self) -> None:
        with element("div", "ff-row"):
            self._name = text("", "ff-mono", "span")
            self._unsaved = text("unsaved", "ff-unsaved ff-hidden", "span").props("role=status")
            self._mistake_line = 0
            self._mistake = button("", self._go_to_mistake, "ff-mistake ff-hidden")
            text("Esc, then Tab leaves the editor", "ff-muted ff-small ff-leave", "span")
            self._save_button = button("Save (Ctrl+S)", self._save, "ff-spread")
        with element("div", "ff-note ff-stack ff-hidden").props("role=alert") as self._changed:
            self._changed_words = text("")
            self._diff = text("", "ff-pre ff-table", "pre").props('tabindex=0 aria-label="Differences"')
            with element("div", "ff-row"):
                button("Take the file's text", self._take_theirs)
                button("Keep my text", self._keep_mine)
        with element("div", "ff-note ff-row ff-hidden").props("role=alert") as self._gone_note:
            self._gone_words = text("", "", "span")
            button("Write it anew", self._write_anew)
        self._editor = ui.codemirror(language="Python", theme="vscodeLight", line_wrapping=True)
        self._editor.classes("ff-editor").props('aria-label="Code"')
        self._editor.on("update:value", js_handler="() => window.ff.editor.changed()")
        self._editor.on("long-text", lambda _: self._take_what_is_shown())
        self._editor.on_value_change(self._text_changed)
        self._trouble = text("", "ff-pre ff-hidden", "pre").props("role=alert tabindex=0")
        self._trouble_line = 0
        self._to_line = button("Go to the line", lambda: self._go_to(self._trouble_line), "ff-hidden")

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
        found = await self._asked(f"window.ff.editor.start({self._editor.id})", timeout_s=_BEGIN_S)
        if found is None:
            self._say("The browser does not answer, so no file was opened. Load the page again.")
            return
        self._editor.set_theme("githubDark" if found.get("dark") else "vscodeLight")
        last = found.get("last") or await asyncio.to_thread(self._shared.remembered.get, "file")
        last = next((one for one in self._entries if str(self._folder / one) == last), name)
        await self._open(name if self._query.get("file") else last)
        if self._gone:
            kept = await self._asked(f"window.ff.editor.isKept({_quoted(str(self._folder / self._gone))})")
            more = " What was typed into it is kept: make a new file of that name, and it is there." if kept else ""
            self._say(f"There is no {self._gone} in this folder.{more}")
        await self._open_as_asked()

    async def _open_as_asked(self) -> None:
        """What the address asks for beside the file: the input of a run in the form, and a line in sight."""
        query, self._query = self._query, {}
        if query.get("shown"):  # what was run before the page was reloaded
            self._editor_run.follow(query["shown"])
            show(self._outcome, shown=True)
            self._show_address()
        if query.get("job"):

            async def fill(file: UdfFile | None = self._file) -> None:
                run = int(query["run"]) if query.get("run", "").isdigit() else 0
                given = await asyncio.to_thread(input_texts, self._shared.followed_jobs, query["job"], run)
                if file is self._file:  # else another was chosen meanwhile, whose form this is not
                    self._form.fill(given)
                await self._fix.offer(query["job"])

            await self._tried(fill)
            self._show_address()
        if query.get("line", "").isdigit():
            self._go_to(int(query["line"]))

    # --- the file ------------------------------------------------------------------------------------------------

    async def _open(self, name: str) -> None:
        async with self._turn:  # a second file may be chosen while the first is still read
            await self._open_now(name)

    async def _open_now(self, name: str) -> None:
        before = self._file
        if before is not None:
            if before.name == name:
                return  # what is open already stays as it is, with what has been typed since
            await self._save_now()  # where it cannot be saved, the draft keeps it
        files: list[UdfFile] = []

        async def open_it() -> None:
            files.append(await asyncio.to_thread(UdfFile, self._folder, name))

        if not await self._tried(open_it):
            return
        file = files[0]
        draft = await self._draft_of(file)
        if draft is None:
            self._say(f"The browser does not answer, so {name} was not opened. Choose it again.")
            return
        # Until here the page shows the file before; from here on this one, and nobody has a turn in between.
        self._file = file
        self._forget()
        self._set_conflict(None)
        self._is_missed = False
        self._show_gone(file, is_gone=False)
        udf = self._query.get("udf") or draft.get("udf") or ""
        script("editor.opened", self._key(), file.text, digest(file.text), udf)
        self._form.begin_anew(draft.get("form") or {}, draft.get("nulls") or [], udf)
        self._editor.set_value(file.text)
        self._restore(file, draft)
        await self._tried(self._offered.read)
        self._show_address()
        await asyncio.to_thread(self._shared.remembered.put, "file", self._key())
        for other, entry in self._entries.items():
            entry._props["aria-current"] = "true" if other == name else "false"
            entry.update()
        set_text(self._name, name)

    async def _draft_of(self, file: UdfFile) -> dict[str, Any] | None:
        """What the browser has kept of a file, also where that had another name then; None where it does not answer."""
        names = await asyncio.to_thread(files_in, self._folder)
        given = (str(file.path), digest(file.text), f"{self._folder}/", [str(self._folder / name) for name in names])
        found: dict[str, Any] | None = await self._asked(f"window.ff.editor.leave({', '.join(map(_quoted, given))})")
        return found

    def _restore(self, file: UdfFile, draft: Mapping[str, Any]) -> None:
        """Put the text of a draft into the editor; where the file has changed since it was typed, ask which to keep."""
        if draft.get("elsewhere"):
            words = f"Another tab has text for {file.name} that is not in the file yet."
            ui.notify(words, position="bottom-left")
        typed = draft.get("text")
        if typed is None or typed == file.text:
            return
        self._editor.set_value(typed)
        script("editor.restored", typed)
        if draft.get("base") != digest(file.text):
            self._set_conflict(file.text)

    def _key(self) -> str:
        return str(self._file.path) if self._file is not None else ""

    def _show_address(self) -> None:
        if self._file is not None:
            udf, job = self._form.udf, self._fix.job
            names = (self._file.name, udf.name if udf is not None else "", job.id if job else "")
            with self._outcome:  # the button that began it may have gone with the run before
                script("editor.address", *names, self._editor_run.job_id)

    async def _text_changed(self) -> None:
        self._show_unsaved()
        words = await self._offered.follow()
        if words is not None:  # while it is typed, it is no Python most of the time: the form stays as it is
            self._mark_mistake(words)

    def _mark_mistake(self, words: str) -> None:
        """Say where the text is not Python, quietly, and underline that line."""
        name = self._file.name if self._file is not None else ""
        line = error_line(words, name) if words else 0
        if (line, bool(words)) != (self._mistake_line, "ff-hidden" not in self._mistake.classes):
            script("editor.mark", line)
        self._mistake_line = line
        set_text(self._mistake, words.removeprefix(f"{name} is not Python, "))
        show(self._mistake, shown=bool(words))

    def _show_unsaved(self) -> None:
        unsaved = self._file is not None and self._editor.value != self._file.text
        show(self._unsaved, shown=unsaved)

    def _shown_text(self) -> tuple[str, str] | None:
        return None if self._file is None else (self._editor.value, self._file.name)

    async def _look_at_disk(self) -> None:
        """Look at the file now and then, but not while it is opened or saved, which do so themselves."""
        if not self._turn.locked():
            await self._look_now()

    async def _look_now(self) -> None:
        """Show what another program has written into the file, or ask where there is own text as well."""
        file = self._file
        if file is None:
            return
        try:
            disk = await asyncio.to_thread(file.changed_on_disk)
        except InputError:  # it may be gone for a moment, as while git writes it
            self._show_gone(file, is_gone=self._is_missed and await asyncio.to_thread(file.is_gone))
            self._is_missed = True
            return
        self._is_missed = False
        self._show_gone(file, is_gone=False)
        if file is not self._file or disk == self._conflict:
            return
        if disk is None:
            if self._conflict != file.text:  # another program was seen in the middle of writing it
                self._set_conflict(None)
            return
        if self._editor.value == file.text:
            if not await self._show_disk(disk):
                return  # somebody types just now: the next look knows what
            ui.notify(f"{file.name} was changed on disk: its new text is shown.", position="bottom-left")
        elif self._editor.value == disk:
            self._accept(disk)
        else:
            self._set_conflict(disk)

    def _show_gone(self, file: UdfFile, *, is_gone: bool) -> None:
        if file is self._file:
            set_text(self._gone_words, f"{file.name} is no longer in this folder. Its text is here.")
            show(self._gone_note, shown=is_gone)

    async def _write_anew(self) -> None:
        """Put the file back that another program has removed, with the text that stands here."""
        async with self._turn:
            file = self._file
            if file is None or not await self._take_what_is_shown():
                return
            typed = self._editor.value
            if await self._tried(lambda: asyncio.to_thread(file.write_anew, typed)):
                self._show_gone(file, is_gone=False)
                script("editor.saved", typed, digest(typed))
                self._show_unsaved()

    async def _show_disk(self, disk: str, *, whatever_stands: bool = False) -> bool:
        """Have the browser show this text and tell of it as of any that is typed; False where it has been typed into.

        It knows what stands there: what was typed a moment ago may not have come here yet.
        """
        file = self._file
        call = f"window.ff.editor.replace({_quoted(disk)}, {_quoted(digest(disk))}, {_quoted(whatever_stands)})"
        if not await self._asked(call) or file is None or file is not self._file:
            return False
        file.text = disk
        self._set_conflict(None)
        self._show_unsaved()
        return True

    async def _asked(self, call: str, *, timeout_s: float = _BROWSER_S) -> Any:
        """What the browser answers; None where it does not, as while its computer sleeps."""
        try:
            return await ui.run_javascript(call, timeout=timeout_s)
        except TimeoutError:
            return None

    def _accept(self, disk: str) -> None:
        """This is what the disk holds, and the viewer knows."""
        if self._file is not None:
            self._file.text = disk
            self._set_conflict(None)
            script("editor.saved", disk, digest(disk))
            self._show_unsaved()

    def _set_conflict(self, disk: str | None) -> None:
        self._conflict = disk
        show(self._changed, shown=disk is not None)
        if disk is not None and self._file is not None:
            set_text(self._changed_words, f"{self._file.name} has been changed elsewhere, and here as well.")
            set_text(self._diff, difference(disk, self._editor.value))

    async def _take_theirs(self) -> None:
        if self._conflict is not None:
            await self._show_disk(self._conflict, whatever_stands=True)

    def _keep_mine(self) -> None:
        """The text here goes over that of the disk at the next save."""
        if self._conflict is not None:
            self._accept(self._conflict)

    async def _save(self) -> bool:
        """Write what was typed to its file; False where that failed or the viewer has to choose first."""
        async with self._turn:  # while another file is opened, what is shown is that of neither for a moment
            return await self._save_now()

    async def _save_now(self) -> bool:
        file = self._file
        if file is None:
            return False
        if not await self._take_what_is_shown():
            self._say("The browser does not answer, so nothing was saved. Press it again.")
            return False
        typed, before = self._editor.value, file.text
        await self._look_now()
        is_gone = self._is_missed and await asyncio.to_thread(file.is_gone)
        self._show_gone(file, is_gone=is_gone)
        if self._conflict is not None or is_gone:
            return False  # what to do about it stands above the editor
        if file.text not in (before, typed):  # what is typed on meanwhile is the next save's
            self._say(f"{file.name} was changed on disk: its new text is shown. Run it again.")
            return False
        if not await self._tried(lambda: asyncio.to_thread(file.save, typed)):
            return False
        script("editor.saved", typed, digest(typed))
        self._show_unsaved()
        return True

    async def _take_what_is_shown(self) -> bool:
        """Have the very text that the page shows; False where the browser does not tell.

        What is typed comes as changes to what stood there. Where the two are no longer the same text, as when somebody
        types while another file is opened, the changes would make a third of it: then the browser's is taken whole.
        """
        for look in range(_LOOKS):
            shown = await self._asked("window.ff.editor.shown()")
            if shown == digest(self._editor.value.replace("\r", "\n")):  # CodeMirror's lines end in one way
                return True
            if not look:
                continue  # a key may have come right after that answer
            whole = await self._sent_whole()
            if whole is None:
                return False
            self._take_quietly(whole)  # which a key that came meanwhile has been applied to: so it is looked at again
        return True

    def _take_quietly(self, whole: str) -> None:
        """Hold this text. It is what the browser shows, who may type on: it is not sent back to be shown again."""
        editor = self._editor
        editor._codepoints = editor._encode_codepoints(whole)
        editor._send_update_on_value_change = False
        try:
            editor.value = whole
        finally:
            editor._send_update_on_value_change = True

    async def _sent_whole(self) -> str | None:
        """The text that the browser shows, in a request of its own: a socket's message has room for 1 MB."""
        sent = await self._asked(f"window.ff.editor.sendText({_quoted(INPUTS_PATH)})")
        kept = self._shared.uploads.path_of(str(sent.get("upload"))) if isinstance(sent, dict) else None
        return json.loads(await asyncio.to_thread(kept[0].read_bytes)) if kept is not None else None

    async def _saved(self) -> bool:
        """Save what was typed, and read it anew; whether there is a UDF to run then."""
        if not await self._save():
            return False
        file = self._file
        return await self._tried(self._offered.read) and self._form.udf is not None and self._file is file

    def _forget(self) -> None:
        """What there was of another UDF is not shown beside this one."""
        self._process.stop()
        self._editor_run.clear()
        for one in (self._planned, self._outcome, self._trouble, self._to_line):
            show(one, shown=False)
        self._form.offer_submit("")
        self._show_address()

    def _go_to(self, line: int) -> None:
        script("editor.goTo", line)

    def _go_to_mistake(self) -> None:
        script("editor.goTo", self._mistake_line, True)

    async def _go_to_raising(self, line: RaisingLine) -> None:
        """The line that raised, in its own file where that is one of the folder's."""
        name = next((name for name in self._entries if is_file(line.file, name)), None)
        if name is not None:
            await self._open(name)
        self._go_to(line.number)

    # --- running -------------------------------------------------------------------------------------------------

    async def _key_pressed(self, event: Any) -> None:
        if event.args == "save":
            await self._save()
        elif await self._saved():  # Shift+Enter: also on a machine, after a confirmation
            await self._asked_first(lambda machine: self._start(allowed=machine))

    async def _run(self, *, cache: bool = True) -> None:
        """The button: never on a machine, also where the text has just come to ask for one."""
        if await self._saved():
            await self._start(cache=cache, by_key=False)

    async def _plan(self, sent: Any) -> None:
        """Plan the inputs that the browser has just sent."""
        answer = sent if isinstance(sent, dict) else {}
        if "upload" not in answer:
            self._say(str(answer.get("error") or "The inputs did not arrive. Press Plan again."))
        elif await self._saved():
            self._upload = str(answer["upload"])
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
        answer = await self._carried_out("submit", self._one_input, allowed, cache=cache)
        if answer is None:
            return
        if answer.machine and by_key:
            await self._asked_first(lambda machine: self._start(allowed=machine), answer.machine)
        elif answer.machine:
            self._say(f"It runs on {answer.machine}. Press Shift+Enter to run it: you are asked before it starts.")
        else:
            self._editor_run.follow(answer.job)
            self._show_address()

    async def _plan_now(self, allowed: str | None) -> None:
        answer = await self._carried_out("plan", self._many_inputs, allowed)
        if answer is not None and answer.machine:
            await self._asked_first(self._plan_now, answer.machine)
        elif answer is not None:
            set_text(self._planned, answer.plan)
            show(self._planned, shown=True)
            self._form.offer_submit(f"Submit {answer.count:,} {'input' if answer.count == 1 else 'inputs'}")

    async def _submit_now(self, allowed: str | None) -> None:
        answer = await self._carried_out("submit", self._many_inputs, allowed)
        if answer is not None and answer.machine:
            await self._asked_first(self._submit_now, answer.machine)
        elif answer is not None:
            with self._output, element("div", "ff-row").props("role=status"):
                text(f"Submitted {answer.count:,} {'run' if answer.count == 1 else 'runs'}:", "", "span")
                link(f"job {answer.job}", f"/job/{answer.job}")

    async def _run_failed(self, job: FailedJob) -> None:
        """Run the failed runs of a job with the code that is shown; its other results stay."""
        if not await self._saved():
            if self._file is not None and self._form.udf is None:
                self._say(f"{self._file.name} has no UDF: open the file that has {job.name}.")
            return

        async def go_on(_: str | None) -> None:
            answer = await self._carried_out("retry", lambda: {"job": job.id}, None)
            if answer is not None:
                with self._output, element("div", "ff-row").props("role=status"):
                    runs = f"{answer.count:,} {'run' if answer.count == 1 else 'runs'}"
                    text(f"Running {runs} with the new code:", "", "span")
                    link(f"job {job.id}", f"/job/{job.id}")

        with self._dialogs:
            asked = job.machine is not None and ask(job.machine, self._engine, lambda: go_on(None))
        if not asked:
            await go_on(None)

    def _one_input(self) -> dict[str, Any]:
        return {"inputs": [self._form.arguments()]}

    def _many_inputs(self) -> dict[str, Any]:
        kept = self._shared.uploads.path_of(self._upload)
        if kept is None:
            raise InputError("The inputs are no longer here.", next_step="press Plan again.")
        path, name = kept
        return {"path": str(path), "name": name, "others": self._form.others(), "first": self._form.first}

    async def _carried_out(
        self, act: str, inputs: Callable[[], dict[str, Any]], allowed: str | None, *, cache: bool = True
    ) -> UdfAnswer | None:
        """Have a process do it, and say so meanwhile; None where it failed or was stopped."""
        file, udf = self._file, self._form.udf
        if file is None or udf is None:
            return None
        answers: list[UdfAnswer | None] = []

        async def carry_out() -> None:
            order = Order(file.name, udf.name, act, inputs(), self._engine, allowed, cache, digest(file.text))
            self._editor_run.clear()
            self._show_address()
            set_text(self._doing, f"{'Planning' if act == 'plan' else 'Starting'} {udf.name} …")
            for one in (self._outcome, self._busy):
                show(one, shown=True)
            with self._outcome:  # which stays, whatever has begun it
                script("editor.showOutcome")
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
        show(self._to_line, shown=False)
        return True

    def _say(self, words: str) -> None:
        set_text(self._trouble, words)
        show(self._trouble, shown=True)
        self._trouble_line = error_line(words, self._file.name if self._file is not None else "")
        show(self._to_line, shown=self._trouble_line > 0)


def _quoted(value: Any) -> str:
    return json.dumps(value)
