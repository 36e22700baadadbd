"""The errors of capture: which variable, in whose line of which file, and what to do about it."""

from __future__ import annotations

import ast
import io
from types import FunctionType
from typing import Any, NamedTuple

from fanfold.errors import CaptureError


def short(value: Any, width: int = 60) -> str:
    """A value in at most `width` characters, by its class where it cannot be printed."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # noqa: BLE001 - the user's own `__repr__`
        text = f"a {type(value).__qualname__}"
    return text if len(text) <= width else f"{text[: width - 3]}..."


class Usage(NamedTuple):
    """Where something is used: a definition in a file."""

    path: str
    node: ast.AST
    owner: str

    def line_of(self, name: str) -> int:
        """The first line of the definition in which `name` stands."""
        lines = [n.lineno for n in ast.walk(self.node) if isinstance(n, ast.Name) and n.id == name]
        return min(lines, default=getattr(self.node, "lineno", 1))


def cannot_travel(usage: Usage, name: str, value: Any) -> CaptureError:
    """Of a global that is neither source nor a value that a codec knows."""
    what, next_step = _describe(name, value)
    return _refusal(usage, name, what, next_step)


def closure(usage: Usage, name: str, value: Any = None) -> CaptureError:
    """Of a variable of an enclosing function."""
    next_step = f"Pass {name!r} as a parameter, or move it to the top level of the file."
    if isinstance(value, FunctionType):
        next_step = (
            f"Move {name!r} to the top level of the file; if {usage.owner!r} is a decorator's wrapper, "
            "add `@functools.wraps` to it."
        )
    return _refusal(usage, name, "a local variable of the function around it", next_step)


def closure_made_elsewhere(usage: Usage, name: str, value: FunctionType) -> CaptureError:
    """Of a global function that some other function made, and that keeps variables of its maker."""
    kept = ", ".join(repr(v) for v in value.__code__.co_freevars) or "nothing, but has no definition of its own"
    return _refusal(
        usage,
        name,
        f"a function made inside another ({value.__qualname__}), which holds {kept}",
        f"Write {name!r} as a `def` at the top level, or make it inside {usage.owner!r}.",
    )


def two_definitions(usage: Usage, name: str) -> CaptureError:
    """Of a name under which two different things would have to travel."""
    return _refusal(usage, name, "of which two definitions are in use at once", f"Give one {name!r} another name.")


def changed(usage: Usage, name: str, value: Any, expression: ast.expr | None) -> CaptureError:
    """Of what holds something else by now than its source would give again, and that is no value a codec knows."""
    said = "" if expression is None else f" `{ast.unparse(expression)}`"
    line = getattr(expression, "lineno", 0) or usage.line_of(name)
    return CaptureError(
        f"{usage.path}:{line}: {name!r} is {short(value)} by now, which is not what its source{said} would give "
        "where it runs; it cannot travel.",
        next_step=f"Let the source say what {name!r} is, or pass it as a parameter.",
    )


def _refusal(usage: Usage, name: str, what: str, next_step: str) -> CaptureError:
    return CaptureError(
        f"{usage.path}:{usage.line_of(name)}: {usage.owner!r} uses {name!r}, {what}; it cannot travel.",
        next_step=next_step,
    )


def _describe(name: str, value: Any) -> tuple[str, str]:
    if isinstance(value, FunctionType) and value.__name__ == "<lambda>":
        return "a lambda", f"Write it as a function: `def {name}(...): return ...`."
    if isinstance(value, io.IOBase):
        return "an open file", f"Open it inside the function, and pass its path instead of {name!r}."
    kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
    if kind.endswith(("lock", "Lock", "Condition", "Semaphore", "Event")):
        return f"a live {kind}", "Make it inside the function: each run has a process to itself."
    return f"a live object ({kind})", f"Make {name!r} inside the function, or pass what it is made from as a parameter."


def not_a_function(value: Any) -> CaptureError:
    """Of an entry that has no source of its own."""
    if isinstance(value, FunctionType):
        code = value.__code__
        return CaptureError(
            f"{code.co_filename}:{code.co_firstlineno}: a lambda cannot travel.",
            next_step="Write it as a function with `def`.",
        )
    return CaptureError(
        f"{value!r} is no Python function with source of its own ({type(value).__qualname__}), so it cannot travel.",
        next_step="Write a function with `def` that calls it.",
    )


def no_source(function: FunctionType) -> CaptureError:
    """Of a function whose text Python has not kept."""
    code = function.__code__
    next_step = "Put the function in a file and run that, or import it; a notebook works too."
    if code.co_filename.startswith("<timed "):
        next_step = "Define it in a cell without `%%time`, and time the cell that calls it."
    return CaptureError(
        f"{code.co_filename}:{code.co_firstlineno}: Python has not kept the source of {function.__name__!r}.",
        next_step=next_step,
    )


def stale(function: FunctionType) -> CaptureError:
    """Of a function that is no longer where it was when it was loaded."""
    code = function.__code__
    return CaptureError(
        f"{code.co_filename}:{code.co_firstlineno}: {function.__name__!r} is not there any more: "
        "the file has changed since it was loaded.",
        next_step="Restart Python, or reload the module, so that what runs is what the file says.",
    )


def wrapped_by_call(function: FunctionType) -> CaptureError:
    """Of a wrapper that no decorator line explains."""
    code = function.__code__
    return CaptureError(
        f"{code.co_filename}:{code.co_firstlineno}: {function.__name__!r} was wrapped by a call, of which its "
        "source knows nothing.",
        next_step=f"Wrap it with a decorator line (`@...`) above `def {function.__name__}`.",
    )


def no_python_source(name: str, path: str, where: str) -> CaptureError:
    """Of a project module that is not a .py file."""
    return CaptureError(
        f"{where}: module {name!r} of your project is not Python source ({path}); only .py files travel.",
        next_step=f"Install the package that {name!r} belongs to where the UDF runs, or leave the import out.",
    )


def unreadable(name: str, path: str, where: str, error: Exception) -> CaptureError:
    """Of a project module whose text cannot be had."""
    return CaptureError(
        f"{where}: module {name!r} of your project cannot be read ({path}: {error}).",
        next_step=f"Mend {path}, or leave the import out.",
    )


def defined_inside(function: FunctionType, name: str) -> CaptureError:
    """Of a nested UDF that uses what it is defined in."""
    code = function.__code__
    return CaptureError(
        f"{code.co_filename}:{code.co_firstlineno}: {function.__name__!r} is defined inside {name!r}, and uses it.",
        next_step=f"Move {function.__name__!r} to the top level of its file.",
    )


def nested_in_imported(function: FunctionType, module: str) -> CaptureError:
    """Of a nested UDF whose own module would have to travel whole."""
    code = function.__code__
    return CaptureError(
        f"{code.co_filename}:{code.co_firstlineno}: {function.__qualname__!r} is defined inside a function or class, "
        f"and your project imports its module {module!r} again.",
        next_step=f"Move {function.__name__!r} to the top level of its file.",
    )
