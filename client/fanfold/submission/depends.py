"""What a UDF depends on beside its code and its arguments: `@udf(depends_on=[...])`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from fanfold.codec import encode_json
from fanfold.codec.path_cells import TextsArePaths
from fanfold.codec.paths import ABSENT, PATTERN, CannotLook, NamedPath, Stamps, content, content_of_matches, texts_in
from fanfold.errors import CodecError, InputError


def resolve(
    depends_on: Sequence[Any], parameters: Sequence[str], defaults: Mapping[str, Any]
) -> tuple[tuple[str, ...], str]:
    """The parameters among them, and a text that changes when a file or a function's value among them does.

    So does a file that a parameter's default names, which no input does. Raises `InputError` for what is neither a
    parameter, nor a file or folder that is there, nor a function.
    """
    named = tuple(one for one in depends_on if isinstance(one, str) and one in parameters)
    others = [one for one in depends_on if not (isinstance(one, str) and one in parameters)]
    texts = [_text_of(one, parameters) for one in others]
    by_default = [f"{name} {_of_default(name, defaults[name])}" for name in named if defaults.get(name) is not None]
    return named, "\n".join([*by_default, *texts])


def _of_default(name: str, default: Any) -> str:
    """What the files lead to that a parameter's default names: itself, or within a list, a frame and the like."""
    if isinstance(default, str):
        return _stamp(default)
    try:
        text = encode_json(default, put_blob=TextsArePaths(lambda *_: None), name=name)
    except CodecError as error:
        raise InputError(
            f"depends_on names {name!r}, whose default has no codec: {error.message}",
            next_step="make the default None, and pass the value as an argument.",
        ) from error
    return ", ".join(_stamp(path) for path in dict.fromkeys(texts_in(json.loads(text))))


def _stamp(path: str) -> str:
    try:
        return Stamps().of(NamedPath(path, deep=True))
    except CannotLook as error:
        raise _unreadable(path, error) from error


def _unreadable(one: Any, error: Exception) -> InputError:
    return InputError(
        f"depends_on names {str(one)!r}, which cannot be read: {error}.",
        next_step="make it readable for the process that submits, or depend on a function that gives its version.",
    )


def _text_of(one: Any, parameters: Sequence[str]) -> str:
    if not isinstance(one, (str, PurePath)):
        return _value_of(one)
    path = os.path.expanduser(one)
    try:
        stamp = _stamp(path) if path.startswith("s3://") else f"{os.path.basename(path)} {content(path)}"
    except FileNotFoundError:
        stamp = content_of_matches(path) if PATTERN.search(path) else ABSENT
    except OSError as error:
        raise _unreadable(one, error) from error
    if stamp == ABSENT:
        raise _leads_nowhere(str(one), parameters)
    return f"{path} {stamp}" if path.startswith("s3://") else stamp


def _leads_nowhere(name: str, parameters: Sequence[str]) -> InputError:
    import difflib

    what = "neither a parameter of the UDF nor a file or folder that exists"
    if PATTERN.search(name):
        what = "a pattern that no file matches"
    meant = difflib.get_close_matches(name, parameters, n=1)
    return InputError(
        f"depends_on names {name!r}, which is {what}.",
        next_step=f"did you mean {meant[0]!r}?"
        if meant
        else "name a parameter, a path, or a function whose value counts.",
    )


def _value_of(function: Callable[[], Any]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    try:
        value = function()
    except Exception as error:
        raise InputError(
            f"depends_on calls {name}(), which raised {type(error).__name__}: {error}.",
            next_step="a function there takes no arguments and returns what the results depend on.",
        ) from error
    try:
        return f"{name} {encode_json(value, put_blob=lambda *_: None, name=f'{name}()')}"
    except CodecError as error:
        raise InputError(
            f"depends_on calls {name}(): {error.message}", next_step="return plain data, such as a version or a date."
        ) from error
