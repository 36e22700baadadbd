"""The errors of capture: which variable, in whose line of which file, and what to do about it."""

from __future__ import annotations

import ast
import io
import sys
from types import FunctionType
from typing import Any

from fanfold.errors import CaptureError
from fanfold.source.texts import UseSite, shown_path


def short(value: Any, width: int = 60) -> str:
    """A value in at most `width` characters, by its class where it cannot be printed."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - the user's own `__repr__`
        text = f"a {type(value).__qualname__}"
    return text if len(text) <= width else f"{text[: width - 3]}..."


def cannot_travel(usage: UseSite | None, name: str, value: Any, inside: str = "", why: str = "") -> CaptureError:
    """Of what can take none of the lanes; `inside` says where in what the name stands for it is."""
    what, next_step = _describe(name or "it", value)
    if inside:
        next_step = next_step.replace(repr(name), repr((name + inside).partition("._")[0]))
    if usage is None:
        return CaptureError(f"{short(value)} is {why or what}; it cannot travel.", next_step=next_step)
    part = f" ({name}{inside})" if inside else ""
    return CaptureError(
        f"{shown_path(usage.path)}:{usage.line_of(name)}: {usage.owner!r} uses {name!r}{part}, {why or what}; "
        "it cannot travel.",
        next_step=next_step,
    )


def which_class(made: type, path: str, lines: list[int]) -> CaptureError:
    """Of a class of which several statements of one name may have made it."""
    places = " and ".join(map(str, lines))
    return CaptureError(
        f"{shown_path(path)}:{lines[-1]}: there is no telling which of the classes {made.__name__!r} "
        f"(lines {places}) is in use.",
        next_step=f"give one of them another name, or add a method to each {made.__name__!r}.",
    )


def struct_of_gone_names(made: type) -> CaptureError:
    """Of a class that msgspec makes of its statement alone, where the statement cannot be executed again."""
    return CaptureError(
        f"{made.__qualname__!r} is a struct of msgspec's that can only be made by its statement, which Python has not "
        "kept, or which reads variables of a function that has returned; it cannot travel.",
        next_step=f"define {made.__name__!r} at the top level of a module.",
    )


def too_deep(value: Any, usage: UseSite | None = None, name: str = "") -> CaptureError:
    """Of what is nested deeper than Python can recurse; the use is that which was being looked into."""
    owner = getattr(value, "__qualname__", type(value).__qualname__)
    what = "contains itself, or is nested too deeply to be taken apart"
    if usage is None or not name or name == owner:
        return CaptureError(
            f"{owner!r} uses something that {what}.",
            next_step="pass what it is made from as a parameter, and build it inside the function.",
        )
    is_part = "." in name and not name.startswith(f"{usage.owner}.")  # of a library, where somebody has put it
    step = f"put it in the place of {name!r} inside the function" if is_part else f"make {name!r} inside the function"
    return CaptureError(
        f"{shown_path(usage.path)}:{usage.line_of(name)}: {usage.owner!r} uses {name!r}, which {what}.",
        next_step=f"{step}, or pass what it is made from as a parameter.",
    )


def changed(usage: UseSite, name: str, value: Any, expression: ast.expr | None) -> CaptureError:
    """Of what holds something else by now than its source would give again, and that is no value a codec knows."""
    said = "" if expression is None else f" `{ast.unparse(expression)}`"
    line = getattr(expression, "lineno", 0) or usage.line_of(name)
    return CaptureError(
        f"{shown_path(usage.path)}:{line}: {name!r} is {short(value)} by now, which is not what its source{said} would "
        "give where it runs; it cannot travel.",
        next_step=f"let the source say what {name!r} is, or pass it as a parameter.",
    )


#: How classes are called whose objects stand for a process, a file or a machine elsewhere.
_CONNECTED = ("Connection", "Cursor", "connection", "cursor", "Session", "Client", "socket", "Engine", "Channel")


#: What travels as a new one where nobody holds it.
_LET_GO = ("lock", "Lock", "Condition", "Semaphore", "Barrier", "local", "Queue", "ThreadPoolExecutor")


def _describe(name: str, value: Any) -> tuple[str, str]:
    if issubclass(type(value), io.IOBase):
        return "an open file", f"open it inside the function, and pass its path instead of {name!r}."
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if kind.startswith("multiprocessing."):
        return f"a live {kind}", "make it inside the function: each run has a process to itself."
    if kind.endswith(_LET_GO):
        do = "empty" if kind.endswith("Queue") else "let go of"
        return f"a live {kind}", f"{do} {name!r} before you submit, or make it inside the function."
    if kind.endswith(_CONNECTED):
        return f"a live {kind}", f"connect inside the function, and pass what {name!r} connects to as a parameter."
    return f"a live object ({kind})", f"make {name!r} inside the function, or pass what it is made from as a parameter."


def mapped(made: type, usage: UseSite | None, name: str) -> CaptureError:
    """Of a class that SQLAlchemy has mapped: its tables and mappers know each other, used by the UDF or not."""
    where = "" if usage is None else f"{shown_path(usage.path)}:{usage.line_of(name)}: {usage.owner!r} uses "
    return CaptureError(
        f"{where}{made.__name__!r}, a class that SQLAlchemy has mapped in the UDF's own file; it cannot travel alone.",
        next_step=f"put {made.__name__!r} and what is mapped with it into a module of your project, which travels "
        "whole, and import it.",
    )


def mapped_twice(name: str, which: str, usage: UseSite | None, used: str) -> CaptureError:
    """Of what SQLAlchemy has mapped under a name that stands for something else as well."""
    where = "" if usage is None else f"{shown_path(usage.path)}:{usage.line_of(used)}: {usage.owner!r} uses {used!r}: "
    return CaptureError(
        f"{where}there is no telling {which} has made {name!r}, which SQLAlchemy has mapped.",
        next_step=f"bind each name once, and execute the statement of {name!r} again below what it is made of; or put "
        "what is mapped into a module of your project, which travels whole.",
    )


def not_a_function(value: Any) -> CaptureError:
    """Of an entry that cannot be called."""
    return CaptureError(
        f"{short(value)} cannot be called ({type(value).__qualname__}).",
        next_step="give a function, or any other callable.",
    )


class EditedSince(CaptureError):
    """A file no longer says what was loaded from it."""


def stale(function: FunctionType) -> EditedSince:
    """Of a function that its file no longer has as it was when it was loaded."""
    code = function.__code__
    newer = _newer(function)
    return EditedSince(
        f"{code.co_filename}:{code.co_firstlineno}: {function.__name__!r} does not stand there as it was loaded: "
        "the file has changed since.",
        next_step=f"run {newer} again: what you hold is from before the module was reloaded."
        if newer
        else "restart Python, or reload the module, so that what runs is what the file says.",
    )


def _newer(function: FunctionType) -> str:
    """The import that gives what the module, loaded anew since, has in a function's place; empty where it was not."""
    module, path = function.__module__ or "", function.__qualname__.split(".")
    found: Any = None if module == "__main__" else sys.modules.get(module)
    for name in path:
        found = getattr(found, name, None)
    found = getattr(found, "__wrapped__", getattr(found, "__func__", found))
    if not isinstance(found, FunctionType) or found.__qualname__ != function.__qualname__:
        return ""
    return "" if found.__code__ == function.__code__ else f"`from {module} import {path[0]}`"


def no_python_source(name: str, path: str, where: str) -> CaptureError:
    """Of a project module that is not a .py file."""
    return CaptureError(
        f"{where}module {name!r} of your project is not Python source ({path}); only .py files travel.",
        next_step=f"install the package that {name!r} belongs to where the UDF runs, or leave the import out.",
    )


def unreadable(name: str, path: str, where: str, error: Exception) -> CaptureError:
    """Of a project module whose text cannot be had."""
    return CaptureError(
        f"{where}module {name!r} of your project cannot be read ({path}: {error}).",
        next_step=f"correct {path}, or leave the import out.",
    )
