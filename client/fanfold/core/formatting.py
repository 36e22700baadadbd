"""Seconds, dollars and counts as people write them."""

from __future__ import annotations

import math

from fanfold.errors import printable


class Dollars(float):
    """An amount in US dollars that prints as one."""

    def __repr__(self) -> str:
        return f"${self:.6f}" if 0 < self < 0.01 else f"${self:,.2f}"

    __str__ = __repr__


class Seconds(float):
    """A time in seconds that prints as people say it, such as `3.4 s` or `2 min 5 s`."""

    def total_seconds(self) -> float:
        """The bare number, as a `timedelta` gives it."""
        return float(self)

    def __repr__(self) -> str:
        return duration(self)

    __str__ = __repr__


#: Beyond it nothing is a time.
_LONGEST_S = 1e12


def duration(seconds: float) -> str:
    """Seconds as people say them: 12 µs, 0.3 ms, 12 ms, 3.4 s, 2 min 5 s, 1 h 20 min."""
    if not seconds >= 0:  # between two clocks, of which one is ahead; or not a number, as a broken writer has it
        return f"-{duration(-seconds)}" if seconds < 0 else "unknown"
    if 0 < seconds < 0.0001:
        return f"{max(1.0, seconds * 1e6):.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms" if seconds >= 0.001 or seconds <= 0 else f"{seconds * 1000:.1f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(min(seconds, _LONGEST_S))
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s".removesuffix(" 0 s")
    minutes = round(min(seconds, _LONGEST_S) / 60)
    return f"{minutes // 60:,} h {minutes % 60} min".removesuffix(" 0 min")


def finite(value: object) -> float | None:
    """A number that can be drawn and added; None for anything else, as a broken writer of events may have given it."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


#: Up to how many of a unit are told in it, and how many seconds it has.
_UNITS = ((100.0, "s", 1.0), (100.0, "min", 60.0), (72.0, "h", 3600.0), (400.0, "days", 86400.0))
_YEAR_S = 365.25 * 86400


def about_seconds(seconds: float) -> str:
    """An estimate of seconds, which is not known better than to two digits: 0 s, 4.1 s, 12 min, 1.3 h."""
    if 0 < seconds < 0.95:
        return f"{_two_digits(seconds * 1000)} ms"
    told = ((unit, has_s) for below, unit, has_s in _UNITS if seconds / has_s < below)
    unit, has_s = next(told, ("years", _YEAR_S))
    return f"{_two_digits(seconds / has_s)} {unit}"


def about_dollars(usd: float) -> str:
    """An estimate of dollars, in two digits: $0, $0.0012, $1.20, $1.2k, $23k."""
    if 0.95 <= usd < 9.5:
        return f"${round(usd, 1):.2f}"
    if usd >= 995:
        return f"${_two_digits(usd / 1000)}k"
    return f"${_two_digits(usd)}"


def _two_digits(value: float) -> str:
    if value <= 0:
        return "0"
    decimals = max(0, 1 - math.floor(math.log10(value)))
    rounded = round(value, 1 - math.floor(math.log10(value)))
    return f"{rounded:,.{min(decimals, 6)}f}"


def counted(count: int, noun: str) -> str:
    """So many of something: 1 run, 2,000 runs."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def as_html(text: str) -> str:
    """Text of others for a page: no markup, and what steers a terminal or turns the text around it written out."""
    from html import escape

    if not text.isprintable():  # half of a surrogate pair is no Unicode, and nothing that sends a page takes it
        text = printable(text).encode("utf-8", "backslashreplace").decode("utf-8")
    return escape(text)
