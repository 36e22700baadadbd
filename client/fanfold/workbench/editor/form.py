"""The side of the Workbench page: which UDF, its parameters as a form, and the buttons that run it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from nicegui.element import Element

from fanfold.core.pricing import prices
from fanfold.engines.base import engine_for
from fanfold.workbench.editor import fields as form
from fanfold.workbench.editor.inputs import SUFFIXES
from fanfold.workbench.editor.open_run import InputTexts
from fanfold.workbench.editor.shown_fields import ShownFields
from fanfold.workbench.editor.udf_source import FoundUdf
from fanfold.workbench.layout import button, choice, dialog_named, element, script, set_text, show, text

Press = Callable[[], Awaitable[None]]
#: Where the inputs are sent to before they are planned.
INPUTS_PATH = "/workbench/inputs"


class EditorForm:
    """One viewer's form. It is changed only where it has to be: what is typed stays, and where.

    Only what somebody typed or chose is sent: a default stays the UDF's own, whatever its type.
    """

    def __init__(
        self, *, run: Press, plan: Callable[[Any], Awaitable[None]], submit: Press, chosen: Callable[[], None]
    ) -> None:
        self._run, self._plan, self._submit_all, self._chosen = run, plan, submit, chosen
        self._udfs: dict[str, FoundUdf] = {}
        #: The UDF that is chosen; None where the file has none.
        self.udf: FoundUdf | None = None
        #: The one that the page shows, and whether it shows any, or that there is none.
        self._built: FoundUdf | None = None
        self._is_built = False
        self._wanted = self._shown_of = ""
        self._head = element("div", "ff-stack")
        with element("div", "ff-stack ff-hidden") as self._body:
            self._note = text("", "ff-muted ff-small")
            self._fields = ShownFields(self._typed)
            self._run_button = button("Run (Shift+Enter)", run, "ff-first")
            self._machine = text("", "ff-note")
            with element("div", "ff-stack") as self._many:
                self._submit = self._build_many()

    def begin_anew(self, given: Mapping[str, str], nulls: list[str], udf: str) -> None:
        """Another file is open: the form has what a draft of that file kept, and `udf` is chosen where it is there."""
        self._udfs, self.udf = {}, None
        self._built, self._is_built, self._wanted, self._shown_of = None, False, udf, ""
        self._fields.begin_anew(given, nulls)
        self._head.clear()
        show(self._body, shown=False)
        script("editor.fillInputs")

    def fill(self, given: InputTexts) -> None:
        """Put these into the form, in the place of what stands there."""
        texts = {
            one.name: _shown(one, given.texts[one.name], is_text=one.name in given.strings)
            for one in self._of_udf()
            if one.name in given.texts
        }
        self._fields.begin_anew(texts, given.nulls)
        self._is_built = False
        self._choose(self.udf.name if self.udf is not None else "")

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
        return self._arguments(self._of_udf())

    def others(self) -> dict[str, Any]:
        """What the form gives to each of many inputs: all but the first parameter. Raises `InputError`."""
        return self._arguments(self._of_udf()[1:])

    def _arguments(self, fields: tuple[form.Field, ...]) -> dict[str, Any]:
        self._fields.check(fields)
        return form.arguments(fields, self._fields.given, frozenset(self._fields.nulls))

    @property
    def first(self) -> str:
        """The parameter that plain inputs go to."""
        return next((one.name for one in self._of_udf() if one.kind != "mapping"), "")

    def offer_submit(self, label: str) -> None:
        """Offer to submit what was planned; an empty label takes that back."""
        set_text(self._submit, label)
        show(self._submit, shown=bool(label))

    def _of_udf(self) -> tuple[form.Field, ...]:
        return () if self.udf is None else self.udf.fields

    def _choose(self, name: str) -> None:
        self.udf = self._udfs.get(name)
        if self._is_built and self.udf == self._built:
            return
        if self._built is not None and (self.udf is None or self.udf.name != self._built.name):
            self._chosen()
        self._built, self._is_built = self.udf, True
        # Where there is none for now, as while a decorator is typed, it may be back in a moment.
        self._fields.show(self._of_udf(), of_same_udf=self.udf is None or name == self._shown_of)
        self._shown_of = name or self._shown_of
        self._show_around()
        self._typed()

    def _typed(self) -> None:
        """Have the browser keep what was typed, beside the text. What was planned is not what stands there now."""
        self.offer_submit("")
        udf = "" if self.udf is None else self.udf.name
        script("editor.setForm", self._fields.given, sorted(self._fields.nulls), udf)

    def _build_head(self, name: str) -> None:
        self._head.clear()
        with self._head:
            if len(self._udfs) > 1:
                choice("UDF", {one: one for one in self._udfs}, value=name, on_change=self._choose)
            elif name:
                text(name, "", "h2")

    def _show_around(self) -> None:
        """What stands above and below the fields: what kind of function it is, and how it is run."""
        udf = self.udf
        note = "This file has no function with @fanfold.udf, and no other that could be run."
        if udf is not None:
            note = f"This file has no function with @fanfold.udf. Run calls {udf.name} as it stands, realtime."
        set_text(self._note, note)
        show(self._note, shown=udf is None or udf.is_plain)
        machine = None if udf is None else udf.instance_type
        on_machine = machine not in (None, "realtime")
        words = f"It runs on {machine}. Press Shift+Enter to run it: you are asked before the machine starts."
        set_text(self._machine, words)
        show(self._machine, shown=on_machine)
        show(self._run_button, shown=udf is not None and not on_machine)
        show(self._many, shown=udf is not None)
        show(self._body, shown=True)

    def _build_many(self) -> Element:
        """The inputs of many runs, which stay while the form changes; returns what submits them."""
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
            return button("", self._submit_all, "ff-first ff-hidden")


def _shown(one: form.Field, text: str, *, is_text: bool) -> str:
    """A value's text as the field shows it: a choice by what it is called, a text beside numbers as one."""
    if one.numbers and is_text:
        return form.quoted_number(text)
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
