"""The side of the Workbench page: which UDF, its parameters as a form, and the buttons that run it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from nicegui.element import Element

from fanfold.core.pricing import prices
from fanfold.engines.select import engine_for
from fanfold.workbench.editor import fields as form
from fanfold.workbench.editor.udf_source import FoundUdf
from fanfold.workbench.layout import button, choice, dialog_named, element, field, set_text, show, text

Press = Callable[[], Awaitable[None]]


class EditorForm:
    """One viewer's form. It is built anew only where it has to change: what is typed and where is kept."""

    def __init__(self, *, run: Press, plan: Press, submit: Press, chosen: Callable[[], None]) -> None:
        self._run, self._plan, self._submit_all, self._chosen = run, plan, submit, chosen
        self._udfs: dict[str, FoundUdf] = {}
        #: The UDF that is chosen; None where the file has none.
        self.udf: FoundUdf | None = None
        self._given: dict[str, str] = {}
        self._inputs = ""
        self._built: FoundUdf | None = None
        self._is_built = False
        self._submit: Element | None = None
        self._head = element("div", "ff-stack")
        self._body = element("div", "ff-stack")

    def begin_anew(self) -> None:
        """Another file is open: nothing of the last one's is kept."""
        self._udfs, self.udf, self._given, self._inputs = {}, None, {}, ""
        self._built, self._is_built = None, False
        self._head.clear()
        self._body.clear()

    def offer(self, udfs: dict[str, FoundUdf]) -> None:
        """Let the user choose among these; the one that was chosen stays, as far as it is still there."""
        name = self.udf.name if self.udf is not None else ""
        name = name if name in udfs else next(iter(udfs), "")
        anew = not self._udfs or list(udfs) != list(self._udfs)
        self._udfs = udfs
        if anew:
            self._build_head(name)
        self._choose(name)

    def arguments(self) -> dict[str, str]:
        """What stands in the form."""
        return form.arguments(self._fields(), self._given)

    def all_inputs(self) -> list[dict[str, Any]]:
        """The inputs that are written one a line. Raises `InputError`."""
        return form.inputs_from(self._inputs, self._fields(), self._given)

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
        kept = {one.name: self._given[one.name] for one in self._fields() if before.get(one.name) == one}
        self._given = {one.name: kept.get(one.name, one.default) for one in self._fields()}
        if self._built is not None and (self.udf is None or self.udf.name != self._built.name):
            self._chosen()
        self._built, self._is_built = self.udf, True
        self._body.clear()
        with self._body:
            self._build_body()

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
            text("This file has no function with @fanfold.udf.", "ff-muted")
            return
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
            self._given[one.name] = value

        value = self._given[one.name]
        if one.kind == "choice":
            options = {"": "as the UDF says", **{option: option for option in one.options}}
            choice(one.label, options, value=value, on_change=typed)
            return
        more = {"step": "any"} if one.kind == "number" else {}
        if one.computed:
            more["placeholder"] = one.computed
        field(one.label, value=value, on_change=typed, type=one.kind, **more)

    def _build_many(self) -> None:
        def typed(value: str) -> None:
            self._inputs = value
            self.offer_submit("")  # what was planned is not what stands there now

        text("Many inputs", "", "h2")
        label = "One a line, for the first parameter; or JSON objects"
        field(label, value=self._inputs, on_change=typed, kind="textarea")
        with element("div", "ff-row"):
            button("Plan", self._plan)
            self._submit = button("", self._submit_all, "ff-first ff-hidden")


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
