"""Inputs and parameters as they are given on the command line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import isfinite
from pathlib import Path
from typing import Any

from fanfold.cli.output import note
from fanfold.errors import InputError
from fanfold.inputs.stored import READERS, is_pattern, read_rows, rows, suffix_of


def inputs_from(
    values: Sequence[str], file: str | None, numbers: str | None, job: str | None = None, by: str | None = None
) -> Iterable[Any]:
    """The inputs of a job, from exactly one of: values, a file, a range, another job's results. Raises `InputError`."""
    if sum([bool(values), file is not None, numbers is not None, job is not None]) != 1:
        raise InputError(
            "Inputs come from one place: values, --inputs, --range or --results-of.",
            next_step="give exactly one: `a b c`, `--inputs days.csv`, `--range 0:100` or `--results-of JOB`.",
        )
    if by is not None and job is None:
        raise InputError("--by groups the results of a job.", next_step="name the job: --results-of JOB.")
    if job is not None:
        from fanfold.api.submit import get_job

        found = get_job(job)
        return found if by is None else found.grouped(by=by.split(","))
    if file is not None:
        return _from_file(file)
    return values if numbers is None else _range(numbers)


def parameters_from(pairs: Sequence[str]) -> dict[str, str]:
    """Parameters given as `name=value`. Raises `InputError`."""
    found: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise InputError(f"{pair!r} is not a parameter.", next_step="write name=value, such as day=2013-01-01.")
        if name in found:
            raise InputError(f"{name} is given twice.", next_step="give each parameter once.")
        found[name] = value
    return found


def mention_text(
    function: Any, inputs: Iterable[Any], typed: Sequence[str] | None, file: str | None = None
) -> Iterable[Any]:
    """The inputs, after a line on stderr where the first has text that reads as a number and the UDF does not say so.

    Only what is `typed` on the command line, and the cells of CSV, are text for want of a type.
    """
    if not typed and (file is None or file == "-" or suffix_of(file) not in (".csv", ".tsv")):
        return inputs
    items = iter(inputs)
    first = next(items, None)
    if first is None:
        return ()
    for name, value in _unannotated(function, first):
        if _reads_as_a_number(value):
            note(f"fanfold: {name} is text here ({value!r}): say `{name}: int` or `{name}: float` to have a number.")
    return [first, *items] if isinstance(inputs, list) else chain([first], items)


def _unannotated(function: Any, arguments: Any) -> Iterator[tuple[str, Any]]:
    import inspect

    parameters = inspect.signature(function).parameters
    given = arguments if isinstance(arguments, dict) else dict.fromkeys(list(parameters)[:1], arguments)
    for name, value in given.items():
        if name in parameters and parameters[name].annotation is inspect.Parameter.empty:
            yield name, value


def _reads_as_a_number(value: Any) -> bool:
    try:
        return isinstance(value, str) and isfinite(float(value))
    except ValueError:
        return False


def _range(text: str) -> range:
    parts = text.split(":")
    try:
        bounds = [int(part) for part in parts]
        numbers = range(*bounds)
    except (ValueError, TypeError):
        raise InputError(
            f"--range {text} is not a range.",
            next_step="write start:stop or start:stop:step, such as 0:100 or 0:100:5.",
        ) from None
    if not numbers:
        raise InputError(f"--range {text} is empty.", next_step="the stop itself is not included.")
    return numbers


def _from_file(file: str) -> Iterator[Any]:
    if is_pattern(file):
        return iter(rows(file))
    if file != "-" and suffix_of(file) in READERS and not Path(file).is_file():
        raise InputError(f"There is no file {file}.", next_step="give the file that holds the inputs.")
    return read_rows(file)
