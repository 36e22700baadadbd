"""What an expression gives now: told by evaluating it, where that can change nothing."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from fanfold.codec import encode_json
from fanfold.errors import CodecError, FanfoldError

PutBlob = Callable[[str, bytes], object]

#: Reading names, attributes and items, and arithmetic. A call might do anything, and twice.
_HARMLESS = (
    ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Starred, ast.expr_context,
    ast.Dict, ast.List, ast.Tuple, ast.Set, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop,
)  # fmt: skip


def is_harmless(expression: ast.expr) -> bool:
    """Whether an expression may be evaluated though nobody asked for it."""
    return all(isinstance(node, _HARMLESS) for node in ast.walk(expression))


def differs(
    expression: ast.expr, value: Any, namespace: dict[str, Any], local: Mapping[str, Any] | None = None
) -> bool | None:
    """Whether an expression would give something else than `value` by now; None where there is no telling."""
    if type(expression) is ast.Constant:
        return not same(expression.value, value)
    if not is_harmless(expression):
        return None
    try:
        made = evaluated(expression, namespace, local)
    except Exception:  # noqa: BLE001 - a name that is gone, or an object of the user's that will not be read
        return None
    return not same(made, value)


def evaluated(expression: ast.expr, namespace: dict[str, Any], local: Mapping[str, Any] | None = None) -> Any:
    """The value of an expression that is known to be harmless."""
    return eval(compile(ast.Expression(expression), "<now>", "eval"), namespace, local)  # noqa: S307 - see above


def same(one: Any, other: Any) -> bool:
    """Whether two values are one, or equal in all that a codec writes of them, or in what they are made of."""
    if one is other or type(one) is not type(other):
        return one is other
    text = encoded(one)
    if text is not None:
        return text == encoded(other)
    for kind, parts in _MADE_OF.items():
        if type(one).__name__ == kind:
            return all(same(getattr(one, part), getattr(other, part)) for part in parts)
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - an object of the user's, which raises whatever it is asked
        return False


#: What tells apart those that are made anew each time that they are asked for.
_MADE_OF = {"builtin_function_or_method": ("__self__", "__name__"), "partial": ("func", "args", "keywords")}


def encoded(value: Any, put_blob: PutBlob | None = None, name: str = "value") -> str | None:
    """The codec's text of a value; None where it knows none. Raises what `put_blob` does."""
    try:
        return encode_json(value, put_blob=put_blob, name=name)
    except CodecError:
        return None
    except (FanfoldError, OSError):  # of the last, `put_blob` is the only source
        raise
    except Exception:  # noqa: BLE001 - a proxy of the user's, which raises whatever it is asked
        return None
