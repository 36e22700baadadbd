"""Settings that stand in an `if`, a loop or a `try` at the top of a file: what of them is executed again.

Of an `if` the statements that it led to, where the test can be asked again and gives what it gave. A loop or a `try`
whole, where nothing but settings stands in it. All else stays behind, and is named.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from typing import Any

from fanfold.source.capture import BLOCKS, is_harmless
from fanfold.source.drift import evaluated
from fanfold.source.texts import Source, bindings, dotted, names_in, top_level

#: Says of a statement why it stays behind: nothing where it travels, None where it sets nothing up.
Reason = Callable[[ast.stmt], str | None]

_UNKNOWN_TEST = "there is no telling which way its `if` went"
_DOES_MORE = "its block does something else as well, which would be done again"
#: What is set within these is as it was before at their end.
_TEMPORARY = {
    "catch_warnings",
    "errstate",
    "option_context",
    "localcontext",
    "rc_context",
    "printoptions",
    "config_context",
}
#: Parts of a test, and calls in one, that change nothing.
_OF_TESTS = (ast.Compare, ast.cmpop, ast.BoolOp, ast.boolop, ast.IfExp)
_ASKING = frozenset({"hasattr", "isinstance", "issubclass", "callable", "len", "bool", "getattr"})
_ASKED_OF = frozenset({"startswith", "endswith", "get", "lower", "upper", "strip", "getenv"})
#: Calls that a loop goes through.
_GOING_THROUGH = frozenset({"range", "enumerate", "zip", "sorted", "reversed", "list", "tuple", "set"})
_VIEWS = frozenset({"items", "keys", "values"})


def setup_in_block(
    reason: Reason, source: Source, node: ast.stmt, namespace: dict[str, Any]
) -> Iterator[tuple[ast.stmt, str]]:
    """The settings of a block, each with why it stays behind, if it does."""
    settings = list(_settings_in([node], reason))
    if not settings or _is_for_this_process(node) or _is_temporary(node):
        return
    if isinstance(node, ast.If):
        went = _went(source, node.test, namespace)
        if went is None:
            yield from ((each, _UNKNOWN_TEST) for each in settings)
            return
        for each in node.body if went else node.orelse:
            if isinstance(each, BLOCKS):
                yield from setup_in_block(reason, source, each, namespace)
            elif (why := reason(each)) is not None:
                yield each, why
    elif isinstance(node, (ast.For, ast.Try)) and _may_be_done_again(node, reason, namespace):
        yield node, ""
    else:
        yield node, _DOES_MORE


def _settings_in(body: list[Any], reason: Reason) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, (*BLOCKS, ast.ExceptHandler)):
            for inner in ("body", "orelse", "finalbody", "handlers"):
                yield from _settings_in(getattr(node, inner, []), reason)
        elif reason(node) is not None:
            yield node


def _is_for_this_process(node: ast.stmt) -> bool:
    """Whether it is `if __name__ == "__main__"`, or for type checkers alone."""
    if not isinstance(node, ast.If):
        return False
    return not {"__name__", "TYPE_CHECKING"}.isdisjoint(names_in([node.test]) | {(dotted(node.test) or ("",))[-1]})


def _is_temporary(node: ast.stmt) -> bool:
    if not isinstance(node, ast.With):
        return False
    calls = (each.context_expr for each in node.items)
    return any(isinstance(each, ast.Call) and (dotted(each.func) or ("",))[-1] in _TEMPORARY for each in calls)


def _went(source: Source, test: ast.expr, namespace: dict[str, Any]) -> bool | None:
    """Which way an `if` went; None where there is no telling."""
    known = bindings(top_level(source))
    if not _can_be_asked(test) or any(len(known.get(name, ())) > 1 for name in names_in([test])):
        return None
    try:
        return bool(evaluated(test, namespace))
    except Exception:  # noqa: BLE001 - a name that is gone, or an object of the user's that will not be read
        return None


def _can_be_asked(test: ast.AST) -> bool:
    if isinstance(test, ast.Call):
        chain = dotted(test.func) or ("",)
        is_one = (len(chain) == 1 and chain[0] in _ASKING) or (len(chain) > 1 and chain[-1] in _ASKED_OF)
        return is_one and all(map(_can_be_asked, [*test.args, *test.keywords]))
    if isinstance(test, (*_OF_TESTS, ast.UnaryOp, ast.keyword)):
        return all(map(_can_be_asked, ast.iter_child_nodes(test)))
    return isinstance(test, (ast.operator, ast.unaryop)) or is_harmless(test, {})


def _may_be_done_again(node: Any, reason: Reason, namespace: dict[str, Any]) -> bool:
    """Whether a statement does nothing but set up what may be set up again."""
    if isinstance(node, ast.For):
        parts = [*node.body, *node.orelse]
        return _can_be_gone_through(node.iter, namespace) and _all(parts, reason, namespace)
    if isinstance(node, ast.Try):
        handled = [each for handler in node.handlers for each in handler.body]
        return _all([*node.body, *handled, *node.orelse, *node.finalbody], reason, namespace)
    if isinstance(node, ast.If):
        return _can_be_asked(node.test) and _all([*node.body, *node.orelse], reason, namespace)
    if isinstance(node, (ast.Pass, ast.Continue, ast.Break, ast.Import, ast.ImportFrom)):
        return True
    return reason(node) == "" or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))


def _all(body: list[ast.stmt], reason: Reason, namespace: dict[str, Any]) -> bool:
    return all(_may_be_done_again(each, reason, namespace) for each in body)


def _can_be_gone_through(expression: ast.expr, namespace: dict[str, Any]) -> bool:
    if isinstance(expression, ast.Call) and not expression.keywords:
        called = expression.func
        if isinstance(called, ast.Attribute) and called.attr in _VIEWS and not expression.args:
            return is_harmless(called.value, namespace)
        if isinstance(called, ast.Name) and called.id in _GOING_THROUGH and called.id not in namespace:
            return all(_can_be_gone_through(each, namespace) for each in expression.args)
    return is_harmless(expression, namespace)
