"""What a run's error has to do with what stayed behind: a name that exists where it was submitted, a statement."""

from __future__ import annotations

import linecache
import re
from types import ModuleType

from fanfold.core.processes import python_here
from fanfold.source.load import Bundle
from fanfold.source.needs import OF_WHAT_IS_MISSING

#: As pandas, patsy, duckdb and polars say that a name is not there. Of a column or a file they say it otherwise.
_MISSING = re.compile(
    r"\b(?:name|variable|table|relation|function|view)\s+(?:with name\s+)?['\"`]?([^\W\d]\w*)['\"`]?\s+"
    r"(?:is |was |does |could )?(?:not |un)(?:be )?(?:defined|exist|found|known|resolved)",
    re.IGNORECASE,
)
#: What looks a name up in a module.
_NAMESPACES = ("globals()", "vars(", "__dict__", "__globals__")


def left_behind(bundle: Bundle, error: BaseException, message: str) -> str:
    """What to say to an error that names what exists in the UDF's file and has not travelled; nothing otherwise."""
    found = next((name for name in _missing(error, message[:2000]) if name in bundle.left_names), None)
    if found is not None:
        return (
            f" ({found!r} exists in the module of {bundle.entry!r} where it was submitted, and did not travel: "
            f"its code names it in a string alone. Pass it as a parameter, or use the name {found} in the code)"
        )
    if bundle.left_statements:
        return f" (left behind where it was submitted, {bundle.left_statements[0]})"
    return ""


def of_another(python: str, error: BaseException) -> str:
    """What to say to an error of something that may be in one Python and not in another; nothing in the same one."""
    here = python_here()
    if python in ("", here) or not isinstance(error, OF_WHAT_IS_MISSING):
        return ""
    return f" (submitted with Python {python}, run with Python {here})"


def _missing(error: BaseException, message: str) -> list[str]:
    """The names that an error says are not there, as names of a module."""
    if isinstance(error, NameError) and getattr(error, "name", None):
        return [str(error.name)]
    if isinstance(error, AttributeError):
        return [str(error.name)] if isinstance(error.obj, ModuleType) else []
    if isinstance(error, KeyError):
        return [error.args[0]] if error.args and isinstance(error.args[0], str) and _is_of_a_module(error) else []
    return _MISSING.findall(message)


def _is_of_a_module(error: KeyError) -> bool:
    """Whether the line that raised it looks a name up in a module: any dict and any frame has keys."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    line = linecache.getline(last.tb_frame.f_code.co_filename, last.tb_lineno)
    return any(each in line for each in _NAMESPACES)
