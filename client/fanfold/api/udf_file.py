"""A UDF named as `file.py:function`: its file, imported as the module it is, and the function in it."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from types import ModuleType
from typing import Any

from fanfold.errors import InputError


def load_udf(named: str) -> Any:
    """The UDF that `file.py` or `file.py:function` names.

    Without a name it is the one function there with `@fanfold.udf`. The file is imported under its own name, so what
    stands under `if __name__ == "__main__"` does not run. Raises `InputError`.
    """
    file, colon, name = named.rpartition(":")
    path = Path(file if colon else named)
    module = _import_file(path)
    return _function_named(module, path, name) if colon else _only(module, path)


def _function_named(module: ModuleType, path: Path, name: str) -> Any:
    found = getattr(module, name, None)
    if found is None:
        raise InputError(f"{path} has no {name!r}.", next_step=_choose(module, path))
    if not callable(found):
        raise InputError(
            f"{path}:{name} is not a function: its type is {type(found).__name__}.",
            next_step=_choose(module, path),
        )
    return found


def _only(module: ModuleType, path: Path) -> Any:
    udfs = _udfs(module)
    if len(udfs) == 1:
        return getattr(module, udfs[0])
    many = f"{path} has {len(udfs)} UDFs." if udfs else f"{path} has no function with @fanfold.udf."
    raise InputError(many, next_step=_choose(module, path))


def _udfs(module: ModuleType) -> list[str]:
    """The names of the UDFs that are defined in the module; those that it imports are another's."""
    return [
        name
        for name, value in vars(module).items()
        if getattr(getattr(value, "__fanfold_udf__", None), "__module__", None) == module.__name__
    ]


def _choose(module: ModuleType, path: Path) -> str:
    functions = _udfs(module) or [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    ]
    if not functions:
        return "define a function there, with @fanfold.udf before it."
    return f"name one: {', '.join(f'{path}:{name}' for name in functions[:10])}."


def _import_file(path: Path) -> ModuleType:
    _check(path)
    root, name = _module_of(path.resolve())
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        with redirect_stdout(sys.stderr):  # what it prints is not the command's output
            module = importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001  the user's own code
        raise InputError(
            f"{path} could not be imported:\n{_own_lines(error)}", next_step="fix it, then call again."
        ) from None
    if not _is_from(module, path):
        raise InputError(
            f"{path} cannot be imported as {name!r}: another module has that name.",
            next_step="rename the file.",
        )
    return module


def _check(path: Path) -> None:
    if not path.is_file():
        raise InputError(f"There is no file {path}.", next_step="give the file that the UDF is written in.")
    if path.suffix != ".py" or "." in path.stem:
        raise InputError(f"{path} is not named as a Python module is.", next_step="name it like flights.py.")


def _module_of(path: Path) -> tuple[Path, str]:
    """Where the module's import starts, and its full name: a file of a package is imported as a part of it."""
    parts, root = [path.stem], path.parent
    while (root / "__init__.py").is_file() and root.parent != root:
        parts.insert(0, root.name)
        root = root.parent
    return root, ".".join(parts)


def _is_from(module: ModuleType, path: Path) -> bool:
    found = getattr(module, "__file__", None)
    return found is not None and os.path.exists(found) and os.path.samefile(found, path)


def _own_lines(error: BaseException) -> str:
    """The traceback from the user's first line on: how the import got there is of no interest."""
    told = traceback.TracebackException.from_exception(error)
    frames = list(told.stack)
    first = next((n for n, frame in enumerate(frames) if not _is_machinery(frame.filename)), len(frames))
    told.stack = traceback.StackSummary.from_list(frames[first:])
    lines = "".join(told.format()) if told.stack else "".join(told.format_exception_only())
    return "\n".join(f"  {line}" for line in lines.rstrip().split("\n"))


def _is_machinery(filename: str) -> bool:
    return filename.startswith("<frozen importlib") or filename in (__file__, importlib.__file__)
