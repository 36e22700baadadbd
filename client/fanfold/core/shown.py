"""How a value of the user's is shown in a sentence, also one that Python itself does not write."""

from __future__ import annotations

from collections.abc import Iterable
from reprlib import Repr
from typing import Any


def text_of(value: Any) -> str:
    """`repr(value)`, or what stands for it where that cannot be had."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001  the user's own `__repr__`, or an integer of more digits than Python writes
        return Shortened().repr(value)


def on_one_line(value: Any) -> str:
    """`repr(value)` with what tables and arrays are in their place, and without line breaks."""
    text = _outlined(value, _LEVELS)
    return " ".join(text.split()) if "\n" in text else text


#: What of a long list is looked through for tables and arrays.
_LOOKED_AT = 100
#: So deep; a list may be in itself.
_LEVELS = 3
_WIDE = 80


def _outlined(value: Any, levels: int) -> str:
    if (outline := _outline(value, _WIDE)) is not None:
        return outline
    if not levels:
        return text_of(value)
    if type(value) is dict and len(value) <= _LOOKED_AT:
        return f"{{{', '.join(f'{text_of(name)}: {_outlined(part, levels - 1)}' for name, part in value.items())}}}"
    if type(value) in (list, tuple) and any(_outline(part, _WIDE) is not None for part in value[:_LOOKED_AT]):
        parts = [*(_outlined(part, levels - 1) for part in value[:_LOOKED_AT]), *["..."] * (len(value) > _LOOKED_AT)]
        return f"[{', '.join(parts)}]" if type(value) is list else f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    return text_of(value)


def short(value: Any, width: int = 40) -> str:
    """`repr(value)` in at most `width` characters; of a table or an array, whose beginning says little, what it is."""
    printer = Shortened()
    printer.maxstring = printer.maxother = printer.maxlong = width
    text = " ".join(printer.repr(value).split())
    return text if len(text) <= width else f"{text[: width - 3]}..."


#: Whose arrays and tables print over many lines; of a few numbers one line is more than their shape.
_PACKAGES = frozenset("numpy pandas geopandas polars pyarrow scipy sparse xarray dask cupy torch jaxlib".split())
_FEW = 6


def _outline(value: Any, width: int) -> str | None:
    """What a table or an array is: its shape, and its type or as many columns as there is room for; else None."""
    kind: Any = type(value)
    if kind.__module__.partition(".")[0] not in _PACKAGES:
        return None
    shape, variables = getattr(value, "shape", None), getattr(value, "data_vars", None)
    if variables is not None:
        sizes = [f"{name} {size:,}" for name, size in value.sizes.items()]
        return _with_names(", ".join([kind.__name__, *sizes]), variables, width)
    if not isinstance(shape, tuple) or not shape or (kind.__name__ == "ndarray" and value.size <= _FEW):
        return None
    words = f"{kind.__name__}, {' x '.join(f'{size:,}' for size in shape)}"
    if hasattr(value, "columns"):  # of Arrow's tables these are the data
        return _with_names(words, getattr(value, "column_names", value.columns), width)
    return _with_names(f"{words}, {value.dtype}" if hasattr(value, "dtype") else words, (), width)


def _with_names(words: str, names: Iterable[Any], width: int) -> str:
    for place, name in enumerate(names):
        longer = f"{words}{', ' if place else ': '}{name}"
        if len(longer) > width - 2:
            break
        words = longer
    return f"<{' '.join(words.split())[: width - 2]}>"


class Shortened(Repr):
    """The beginning of what is long, and of each part of it."""

    def repr1(self, x: Any, level: int) -> str:
        """What a table or an array is, and the beginning of anything else."""
        outline = _outline(x, self.maxother)
        return super().repr1(x, level) if outline is None else outline

    def repr_int(self, value: int, level: int) -> str:
        """The integer, or how long it is."""
        try:
            return super().repr_int(value, level)
        except ValueError:  # of more digits than Python writes
            return f"<an integer of {value.bit_length():,} bits>"
