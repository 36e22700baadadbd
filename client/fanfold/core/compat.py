"""The older spelling of calls: arguments of the system this follows, and what they are here.

docs/compatibility.md has the whole table. A UDF's own parameter always wins: what it takes is its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from fanfold.core.options import Options, unwrapped
from fanfold.errors import InputError

#: `inspect.CO_VARKEYWORDS`: the function has a `**kwargs`.
_CO_VARKEYWORDS = 8

#: Say how runs are sent or what they keep on the caller's side, which is no question here.
_WITHOUT_EFFECT = frozenset(
    "execution_type run_cache_max_age cache_reset cache_storage cache_verbose worker_concurrency"
    " _before_run _before_submit _isolate_streams _ignore_unknown_arguments type".split()
)


def submit_arguments(
    udf: Any, inputs: Any, constants: dict[str, Any], options: Iterable[str] | None = None
) -> tuple[Any, dict[str, Any]]:
    """The inputs and constants of a `submit`, where `arg_list` may be what the inputs are called.

    Raises `InputError` for what is neither a parameter of the UDF nor one of the `options`, but nearly so, or is
    another tool's word for one.
    """
    kept = _own(udf, constants)
    if inputs is None and "arg_list" in kept:
        inputs = kept.pop("arg_list")
    refuse_misspelt(udf, kept, options)
    return inputs, kept


def run_arguments(udf: Any, params: dict[str, Any], options: Iterable[str] | None = None) -> dict[str, Any]:
    """The arguments of a `run`, of which some may come as one dict, `parameters`. Raises `InputError`, as above."""
    kept = _own(udf, params)
    if isinstance(kept.get("parameters"), dict) and not takes(unwrapped(udf)[0], "parameters"):
        kept = {**kept.pop("parameters"), **kept}
    refuse_misspelt(udf, kept, options)
    return kept


def refuse_misspelt(udf: Any, given: dict[str, Any], options: Iterable[str] | None) -> None:
    """Raise `InputError` for what is no parameter of the UDF and nearly an option, or an option of another call."""
    function, _ = unwrapped(udf)
    for name, value in given.items():
        if takes(function, name) or _takes_any(function):
            continue
        from fanfold.core.elsewhere import call_option_hint

        if hint := call_option_hint(name, options or (), Options._fields):
            raise InputError(
                f"{name}={value!r} is neither an option nor a parameter of {function.__name__}().", next_step=hint
            )


def _own(udf: Any, given: dict[str, Any]) -> dict[str, Any]:
    function, _ = unwrapped(udf)
    return {name: value for name, value in given.items() if name not in _WITHOUT_EFFECT or takes(function, name)}


def takes(fn: Callable[..., Any], name: str) -> bool:
    """Whether a function has a parameter of that name."""
    code = _code(fn)
    return code is not None and name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]


def _takes_any(fn: Callable[..., Any]) -> bool:
    code = _code(fn)
    return code is None or bool(code.co_flags & _CO_VARKEYWORDS)


def _code(fn: Callable[..., Any]) -> Any:
    import inspect

    return getattr(inspect.unwrap(fn), "__code__", None)
