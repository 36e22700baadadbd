"""One call of a UDF inside a worker: decode, call, encode.

Imported by workers: cheap standard library only at the top.
"""

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from types import FunctionType, TracebackType
from typing import Any, NamedTuple

from fanfold.codec import encode, encode_json
from fanfold.contract.limits import INLINE_RESULT_BYTES
from fanfold.errors import FanfoldError
from fanfold.execution.channel import Packed
from fanfold.execution.worker.hashing import sha256
from fanfold.execution.worker.loaded import Job
from fanfold.source.load import left_behind


class CallResult(NamedTuple):
    """What came of a call: where its result is, and the result where it is small; or the error."""

    output: Packed | None
    error: dict[str, Any] | None = None
    body: bytes = b""


#: The error's type where a result could not be written.
UNKEPT = "fanfold.errors.StoreFull"
#: Attributes that a UDF has outside.
_OF_A_UDF = ("map", "with_options", "options", "name")
#: An error has to fit into one message (`channel`), in which a character may take twelve bytes.
_MESSAGE_CHARACTERS = 4_000
_TRACEBACK_CHARACTERS = 10_000
_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)


def perform(job: Job, arguments: str, result_file: str, tidy: Callable[[], None]) -> CallResult:
    """Call the UDF once, and `tidy` up after it. A result that is not small is written to `result_file`.

    Whatever the user's code raises, `sys.exit` included, is a result.
    """
    try:
        try:
            value = job.udf.function(**job.udf.blobs.decode(arguments))
            if hasattr(value, "__await__"):
                value = _awaited(value)
        finally:
            tidy()
        encoded = encode(value, serializer=job.serializer)
    except BaseException as error:  # noqa: BLE001  the user's own code
        return failed(error)
    return _kept(encoded.codec, encoded.data, result_file)


def failed(error: BaseException) -> CallResult:
    """The result of a call that has raised."""
    return CallResult(None, _described(error))


def _awaited(value: Any) -> Any:
    import asyncio

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())


def _kept(codec: str, data: bytes, result_file: str) -> CallResult:
    if len(data) <= INLINE_RESULT_BYTES:
        return CallResult(Packed(codec, len(data), sha256(data), None), body=data)
    try:
        with open(result_file, "wb") as file:
            file.write(data)
    except OSError as error:
        with suppress(OSError):
            os.unlink(result_file)  # what was written of it takes room that others need
        if error.errno in _TOO_MANY_FILES:
            return failed(error)
        return CallResult(None, _unkept(error, len(data)))
    return CallResult(Packed(codec, len(data), sha256(data), result_file))


def _unkept(error: OSError, size: int) -> dict[str, Any]:
    """The result could not be written: the pool's side stops the job, for others would fare no better."""
    message = f"a result of {size:,} bytes could not be written: {error.strerror}"
    return {"type": UNKEPT, "message": message, "types": [], "infrastructure": True}


def _described(error: BaseException) -> dict[str, Any]:
    """The error as text: type, message, the traceback in the user's own lines, and every class it belongs to."""
    kind, next_step = type(error), ""
    if isinstance(error, FanfoldError):  # told apart from what failed, or it would be said once more with each
        error.next_step, next_step = "", str(getattr(error, "next_step", ""))
    return {
        "type": kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}",
        "message": _shortened(_message(error), _MESSAGE_CHARACTERS),
        "traceback": _shortened(_traceback(error), _TRACEBACK_CHARACTERS),
        "types": [f"{c.__module__}.{c.__qualname__}" for c in kind.__mro__[:-1]],
        "next_step": _shortened(next_step, _MESSAGE_CHARACTERS),
        "exception": _as_value(error),
    }


def _as_value(error: BaseException) -> str:
    """The exception as text from which a reader that has its class makes it again; nothing where it is too long."""
    try:
        text = encode_json(error, name="error", own="loosely")
    except BaseException:  # noqa: BLE001  the user's own attributes
        return ""
    return text if len(text) <= _MESSAGE_CHARACTERS else ""


def _message(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"the UDF called sys.exit({'' if error.code is None else repr(error.code)})"
    try:
        message = str(error)
        return message + (_advice(error) or left_behind(error, message))
    except BaseException as second:  # noqa: BLE001  the user's own __str__
        return f"<its message could not be read: {type(second).__name__}>"


def _advice(error: BaseException) -> str:
    """What to say to code that takes a UDF for one inside a run, where it is a plain function."""
    if isinstance(error, AttributeError) and error.name in _OF_A_UDF and isinstance(error.obj, FunctionType):
        return f" (inside a run a UDF is a plain function: call it, or `{error.name}` from outside with more inputs)"
    if isinstance(error, OSError) and error.errno in _TOO_MANY_FILES:
        return " (the run has as many files open as it may: close each when it is done with, as `with open(...)` does)"
    return ""


def _shortened(text: str, characters: int) -> str:
    """The text without its middle where it is too long to travel."""
    if len(text) <= characters:
        return text
    return f"{text[: characters // 2]}\n[... {len(text) - characters:,} characters ...]\n{text[-characters // 2 :]}"


def _traceback(error: BaseException) -> str:
    """The traceback without Fanfold's own frames, which tell the user nothing."""
    import traceback

    while error.__traceback__ is not None and _is_ours(error.__traceback__):
        error.__traceback__ = error.__traceback__.tb_next
    if isinstance(error, FanfoldError):
        if error.__traceback__ is None:
            return ""
        _cut(error.__traceback__)
    try:
        return "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except BaseException as second:  # noqa: BLE001  the user's own __repr__ or __str__
        return f"<its traceback could not be formatted: {type(second).__name__}>\n"


def _cut(frames: TracebackType) -> None:
    """Leave out the last frames that are Fanfold's own: the first is the user's, whose call has met the error."""
    last, following = frames, frames.tb_next
    while following is not None:
        last, following = (last if _is_ours(following) else following), following.tb_next
    last.tb_next = None


_HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _is_ours(frame: TracebackType) -> bool:
    return frame.tb_frame.f_code.co_filename.startswith(_HOME + os.sep)
