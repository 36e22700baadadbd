"""A long text is read by another process, when nobody has typed into it for a moment: no viewer waits for it."""

from __future__ import annotations

import asyncio

import pytest

from fanfold.errors import FanfoldError
from fanfold.workbench.editor import offered
from fanfold.workbench.editor.offered import LONG, OfferedReader, OfferedText
from fanfold.workbench.editor.udf_source import offered_in

HEAD = "import fanfold\n\n@fanfold.udf\ndef first(x: int): ...\n"
PADDING = "# " + LONG * "-" + "\n"


@pytest.fixture
def reader():
    made = OfferedReader()
    yield made
    made.process.close()


class Page:
    """A text that is shown, and what was offered of it."""

    def __init__(self, reader: OfferedReader, text: str) -> None:
        self.text = text
        self.offers: list[list[str]] = []
        self.of = OfferedText(reader, lambda: (self.text, "long.py"), lambda found: self.offers.append(list(found)))


@pytest.fixture
def nobody_reads_here(monkeypatch):
    def refuse(*_):
        raise AssertionError("read in the process that serves the pages")

    monkeypatch.setattr(offered, "offered_in", refuse)


def test_what_a_long_text_offers_is_what_a_short_one_does(reader, nobody_reads_here):
    found = asyncio.run(reader.read(HEAD + PADDING, "long.py"))
    assert found == offered_in(HEAD, "long.py")


def test_why_a_long_text_is_not_python_is_said_with_its_line(reader, nobody_reads_here):
    page = Page(reader, HEAD + PADDING + "def (")
    assert asyncio.run(page.of.follow()) == "long.py is not Python, line 6: invalid syntax."
    assert page.offers == []
    with pytest.raises(FanfoldError, match="line 6: invalid syntax"):
        asyncio.run(page.of.read())


def test_while_a_long_text_is_typed_on_only_the_last_of_it_is_read(reader, nobody_reads_here):
    page = Page(reader, HEAD + PADDING)

    async def type_on():
        first = asyncio.create_task(page.of.follow())
        for number in range(5):
            await asyncio.sleep(0)
            page.text += f"@fanfold.udf\ndef more_{number}(x: int): ...\n"
            assert await page.of.follow() is None
        return await first

    assert asyncio.run(type_on()) == ""
    assert page.offers == [["first", *(f"more_{number}" for number in range(5))]]


def test_a_short_text_is_read_at_once(reader):
    page = Page(reader, HEAD)
    assert asyncio.run(page.of.follow()) == ""
    assert page.offers == [["first"]]
    assert reader.process._child is None
