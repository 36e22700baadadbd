"""The side of the Workbench page: which UDF, its parameters as a form, and the buttons that run it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nicegui.element import Element

from fanfold.core.pricing import prices
from fanfold.engines.base import engine_for
from fanfold.errors import InputError
from fanfold.workbench.editor import fields as form
from fanfold.workbench.editor.inputs import SUFFIXES
from fanfold.workbench.editor.udf_source import FoundUdf
from fanfold.workbench.layout import button, choice, dialog_named, element, field, script, set_text, show, text

#: The kinds of fields that the browser reads, and what they hold.
_READ_AS = {"number": "number", "date": "date", "datetime-local": "moment"}
Press = Callable[[], Awaitable[None]]
#: What is told of a field that the browser reads, a number or a date: its text, and whether it is half typed, which the
#: browser gives as no text at all. No event of its own tells of the half of a date.
_READ = """(e) => { const said = (e.target.validity.badInput ? "!" : "=") + e.target.value;
  if (said !== (e.target.ffSaid || "=" + e.target.defaultValue)) { e.target.ffSaid = said; emit(said); } }"""
#: Where the inputs are sent to before they are planned.
INPUTS_PATH = "/workbench/inputs"


class EditorForm:
    """One viewer's form. It is built anew only where it has to change: what is typed and where is kept.

    Only what somebody typed or chose is sent: a default stays the UDF's own, whatever its type.
    """

    def __init__(
        self, *, run: Press, plan: Callable[[Any], Awaitable[None]], submit: Press, chosen: Callable[[], None]
    ) -> None:
        self._run, self._plan, self._submit_all, self._chosen = run, plan, submit, chosen
        self._udfs: dict[str, FoundUdf] = {}
        #: The UDF that is chosen; None where the file has none.
        self.udf: FoundUdf | None = None
        self._given: dict[str, str] = {}
        self._nulls: set[str] = set()
        #: Fields that hold half of a number or of a date.
        self._unfinished: set[str] = set()
        self._built: FoundUdf | None = None
        self._is_built = False
        self._submit: Element | None = None
        self._head = element("div", "ff-stack")
        self._body = element("div", "ff-stack")

    def begin_anew(self, given: Mapping[str, str], nulls: list[str], udf: str) -> None:
        """Another file is open: the form has what a draft of that file kept, and `udf` is chosen where it is there."""
        self._udfs, self.udf, self._given, self._nulls = {}, None, dict(given), set(nulls)
        self._built, self._is_built, self._wanted = None, False, udf
        self._head.clear()
        self._body.clear()

    def fill(self, given: Mapping[str, str], nulls: list[str]) -> None:
        """Put these into the form, in the place of what stands there."""
        self._given = {one.name: _shown(one, given[one.name]) for one in self._fields() if one.name in given}
        self._nulls = set(nulls)
        self._is_built = False
        self._choose(self.udf.name if self.udf is not None else "")
        self._keep()

    def offer(self, udfs: dict[str, FoundUdf]) -> None:
        """Let the user choose among these; the one that was chosen stays, as far as it is still there."""
        name = self.udf.name if self.udf is not None else self._wanted
        name = name if name in udfs else next(iter(udfs), "")
        anew = not self._udfs or list(udfs) != list(self._udfs)
        self._udfs = udfs
        if anew:
            self._build_head(name)
        self._choose(name)

    def arguments(self) -> dict[str, Any]:
        """What was typed into the form. Raises `InputError`."""
        return self._arguments(self._fields())

    def others(self) -> dict[str, Any]:
        """What the form gives to each of many inputs: all but the first parameter. Raises `InputError`."""
        return self._arguments(self._fields()[1:])

    def _arguments(self, fields: tuple[form.Field, ...]) -> dict[str, Any]:
        for one in fields:
            if one.name in self._unfinished:
                next_step = "write all of it, or empty the field to leave it to the UDF."
                raise InputError(f"{one.name} is half typed, and no {_READ_AS[one.kind]} yet.", next_step=next_step)
        return form.arguments(fields, self._given, frozenset(self._nulls))

    @property
    def first(self) -> str:
        """The parameter that plain inputs go to."""
        return next((one.name for one in self._fields() if one.kind not in ("mapping", "rest")), "")

    def offer_submit(self, label: str) -> None:
        """Offer to submit what was planned; an empty label takes that back."""
        if self._submit is not None:
            set_text(self._submit, label)
            show(self._submit, shown=bool(label))

    def _fields(self) -> tuple[form.Field, ...]:
        return () if self.udf is None else self.udf.fields

    def _choose(self, name: str) -> None:
        self.udf = self._udfs.get(name)
        if self._is_built and self.udf == self._built:
            return
        before = {} if self._built is None else {one.name: one for one in self._built.fields}
        if before:
            stays = {one.name for one in self._fields() if before.get(one.name) == one}
            self._given = {name: value for name, value in self._given.items() if name in stays}
            self._nulls &= stays
        if self._built is not None and (self.udf is None or self.udf.name != self._built.name):
            self._chosen()
        self._built, self._is_built = self.udf, True
        self._body.clear()
        self._unfinished.clear()
        with self._body:
            self._build_body()
        self._keep()

    def _keep(self) -> None:
        """Have the browser keep what was typed, beside the text."""
        udf = "" if self.udf is None else self.udf.name
        script("editor.setForm", self._given, sorted(self._nulls), udf)

    def _build_head(self, name: str) -> None:
        self._head.clear()
        with self._head:
            if len(self._udfs) > 1:
                choice("UDF", {one: one for one in self._udfs}, value=name, on_change=self._choose)
            elif name:
                text(name, "", "h2")

    def _build_body(self) -> None:
        self._submit = None
        if self.udf is None:
            text("This file has no function with @fanfold.udf, and no other that could be run.", "ff-muted")
            return
        if self.udf.is_plain:
            note = f"This file has no function with @fanfold.udf. Run calls {self.udf.name} as it stands, realtime."
            text(note, "ff-muted ff-small")
        for one in self.udf.fields:
            self._build_field(one)
        machine = self.udf.instance_type
        if machine in (None, "realtime"):
            button("Run (Shift+Enter)", self._run, "ff-first")
        else:
            note = f"It runs on {machine}. Press Shift+Enter to run it: you are asked before the machine starts."
            text(note, "ff-note")
        self._build_many()

    def _build_field(self, one: form.Field) -> None:
        def typed(value: str) -> None:
            self._nulls.discard(one.name)
            if value == "":
                self._given.pop(one.name, None)
            else:
                self._given[one.name] = value
            self._keep()

        value = self._given.get(one.name, one.default)
        if one.kind == "rest":
            text(f"*{one.name}: inputs are passed by name, so this parameter always stays empty.", "ff-muted ff-small")
        elif one.kind == "choice":
            default = f"as the UDF says{f' ({one.default})' if one.default else ''}"
            options = {"": default, **{label: label for label, _ in one.options}}
            choice(one.label, options, value=value, on_change=typed)
        else:
            self._build_text(one, value, typed)
        if one.takes_none:
            self._build_none(one.name)

    def _build_text(self, one: form.Field, value: str, typed: Callable[[str], None]) -> None:
        """A field to type into. Emptied, it says what the UDF takes then; a default of several lines has their room."""

        def read(said: str) -> None:
            self._unfinished.add(one.name) if said.startswith("!") else self._unfinished.discard(one.name)
            typed(said[1:])

        more = {"step": "any"} if one.kind == "number" else {}
        if one.kind == "mapping" or one.computed or one.default:
            more["placeholder"] = '{"name": value, ...}' if one.kind == "mapping" else one.computed or one.default
        if one.kind in _READ_AS:
            made = field(one.label, value=value, on_change=None, kind="input", type=one.kind, **more)
            for event in ("input", "change", "focusout", "keyup"):
                made.on(event, lambda event: read(str(event.args)), js_handler=_READ)
        elif "\n" in value:
            field(one.label, value=value, on_change=typed, kind="textarea", **more)
        else:
            field(one.label, value=value, on_change=typed, type="text", **more)

    def _build_none(self, name: str) -> None:
        def ticked(is_none: bool) -> None:
            self._nulls.add(name) if is_none else self._nulls.discard(name)
            self._keep()

        with element("label", "ff-row ff-small ff-muted"):
            box = element("input").props(f'type=checkbox aria-label="{name} is None"')
            if name in self._nulls:
                box._props["checked"] = True
            text("None", "", "span")
        box.on("change", lambda event: ticked(bool(event.args)), js_handler="(e) => emit(e.target.checked)")

    def _build_many(self) -> None:
        text("Many inputs", "", "h2")
        with element("label", "ff-field"):
            text("One a line, for the first parameter; or JSON objects; or range(...)", "", "span")
            box = element("textarea").props("data-inputs")
        with element("label", "ff-field"):
            text("or a file, one input a row", "", "span")
            chosen = element("input").props("type=file data-inputs-file")
            chosen._props["accept"] = ",".join(SUFFIXES)
        # What was planned is not what stands there now. Each change is told at once: one that came late would take back
        # the offer of a plan that was made meanwhile.
        for one, event in ((box, "input"), (chosen, "change")):
            one.on(event, lambda _: self.offer_submit(""), js_handler="() => emit()")
        with element("div", "ff-row"):
            plan = text("Plan", "ff-button", "button").props("type=button")
            sending = f"() => window.ff.editor.sendInputs('{INPUTS_PATH}').then(emit)"
            plan.on("click", lambda event: self._plan(event.args), js_handler=sending)
            self._submit = button("", self._submit_all, "ff-first ff-hidden")
        script("editor.fillInputs")


def _shown(one: form.Field, text: str) -> str:
    """A value's text as the field shows it: a choice by what it is called."""
    return next((label for label, value in one.options if form.text_of(value) == text), text)


# Asking before a machine is started: which, for what price, and how long it takes to come up.


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
        if not described.costs_money:
            text(f"On this machine it costs nothing and starts at once. On AWS: {price}, up in 30 s or more.")
        else:
            text(f"It costs {price} while it is up, and takes 30 s or more to start.")
        with element("div", "ff-row"):
            button(f"Start {machine.name}", confirmed, "ff-first")
            button("Not now", dialog.close)
    dialog.open()
    return True
