"""Values that no codec knows, and that can yet be made again: from the statement that made them, or from themselves."""

from __future__ import annotations

import ast
import re
from typing import Any

from fanfold.source.expression import differs, evaluated, is_harmless, same
from fanfold.source.scope import bound_names, dotted, names_in

#: By name: importing logging, string and struct only to find out that a value is none of theirs takes 10 ms.
_KINDS = frozenset(
    {
        ("logging", "Logger"),
        ("functools", "partial"),
        ("operator", "attrgetter"),
        ("operator", "itemgetter"),
        ("operator", "methodcaller"),
        ("string", "Template"),
        ("_struct", "Struct"),
        ("types", "GenericAlias"),
        ("types", "UnionType"),
    }
)

#: What makes a class by being called.
_CLASS_MAKERS = {
    "namedtuple", "NamedTuple", "TypedDict", "Enum", "IntEnum", "StrEnum", "Flag", "IntFlag", "make_dataclass",
}  # fmt: skip

#: Modules whose functions and classes make values, and do nothing else.
_MAKERS = {
    "_operator", "_struct", "collections", "dataclasses", "enum", "functools", "logging", "operator", "string",
    "struct", "types", "typing", "typing_extensions",
}  # fmt: skip

#: What tells two values of those kinds apart.
_PARTS = (
    "name", "func", "args", "keywords", "format", "template",
    "__name__", "__bound__", "__constraints__", "__supertype__", "__origin__", "__args__",
)  # fmt: skip
#: The same of two classes, whose own fields may be called like any of those.
_PARTS_OF_A_CLASS = ("__name__", "_fields", "_field_defaults", "__annotations__")

_DISPLAY = (ast.Dict, ast.List, ast.Tuple, ast.Set, ast.Constant, ast.Name, ast.Attribute, ast.expr_context)


def is_recipe(value: Any, statement: ast.stmt, namespace: dict[str, Any]) -> bool:
    """Whether the assignment `statement` makes `value` whenever it is executed."""
    expression = getattr(statement, "value", None)
    if not isinstance(expression, ast.expr) or not _binds_names(statement) or _reads_itself(statement, expression):
        return False
    if type(value).__module__ in ("typing", "typing_extensions") or _is_of_a_kind(value):
        return True
    if isinstance(value, type):
        called = dotted(expression.func) if isinstance(expression, ast.Call) else None
        return called is not None and called[-1] in _CLASS_MAKERS
    return _is_display_of(value, expression, namespace)


def is_outdated(value: Any, statement: ast.stmt, namespace: dict[str, Any]) -> bool:
    """Whether a recipe would make something else by now; of what is handed to `partial`, `held` sees to that."""
    expression: Any = getattr(statement, "value", None)
    if handed_over(value, expression) and not differs(expression.args[0], value.func, namespace):
        return False
    if isinstance(expression, ast.Call):
        parts = [expression.func, *expression.args, *(keyword.value for keyword in expression.keywords)]
        if not (all(map(is_harmless, parts)) and _is_known_maker(expression.func, namespace)):
            return False
    elif not is_harmless(expression):
        return False
    try:
        made = evaluated(expression, namespace)
    except Exception:  # noqa: BLE001 - a name that is gone
        return False
    return not all(map(same, _told(made), _told(value)))


def _told(value: Any) -> list[Any]:
    if isinstance(value, type):
        members = [(name, member._value_) for name, member in getattr(value, "_member_map_", {}).items()]
        return [members, *(getattr(value, part, None) for part in _PARTS_OF_A_CLASS)]
    printed = repr(value) if type(value).__module__ == "operator" else None
    return [printed, *(getattr(value, part, None) for part in _PARTS)]


def handed_over(value: Any, expression: ast.expr | None) -> list[tuple[str, ast.expr, Any]]:
    """What an expression like `partial(f, 1, k=K)` binds: label, expression and value; nothing where it is no such."""
    if not isinstance(expression, ast.Call) or type(value).__name__ != "partial":
        return []
    labels = [*map(str, range(len(value.args))), *value.keywords]
    parts = {str(n): part for n, part in enumerate(expression.args[1:])}
    parts |= {keyword.arg or "**": keyword.value for keyword in expression.keywords}
    values = [*value.args, *value.keywords.values()]
    if list(parts) != labels or any(isinstance(part, ast.Starred) for part in expression.args):
        return []
    return [(label, parts[label], value) for label, value in zip(labels, values, strict=True)]


def _is_known_maker(called: ast.expr, namespace: dict[str, Any]) -> bool:
    """Whether what is called only makes one of the kinds: a function of the user's might do anything."""
    try:
        maker: Any = evaluated(called, namespace)
    except Exception:  # noqa: BLE001 - a name that is gone
        return False
    return str(getattr(maker, "__module__", "")).partition(".")[0] in _MAKERS


def is_alias(value: Any, statement: ast.stmt, namespace: dict[str, Any]) -> bool:
    """Whether the assignment `statement` gives `value` but one more name."""
    expression = getattr(statement, "value", None)
    chain = dotted(expression) if isinstance(expression, ast.expr) and _binds_names(statement) else None
    made: Any = namespace.get(chain[0]) if chain else None
    for attribute in (chain or ("",))[1:]:
        made = getattr(made, attribute, None)
    return chain is not None and made is value


def spelled(value: Any) -> str | None:
    """An expression that gives an equal value wherever it is evaluated, for those kinds that have one."""
    if isinstance(value, re.Pattern):
        return f"__import__('re').compile({value.pattern!a}, {value.flags})"
    return None


def _is_of_a_kind(value: Any) -> bool:
    return any((kind.__module__, kind.__qualname__) in _KINDS for kind in type(value).__mro__)


def _binds_names(statement: ast.stmt) -> bool:
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return all(isinstance(target, ast.Name) for target in targets)


def _reads_itself(statement: ast.stmt, expression: ast.expr) -> bool:
    """Whether the value is made from what the name stood for before, as in `f = partial(f, 1)`."""
    return bool(names_in([expression]).intersection(bound_names(statement)))


def _is_display_of(value: Any, expression: ast.expr, namespace: dict[str, Any]) -> bool:
    """Whether `value` is still what a literal of plain names says, as a table of functions is."""
    if not isinstance(value, (dict, list, tuple, set)):
        return False
    if not all(isinstance(node, _DISPLAY) for node in ast.walk(expression)):
        return False
    try:
        made = evaluated(expression, namespace)
        return type(made) is type(value) and bool(made == value)
    except Exception:  # noqa: BLE001 - the user's own `__eq__`, or a name that is gone
        return False
