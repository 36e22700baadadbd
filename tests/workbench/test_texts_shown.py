"""Texts of users on the page: what steers is written out, numbers have all digits, a group's failure has its line."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from fanfold.core.raising import raising_line
from fanfold.workbench.layout import set_text
from fanfold.workbench.previews import as_text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("one\ttwo\r\nthree é 日本 שלום", "one\ttwo\r\nthree é 日本 שלום"),
    ],
)
def test_what_steers_a_terminal_or_turns_a_text_is_written_out(text, shown):
    element = SimpleNamespace(_text="", update=lambda: None)
    assert set_text(element, text)._text == shown


def test_a_cell_has_the_digits_of_its_number_and_no_name_of_its_type():
    values = (0.1 + 0.2, np.float64(0.5), np.int64(2**62), 10**30)
    assert [as_text(value) for value in values] == ["0.30000000000000004", "0.5", str(2**62), str(10**30)]


def test_a_group_of_exceptions_was_raised_at_the_last_line_of_ones_own_in_it():
    trace = (
        "  + Exception Group Traceback (most recent call last):\n"
        '  |   File "/job/flights.py", line 9, in load\n'
        "  |     raise ExceptionGroup('both', errors)\n"
        "  | ExceptionGroup: both (1 sub-exception)\n"
        "  +-+---------------- 1 ----------------\n"
        "    | Traceback (most recent call last):\n"
        '    |   File "/job/flights.py", line 4, in one\n'
        "    | ValueError: odd\n"
        "    +------------------------------------\n"
    )
    line = raising_line(trace)
    assert line is not None
    assert (line.file, line.number, line.function) == ("/job/flights.py", 4, "one")


@pytest.mark.parametrize(
    "foreign",
    [
        "/usr/lib/python3.12/json/decoder.py",
        "/usr/lib64/python3.12/json/decoder.py",
        "/opt/pypy/lib/pypy3.11/json/decoder.py",
        "/usr/lib/python3/dist-packages/numpy/linalg.py",
        "<attrs generated init flights.Flight>",
        "<unknown>",
        "<__array_function__ internals>",
    ],
)
def test_no_line_of_a_librarys_is_the_one_that_raised(foreign):
    """Fedora has Python's own modules in `lib64`; what attrs makes, and a text that `ast` reads, have no file."""
    for own in ("/home/ada/lib/python/flights.py", "<ipython-input-3-0a>", "/tmp/ipykernel_7/123.py"):
        trace = f'Traceback:\n  File "{own}", line 4, in load\n  File "{foreign}", line 9, in decode\nValueError: odd\n'
        line = raising_line(trace)
        assert line is not None
        assert (line.file, line.number) == (own, 4)
