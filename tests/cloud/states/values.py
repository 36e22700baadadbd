"""Paths, payload templates and intrinsic functions of the Amazon States Language, as far as our definitions go.

https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from tests.cloud.refusals import NotEmulated

_PATH = re.compile(r"\$\$?(\.[A-Za-z_][A-Za-z0-9_]*)*")
_CALL = re.compile(r"States\.([A-Za-z]+)\((.*)\)", re.DOTALL)
_ARGUMENT = re.compile(r"\s*('(?:[^'\\]|\\.)*'|\$[^,()]*|States\.[A-Za-z]+\([^()]*\))\s*(?:,|$)")
_FUNCTIONS = ("Format", "UUID", "JsonToString")


class StateFailed(Exception):
    """A state ended with an error, which retriers and catchers go by."""

    def __init__(self, error: str, cause: str = "") -> None:
        super().__init__(f"{error}: {cause}")
        self.error = error
        self.cause = cause


def as_json(value: Any) -> str:
    """JSON as Step Functions writes it: no blanks, text as it is."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def check_template(template: Any) -> None:
    """Raise `NotEmulated` where a template holds a path or a function that is not known."""
    for key, value in _entries(template):
        if key.endswith(".$") and not _PATH.fullmatch(value):
            name, arguments = _split(value)
            if name not in _FUNCTIONS:
                raise NotEmulated(f"the intrinsic function States.{name}")
            check_template([{"argument.$": one} for one in arguments if not one.startswith("'")])


def fill(template: Any, given: Any, context: Mapping[str, Any]) -> Any:
    """The template with its paths and functions evaluated against a state's input and its context object."""
    if isinstance(template, list):
        return [fill(item, given, context) for item in template]
    if not isinstance(template, dict):
        return template
    return {
        key.removesuffix(".$"): evaluate(value, given, context) if key.endswith(".$") else fill(value, given, context)
        for key, value in template.items()
    }


def evaluate(text: str, given: Any, context: Mapping[str, Any]) -> Any:
    """What a path or an intrinsic function gives. Fails with States.Runtime, or States.IntrinsicFailure, as there."""
    if _PATH.fullmatch(text):
        return _at(text, context if text.startswith("$$") else given)
    name, arguments = _split(text)
    values = [one[1:-1] if one.startswith("'") else evaluate(one, given, context) for one in arguments]
    if name == "UUID":
        return str(uuid.uuid4())
    if name == "JsonToString":
        return as_json(values[0])
    pattern, *parts = values
    if pattern.count("{}") != len(parts):
        raise StateFailed("States.IntrinsicFailure", f"{text}: as many values as places are needed")
    texts = iter(part if isinstance(part, str) else as_json(part) for part in parts)
    return re.sub(r"\{\}", lambda _: next(texts), pattern)


def put(given: Any, path: str | None, value: Any) -> Any:
    """A state's input with a result at `path`, of one name below the root; None discards the result."""
    if path is None:
        return given
    if not re.fullmatch(r"\$\.\w+", path):
        raise NotEmulated(f"the ResultPath {path}")
    return {**given, path[2:]: value}


def _at(path: str, value: Any) -> Any:
    for name in path.split(".")[1:]:
        if not isinstance(value, dict) or name not in value:
            raise StateFailed("States.Runtime", f"The JSONPath '{path}' could not be found in the input")
        value = value[name]
    return value


def _split(text: str) -> tuple[str, list[str]]:
    """The name of a function and its arguments as they are written."""
    call = _CALL.fullmatch(text)
    if call is None:
        raise NotEmulated(f"the path {text}")
    name, rest = call.groups()
    arguments = []
    while rest.strip():
        argument = _ARGUMENT.match(rest)
        if argument is None:
            raise NotEmulated(f"the arguments of {text}")
        arguments.append(argument[1].strip())
        rest = rest[argument.end() :]
    return name, arguments


def _entries(template: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(template, list):
        for item in template:
            yield from _entries(item)
    elif isinstance(template, dict):
        for key, value in template.items():
            yield key, value
            yield from _entries(value)
