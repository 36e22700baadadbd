"""What of the editor's text can be run, read while somebody types, without holding up the other viewers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from fanfold.errors import FanfoldError
from fanfold.workbench.asked_process import AskedProcess
from fanfold.workbench.editor.udf_source import FoundUdf, offered_in

#: From so many characters on another process reads it: some 500 lines, which take 10 ms.
LONG = 20_000
#: So long a text is read when nobody has typed into it for a moment.
_REST_S = 0.2
#: Ended when nobody has typed into a long text for this long.
_IDLE_S = 120.0
_GONE = ("What reads long files for the page has ended (exit code {code}).", "type on: it is started again.")


class OfferedReader:
    """Reads texts for all viewers."""

    def __init__(self) -> None:
        self.process = AskedProcess("fanfold.workbench.editor.offered_child", idle_s=_IDLE_S, gone=_GONE)

    async def read(self, text: str, file: str) -> dict[str, FoundUdf] | FanfoldError:
        """What of it can be run, or why it is not Python."""
        try:
            if len(text) < LONG:
                return offered_in(text, file)
            found: dict[str, FoundUdf] = await asyncio.to_thread(self.process.ask, "offered_in", text, file)
        except FanfoldError as error:
            return error
        return found


class OfferedText:
    """One viewer's text: `shown` gives it and its file's name, None where there is none; `offer` takes what it has."""

    def __init__(
        self,
        reader: OfferedReader,
        shown: Callable[[], tuple[str, str] | None],
        offer: Callable[[dict[str, FoundUdf]], None],
    ) -> None:
        self._reader, self._shown, self._offer = reader, shown, offer
        self._is_followed = False

    async def read(self) -> None:
        """Have what is offered be that of the text. Raises `FanfoldError` where it is not Python."""
        while (text := self._shown()) is not None:
            found = await self._reader.read(*text)
            if text == self._shown():  # else it was typed on meanwhile
                if isinstance(found, FanfoldError):
                    raise found
                self._offer(found)
                return

    async def follow(self) -> str | None:
        """Read it after a change: why it is not Python, or nothing. None where an earlier call of this goes on."""
        if self._is_followed:
            return None
        self._is_followed = True
        try:
            while (text := self._shown()) is not None and len(text[0]) >= LONG:
                await asyncio.sleep(_REST_S)
                if text == self._shown():
                    break
            await self.read()
        except FanfoldError as error:
            return error.message
        finally:
            self._is_followed = False
        return ""
