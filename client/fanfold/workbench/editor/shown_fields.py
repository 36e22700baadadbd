"""The fields of a form on the page. One that stays is left as it is, for somebody may be typing in it just now."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date, datetime

from nicegui.element import Element

from fanfold.contract.records import NamedTuple
from fanfold.errors import InputError
from fanfold.workbench.editor.fields import Field
from fanfold.workbench.layout import choice, element, field, set_text, text

#: The kinds of fields that the browser reads, and what they hold.
_READ_AS = {"number": "number", "date": "date", "datetime-local": "moment"}
#: What a browser takes into such a field; anything else, as a time with its zone, it would drop without a word.
_TAKEN = {
    "number": re.compile(r"-?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "datetime-local": re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,3})?)?"),
}
_READERS: dict[str, Callable[[str], object]] = {
    "number": float,
    "date": date.fromisoformat,
    "datetime-local": datetime.fromisoformat,
}
#: How a value is written for which a browser has no field of its own, by what its annotation begins with.
_WRITTEN = {"list": "[1, 2]", "tuple": "(1, 2)", "set": "[1, 2]", "frozenset": "[1, 2]", "dict": '{"name": 1}'}
#: The same for what takes any number of values: `*args`, `**kwargs`.
_MANY = {"rest": "[value, ...]", "mapping": '{"name": value, ...}'}
#: What is told of a field that the browser reads, a number or a date: its text, and whether it is half typed, which the
#: browser gives as no text at all. No event of its own tells of the half of a date.
_READ = """(e) => { const said = (e.target.validity.badInput ? "!" : "=") + e.target.value;
  const known = e.target.ffSaid ?? (e.target.ffTyped ? null : "=" + e.target.defaultValue);
  if (said !== known) { e.target.ffSaid = said; emit(said); } }"""


class ShownFields:
    """What stands in a form, and what was typed and chosen there.

    The page is changed only where the form changes: a field of the same kind is given its new words in its place, and
    one that gives way to another kind hands over what was typed (`editor.js` does, which knows of it first).
    """

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        #: By parameter, what was typed or chosen; and those that were given None.
        self.given: dict[str, str] = {}
        self.nulls: set[str] = set()
        #: What was typed into fields that are gone: a name that is typed anew in the code may be back in a moment.
        self._remembered: dict[str, str] = {}
        self._unfinished: set[str] = set()
        self._box = element("div", "ff-stack")
        self._shown: dict[str, _ShownField] = {}
        #: Fields of another file, or of another UDF, are others, though they may have the same name.
        self._generation = 0

    def begin_anew(self, given: Mapping[str, str], nulls: list[str]) -> None:
        """Show no field any more; those that come hold these."""
        self.given, self.nulls = dict(given), set(nulls)
        self._unfinished.clear()
        self._remembered.clear()
        self._shown.clear()
        self._box.clear()
        self._generation += 1

    def show(self, fields: tuple[Field, ...], *, of_same_udf: bool) -> None:
        """Show these fields, with what was typed into those that were there as far as it fits them."""
        if not of_same_udf:
            self._generation += 1
        self._keep_what_fits(fields, of_same_udf=of_same_udf)
        before, self._shown = self._shown, {}
        for one in fields:
            self._shown[one.name] = shown = self._field_for(one, before.get(one.name), of_same_udf=of_same_udf)
            shown.name_control(f"{self._generation}.{one.name}")
        for name, shown in before.items():
            if self._shown.get(name) is not shown:
                shown.root.delete()
        for place, shown in enumerate(self._shown.values()):
            if self._box.default_slot.children.index(shown.root) != place:
                shown.root.move(target_index=place)

    def _field_for(self, one: Field, shown: _ShownField | None, *, of_same_udf: bool) -> _ShownField:
        if shown is not None and shown.field == one:
            return shown
        if shown is not None and of_same_udf and shown.can_become(one, self.text_of(one)):
            shown.become(one, self.text_of(one))
            return shown
        self._unfinished.discard(one.name)
        return _ShownField(self, one, self._box)

    def check(self, fields: tuple[Field, ...]) -> None:
        """Raises `InputError` where one of these is half typed."""
        for one in fields:
            if one.name in self._unfinished:
                next_step = "write all of it, or empty the field to leave it to the UDF."
                raise InputError(f"{one.name} is half typed, and no {_READ_AS[one.kind]} yet.", next_step=next_step)

    def _keep_what_fits(self, fields: tuple[Field, ...], *, of_same_udf: bool) -> None:
        known = {**self._remembered, **self.given}
        if self._shown and not of_same_udf:
            known = {one.name: known[one.name] for one in fields if one.name in known and self._is_shown(one)}
        self.given = {one.name: known[one.name] for one in fields if _fits(one, known.get(one.name))}
        self._remembered = {name: value for name, value in known.items() if name not in self.given}
        if fields:
            self.nulls &= {one.name for one in fields if one.takes_none}
            self._unfinished &= {one.name for one in fields if one.kind in _READ_AS}

    def _is_shown(self, one: Field) -> bool:
        shown = self._shown.get(one.name)
        return shown is not None and shown.field == one

    def text_of(self, one: Field) -> str:
        """What a field shows: what was typed, else the default."""
        return self.given.get(one.name, one.default)

    def typed(self, name: str, value: str) -> None:
        """Somebody has typed or chosen this; a field that was emptied is the UDF's again."""
        self.nulls.discard(name)
        self._remembered.pop(name, None)
        if value == "":
            self.given.pop(name, None)
        else:
            self.given[name] = value
        self._changed()

    def read(self, name: str, said: str) -> None:
        """The browser has read this out of a field, or half of it."""
        self._unfinished.add(name) if said.startswith("!") else self._unfinished.discard(name)
        self.typed(name, said[1:])

    def ticked(self, name: str, *, is_none: bool) -> None:
        """None is given, or no more."""
        self.nulls.add(name) if is_none else self.nulls.discard(name)
        self._changed()


class _Shape(NamedTuple):
    """What an element of the page cannot change: with another shape it is another element."""

    kind: str
    options: tuple[str | bool, ...]
    takes_none: bool


class _ShownField:
    """One field on the page."""

    def __init__(self, fields: ShownFields, one: Field, box: Element) -> None:
        self.field = one
        self._fields = fields
        self._words: Element | None = None
        self._control: Element | None = None
        with box, element("div", "ff-stack").props("data-field") as self.root:
            self._build(one)

    def can_become(self, one: Field, value: str) -> bool:
        """Whether that field can stand in this one's place; a value of several lines needs the room for them."""
        return _shape(one, value) == self._shape and ("\n" not in value or self._tag == "textarea")

    def become(self, one: Field, value: str) -> None:
        """Say what is new of it. What has been typed into it stays, and so do the focus and what is marked."""
        self.field = one
        if self._words is not None:
            set_text(self._words, one.label)
        if self._control is not None and one.kind != "choice":
            self._control._props.update({"defaultValue": value, **_hint(one)})
            if not _hint(one):
                self._control._props.pop("placeholder", None)
            self._control.update()

    def name_control(self, key: str) -> None:
        """Give what is typed into a name, by which one that takes its place is known."""
        if self._control is not None and self._control._props.get("data-param") != key:
            self._control._props["data-param"] = key
            self._control.update()

    def _build(self, one: Field) -> None:
        value = self._fields.text_of(one)
        self._shape = _shape(one, value)
        self._tag = "textarea" if "\n" in value and self._shape.kind not in _READ_AS else "input"
        if one.kind == "choice":
            says = f"as the UDF says{f' ({one.default})' if one.default else ''}"
            default = "choose one" if one.required else says
            options = {"": default, **{label: label for label, _ in one.options}}
            self._control = choice(one.label, options, value=value, on_change=self._typed)
        else:
            self._control = self._build_input(one, value)
        if self._control is not None and self._control.parent_slot is not None:
            self._words = self._control.parent_slot.children[0]
        if one.takes_none:
            self._build_none(one.name)

    def _build_input(self, one: Field, value: str) -> Element:
        """A field to type into. Emptied, it says what the UDF takes then; a default of several lines has their room."""
        if self._shape.kind not in _READ_AS:
            kind = {"type": "text"} if self._tag == "input" else {}
            return field(one.label, value=value, on_change=self._typed, kind=self._tag, **kind, **_hint(one))
        made = field(one.label, value=value, on_change=None, kind="input", type=one.kind, **_hint(one))
        if one.kind == "number":
            made._props["step"] = "any"
        for event in ("input", "change", "focusout", "keyup"):
            made.on(event, lambda event: self._fields.read(one.name, str(event.args)), js_handler=_READ)
        return made

    def _typed(self, value: str) -> None:
        self._fields.typed(self.field.name, value)

    def _build_none(self, name: str) -> None:
        with element("label", "ff-row ff-small ff-muted"):
            box = element("input").props(f'type=checkbox aria-label="{name} is None"')
            if name in self._fields.nulls:
                box._props["checked"] = True
            text("None", "", "span")
        box.on(
            "change",
            lambda event: self._fields.ticked(name, is_none=bool(event.args)),
            js_handler="(e) => emit(e.target.checked)",
        )


def _shape(one: Field, value: str) -> _Shape:
    # What a choice stands at when nobody chose is called by its default.
    options: tuple[str | bool, ...] = (
        (one.required, one.default, *(label for label, _ in one.options)) if one.kind == "choice" else ()
    )
    return _Shape(_shown_kind(one, value), options, one.takes_none)


def _shown_kind(one: Field, value: str) -> str:
    """The kind of field that can show a value: text, where a browser's own field would drop it."""
    has_zone = one.kind == "datetime-local" and "tzinfo" in one.computed
    is_taken = one.kind not in _TAKEN or not value or bool(_TAKEN[one.kind].fullmatch(value))
    return one.kind if is_taken and not has_zone else "text"


def _hint(one: Field) -> dict[str, str]:
    """What an empty field says: what the UDF takes then, or how a value is written."""
    hint = _MANY.get(one.kind, "") or one.computed or one.default
    if one.numbers and not hint:
        hint = "7 is a number, '7' a text"
    elif one.kind == "text" and not hint:
        hint = _WRITTEN.get(one.annotation.partition("[")[0].rpartition(".")[2], "")
    return {"placeholder": hint} if hint and one.kind != "choice" else {}


def _fits(one: Field, value: str | None) -> bool:
    """Whether there is a text, and it can stand in a field."""
    if value is None:
        return False
    if one.kind == "choice":
        return any(label == value for label, _ in one.options)
    with suppress(ValueError):
        return one.kind not in _READERS or bool(str(_READERS[one.kind](value)))
    return False
