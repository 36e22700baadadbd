"""What has a name of its own: the things of installed packages and of the standard library, which are imported."""

from __future__ import annotations

import sys
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from fanfold.source.decorators import udf_function
from fanfold.source.project import is_project_path


def module_of(namespace: dict[str, Any]) -> ModuleType | None:
    """The imported module that has this namespace; None where an import would give another, or none."""
    module = sys.modules.get(str(namespace.get("__name__")))
    return module if getattr(module, "__dict__", None) is namespace else None


def is_library(name: str, namespace: dict[str, Any] | None = None) -> bool:
    """Whether a module is the standard library's or an installed package's."""
    module = sys.modules.get(name)
    if name == "__main__" or module is None:
        return False
    if namespace is not None and getattr(module, "__dict__", None) is not namespace:
        return False
    path = getattr(module, "__file__", None)
    if path:
        return not is_project_path(path)
    spec = getattr(module, "__spec__", None)
    if getattr(spec, "origin", None) in ("built-in", "frozen"):
        return True
    below = list(getattr(module, "__path__", ()))  # a namespace package
    return bool(below) and not any(map(is_project_path, below))


def has_name(value: Any, module: Any, name: Any) -> bool:
    """Whether `from module import name` gives this very object."""
    if not isinstance(module, str) or not isinstance(name, str):
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except Exception:  # noqa: BLE001 - a module's own `__getattr__` may raise anything
            return False
    return found is value


def has_udf(function: Any, module: str, name: str) -> bool:
    """Whether a module has a UDF of this function under its name: where that runs it is the plain function."""
    held = getattr(sys.modules.get(module), name, None)
    return udf_function(held) is function


def own_name(value: Any, name: str | None = None) -> tuple[str, str] | None:
    """Module and name under which a library has this very object; None where it has it under none."""
    module, name = getattr(value, "__module__", None), name or getattr(value, "__qualname__", None)
    for where in (module, type(value).__module__):
        if isinstance(where, str) and is_library(where) and has_name(value, where, name):
            return where, str(name)
    return None


def held_by(value: Any, module: str) -> str | None:
    """The name under which a library's module holds an object."""
    found = sys.modules.get(module)
    if found is None or not is_library(module):
        return None
    return next((name for name, held in list(vars(found).items()) if held is value), None)


def is_replaced(value: Any) -> bool:
    """Whether a thing that a library's module or class holds is not of any library: somebody has put it there."""
    if isinstance(value, FunctionType):
        return not is_library(str(value.__globals__.get("__name__")), value.__globals__)
    if isinstance(value, (BuiltinFunctionType, ModuleType)):
        return False
    return type(value).__module__ == "unittest.mock"
