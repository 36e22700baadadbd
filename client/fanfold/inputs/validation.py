"""Every input checked before anything starts, and the offenders listed together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from fanfold.errors import InputError
from fanfold.inputs.reading import columns, read
from fanfold.inputs.rejection import Rejection, short
from fanfold.inputs.signature import Signature

#: How many offenders are listed, and how far beyond the first one they are looked for.
_LISTED = 10
_LOOK_AHEAD = 100_000


Take = Callable[[dict[str, Any]], Any]


def validated(
    inputs: Any, signature: Signature, constants: Mapping[str, Any], take: Take = lambda arguments: arguments
) -> Iterator[Any]:
    """The arguments of each run, one at a time, in the order of the inputs; `take` makes of them what is wanted.

    Raises `InputError` at the first input that does not fit, listing the first ten such with index, parameter, value
    and reason; and where there is no input at all. Start nothing before the last one has come.
    """
    bound = signature.binder(constants)
    _check_columns(inputs, signature, constants)

    def bind(given: Any) -> Any:
        return take(bound(given))

    numbered = enumerate(read(inputs))
    index = -1
    for index, given in numbered:
        try:
            arguments = bind(given)
        except Rejection as rejection:
            raise _error(signature, [(index, rejection), *_further(bind, numbered)]) from None
        yield arguments
    if index < 0:
        raise InputError("There are no inputs.", next_step="Pass at least one; for a single call, `fanfold.run(udf)`.")


def _check_columns(inputs: Any, signature: Signature, constants: Mapping[str, Any]) -> None:
    """Raises `InputError` for a frame with columns that the UDF does not take: else each of its rows would say so."""
    names = columns(inputs)
    extra = [name for name in names if name not in signature.parameters]
    missing = [name for name in signature.required if name not in names and name not in constants]
    if not extra or missing or signature.accepts_any:
        return
    taken = [name for name in signature.parameters if name in names]
    select = "inputs.select" if not hasattr(inputs, "loc") else "inputs"
    listed = ", ".join(f'"{name}"' for name in taken)
    raise InputError(
        f"The frame has {'columns' if len(extra) > 1 else 'the column'} {', '.join(map(repr, extra[:5]))} that "
        f"`{signature.text}` does not take.",
        next_step=f"Pass the columns it takes: `{select}([{listed}])`."
        if select != "inputs"
        else f"Pass the columns it takes: `inputs[[{listed}]]`.",
    )


def _further(bind: Callable[[Any], Any], numbered: Iterator[tuple[int, Any]]) -> list[tuple[int, Rejection]]:
    """Offenders beyond the first, as many as are listed, and one more to know whether there are more."""
    found: list[tuple[int, Rejection]] = []
    for index, given in islice(numbered, _LOOK_AHEAD):
        try:
            bind(given)
        except Rejection as rejection:
            found.append((index, rejection))
            if len(found) == _LISTED:
                break
    return found


def _error(signature: Signature, offenders: list[tuple[int, Rejection]]) -> InputError:
    listed = offenders[:_LISTED]
    count = f"More than {_LISTED}" if len(offenders) > _LISTED else f"{len(listed)}"
    verb = "input does" if len(offenders) == 1 else "inputs do"
    rest = f"; the first {_LISTED}" if len(offenders) > _LISTED else ""
    rows = [("index", "parameter", "value", "reason")]
    rows += [(f"{index:,}", fault.parameter, short(fault.value), fault.reason) for index, fault in listed]
    return InputError(
        f"{count} {verb} not fit `{signature.text}`{rest}:\n" + "\n".join(_aligned(rows)),
        next_step="Correct them, or the UDF's annotations. Nothing was started.",
    )


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, *cells, reason in rows:
        padded = (cell.ljust(width) for cell, width in zip(cells, widths[1:], strict=False))
        yield "  ".join((f"  {number.rjust(widths[0])}", *padded, reason))
