"""Views that go on: drawn in place on a terminal, and told anew, when something changes, to a pipe or a file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import typer

from fanfold.cli.exits import ExitCode
from fanfold.cli.output import note, print_text
from fanfold.engines.protocol import Engine
from fanfold.errors import StoreError

#: Seconds between two looks at most, and at least.
_RARELY_S, _OFTEN_S = 1.0, 0.25


class View(NamedTuple):
    """What is seen at one moment."""

    #: What a terminal shows.
    text: str
    #: What a pipe gets where `news` is other than it was: ages and the like, which change by themselves, are not in it.
    told: str
    news: object
    #: True where nothing more will change.
    over: bool = False
    #: Why it is not up to date, where the store does not answer.
    stale: str = ""


def show(look: Callable[[], View], engine: Engine, *, stopped: str, in_place: bool = True) -> None:
    """Show what `look` sees until it is over. Ctrl-C ends the command, which says `stopped`.

    A store that does not answer is waited for, once it has answered. Raises what the first look raises.
    """
    try:
        if in_place and _draws():
            _draw(_patiently(look), engine)
        else:
            _tell(_patiently(look), engine)
    except KeyboardInterrupt:
        note(f"\n{stopped}")
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _patiently(look: Callable[[], View]) -> Callable[[], View]:
    last: View | None = None

    def looked() -> View:
        nonlocal last
        try:
            last = look()
        except StoreError as error:
            if last is None:
                raise
            last = last._replace(stale=last.stale or f"as of {time.strftime('%H:%M:%S')}: {error.message}")
        return last

    return looked


def _draws() -> bool:
    """True at a terminal that can move its cursor."""
    return sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def _draw(look: Callable[[], View], engine: Engine) -> None:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    with Live(console=Console(highlight=False), auto_refresh=False, vertical_overflow="ellipsis") as live:
        while True:
            view = look()
            text = f"{view.text}\n\n{view.stale}" if view.stale else view.text
            live.update(Text.from_ansi(text, no_wrap=True, overflow="crop"), refresh=True)
            if view.over:
                return
            _wait(engine)


def _tell(look: Callable[[], View], engine: Engine) -> None:
    known: object = None
    stale = ""
    while True:
        view = look()
        if view.stale != stale:
            stale = view.stale
            note(stale or "The store answers again.")
        if view.news != known:
            known = view.news
            if view.told:
                print_text(view.told)
        if view.over:
            return
        _wait(engine)


def _wait(engine: Engine) -> None:
    """Until there may be news, but neither so often that looking is all that is done, nor so rarely that ages stand."""
    began = time.monotonic()
    with suppress(StoreError):  # the next look says so
        engine.wait_for_news(_RARELY_S)
    time.sleep(max(0.0, _OFTEN_S - (time.monotonic() - began)))
