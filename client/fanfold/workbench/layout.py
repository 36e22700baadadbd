"""What every page has: its head, the bar with the way to the others, and words for what is empty, loading or stale."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from nicegui import ui
from nicegui.element import Element

from fanfold.errors import printable
from fanfold.settings import current
from fanfold.workbench.following import SharedReader

_PAGES = (("Jobs", "/"), ("Totals", "/totals"), ("Workbench", "/workbench"))
_THEME_COOKIE = "fanfold_light"
#: What `printable` writes out, but for the ends of lines.
_STEERING = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_THEMES: dict[str | None, bool | None] = {"dark": True, "light": False}


def add_head() -> None:
    """Give all pages the style and the script that lie beside this module."""
    folder = files("fanfold.workbench") / "static"
    ui.add_head_html(f"<style>{(folder / 'page.css').read_text('utf-8')}</style>", shared=True)
    for name in ("page.js", "editor.js", "logs.js", "results.js"):
        ui.add_head_html(f"<script>{(folder / name).read_text('utf-8')}</script>", shared=True)


@contextmanager
def page_layout(here: str, engine: str, light: str | None) -> Iterator[Element]:
    """A page with the bar on top; `here` names it. `light` is the cookie with the user's choice of light or dark."""
    ui.dark_mode(_THEMES.get(light))
    with element("header", "ff-bar"):
        link("Fanfold", "/", "ff-brand")
        with element("nav", "ff-row").props('aria-label="Pages"'):
            for name, path in _PAGES:
                entry = link(name, path)
                if name == here:
                    entry.props('aria-current="page"')
        text(f"{engine} · {current().owner}", "ff-where")
        button("Light / dark", _switch, "ff-light")
    with element("div", "ff-main") as main:
        yield main


def theme_cookie() -> str:
    """The cookie that keeps the choice of light or dark."""
    return _THEME_COOKIE


def element(tag: str, classes: str = "") -> Element:
    """An HTML element."""
    return ui.element(tag).classes(classes)


def text(content: str, classes: str = "", tag: str = "div") -> Element:
    """Text that is shown as it is, whatever it holds."""
    return set_text(element(tag, classes), content)


def set_text(target: Element, content: str) -> Element:
    """Let an element hold this text; it is set as text, so that nothing in it can become an element.

    What steers a terminal or turns the direction of what follows is written out, as `\\x1b`.
    """
    if _STEERING.search(content):
        content = printable(content)
    if target._text != content:
        target._text = content
        target.update()
    return target


def link(label: str, path: str, classes: str = "ff-link") -> Element:
    """A link to another page."""
    anchor = text(label, classes, "a")
    anchor._props["href"] = path
    return anchor


def button(label: str, press: Callable[..., Any], classes: str = "") -> Element:
    """A button; `press` may be a coroutine."""
    made = text(label, f"ff-button {classes}", "button").props("type=button")
    return made.on("click", lambda _: press())


def copy_button(label: str, snippet: str) -> Element:
    """A button that puts a text onto the clipboard, and says whether the browser did so.

    The page copies at once: some browsers allow it only while they handle the click.
    """

    def told(event: Any) -> None:
        if event.args:
            ui.notify(f"Copied: {snippet}", position="bottom-left")
            return
        words = "The browser did not let this page copy. Select the line below and copy it (Ctrl+C, on a Mac Cmd+C):"
        ui.notify(
            words,
            caption=snippet,
            type="warning",
            position="bottom-left",
            multi_line=True,
            timeout=0,
            close_button=True,
        )

    made = text(label, "ff-button", "button").props("type=button")
    return made.on("click", told, js_handler=f"() => window.ff.copy({_json(snippet)}).then(emit)")


def field(
    label: str,
    *,
    value: str = "",
    on_change: Callable[[str], Any] | None = None,
    kind: str = "input",
    kept: str = "",
    **more: str,
) -> Element:
    """A labelled input; `on_change` is called with its text as it is typed, which `kept` names in the address."""
    with element("label", "ff-field"):
        text(label, "", "span")
        made = element(kind)
        made._props["autocomplete"] = "off"  # what is chosen stands in the address; the browser would put back its own
        # Not `value`: Vue puts that back with every drawing, whatever has been typed since.
        made._props.update({"defaultValue": value, **more})
    if on_change is not None:
        made.on("input", lambda event: on_change(str(event.args)), js_handler=_telling(kept))
    return made


def choice(
    label: str, options: dict[str, str], *, value: str = "", kept: str = "", on_change: Callable[[str], Any]
) -> Element:
    """A labelled choice among options, each a value and what it is called; `kept` names it in the address."""
    with element("label", "ff-field"):
        text(label, "", "span")
        with element("select").props("autocomplete=off") as made:
            for key, name in options.items():
                option = text(name, "", "option")
                option._props["value"] = key
                if key == value:
                    option._props["selected"] = True
    made.on("change", lambda event: on_change(str(event.args)), js_handler=_telling(kept))
    return made


def _telling(kept: str) -> str:
    """What tells of a change. The address has it at once: the page may be left before the server hears of it."""
    keep = f"window.ff.keepInAddress({{ {kept}: e.target.value }}); " if kept else ""
    return f"(e) => {{ {keep}emit(e.target.value); }}"


def sorted_by(columns: list[dict[str, Any]], asked: str) -> list[dict[str, Any]]:
    """A grid's columns, sorted as the address says (`took:desc`); as they are where it names none of them."""
    field_name, _, order = asked.partition(":")
    if order not in ("asc", "desc") or field_name not in {column["field"] for column in columns}:
        return [{**column} for column in columns]
    others = [{name: value for name, value in column.items() if name != "sort"} for column in columns]
    return [{**one, "sort": order} if one["field"] == field_name else one for one in others]


def grid(options: dict[str, Any]) -> ui.aggrid:
    """A table of AG Grid; `page.js` has Tab leave it."""
    return ui.aggrid(options, auto_size_columns=False).classes("ff-grid")


def dialog_named(name: str) -> ui.dialog:
    """A dialog, closed; screen readers read its name."""
    return ui.dialog().props(f'aria-label="{name}"')


def show(target: Element, *, shown: bool) -> None:
    """Show or hide an element, where that is a change."""
    if ("ff-hidden" in target.classes) is shown:
        target.classes(remove="ff-hidden") if shown else target.classes("ff-hidden")


def set_disabled(target: Element, *, disabled: bool) -> None:
    """Let a button be pressed or not, where that is a change."""
    if target._props.get("disabled", False) is not disabled:
        target._props["disabled"] = disabled
        target.update()


def show_silence(notice: Element, reader: SharedReader) -> None:
    """Say that what is shown may be old, where it may be."""
    words = reader.silence()
    if words:
        set_text(notice, words)
    show(notice, shown=bool(words))


def every(pause_s: float, look: Callable[[], Awaitable[None]], *, immediate: bool = False) -> ui.timer:
    """Look again and again for the viewer of this page, as long as there is one: a page that was left looks no more."""
    client = ui.context.client

    async def look_for_viewer() -> None:
        if client.has_socket_connection:
            await look()

    return ui.timer(pause_s, look_for_viewer, immediate=immediate)


def script(call: str, *arguments: Any) -> None:
    """Call a function of `page.js`, its arguments as JSON."""
    ui.run_javascript(f"window.ff.{call}({', '.join(map(_json, arguments))})")


def script_of_json(call: str, target: str, written: str) -> None:
    """Call a function of `page.js` with the id of an element and a value that is JSON already."""
    ui.run_javascript(f"window.ff.{call}({_json(target)}, {_in_script(written)})")


def _json(value: Any) -> str:
    return _in_script(json.dumps(value))


def _in_script(written: str) -> str:
    # JSON is JavaScript but for these two, and a script element would end at its own end tag.
    return written.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029").replace("</", "<\\/")


def _switch() -> None:
    ui.run_javascript(
        "const dark = !document.body.classList.contains('body--dark');"
        f"document.cookie = '{_THEME_COOKIE}=' + (dark ? 'dark' : 'light')"
        " + '; path=/; max-age=31536000; samesite=lax';"
        "location.reload()"
    )
