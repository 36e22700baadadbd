"""The older spelling of calls: arguments of the system this follows, and what they are here.

docs/compatibility.md has the whole table. A UDF's own parameter always wins: what it takes is its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fanfold.options import unwrapped

#: Say how runs are sent or what they keep on the caller's side, which is no question here.
_WITHOUT_EFFECT = frozenset(
    "execution_type run_cache_max_age cache_reset cache_storage cache_verbose worker_concurrency"
    " _before_run _before_submit _isolate_streams _ignore_unknown_arguments type".split()
)


def submit_arguments(udf: Any, inputs: Any, constants: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The inputs and constants of a `submit`, where `arg_list` may be what the inputs are called."""
    kept = _own(udf, constants)
    if inputs is None and "arg_list" in kept:
        inputs = kept.pop("arg_list")
    return inputs, kept


def run_arguments(udf: Any, params: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a `run`, of which some may come as one dict, `parameters`."""
    kept = _own(udf, params)
    if isinstance(kept.get("parameters"), dict) and not takes(unwrapped(udf)[0], "parameters"):
        kept = {**kept.pop("parameters"), **kept}
    return kept


def _own(udf: Any, given: dict[str, Any]) -> dict[str, Any]:
    function, _ = unwrapped(udf)
    return {name: value for name, value in given.items() if name not in _WITHOUT_EFFECT or takes(function, name)}


def takes(fn: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of that name."""
    import inspect

    code = getattr(inspect.unwrap(fn), "__code__", None)
    return code is not None and name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
