"""One call of a UDF inside a worker: decode, call, encode.

Imported by workers: cheap standard library only at the top.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from types import FunctionType, TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias

from fanfold.codec import Encoded, encode, encode_json
from fanfold.codec.values import JSON_SCALARS, decode, decode_json
from fanfold.contract.layout import INLINE_RESULT_BYTES
from fanfold.contract.records import NamedTuple
from fanfold.core.models import PATH_TAG, PATH_TAG_WITHIN, sha256
from fanfold.errors import CaptureError, CodecError, FanfoldError
from fanfold.execution.channel import Called, Packed
from fanfold.source.load import Bundle, left_behind, load, part_of, refill_of
from fanfold.source.rebuild import by_keywords

if TYPE_CHECKING:
    from typing_extensions import TypeIs

    from fanfold.execution.worker.explain import WhyHere

# Large arguments: files named after their bytes, each checked once, and read as seldom as can be.

#: Below this, decoding costs less than keeping.
_LARGE_BYTES = 64 * 1024
#: Decoded values that are kept, at most; a job's constants are few.
_KEPT = 16
_BLOCK_BYTES = 1 << 20


class Blobs:
    """The folder of large values by hash, as one worker reads it."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        #: Gives the classes and functions of the UDF's own that arguments refer to.
        self.from_source: Callable[[Any], Any] | None = None
        self._checked: set[str] = set()
        #: What the files were when the pool's own process had them in its hands; as such they need not be read again.
        self.known: dict[str, list[int]] = {}
        #: Of values that came once already, so that what comes only once is not kept beside its copy.
        self._seen: set[tuple[str, str]] = set()
        self._kept: dict[tuple[str, str], Any] = {}

    def decode(self, text: str) -> Any:
        """The value of an encoded text. Raises `CodecError`, naming the file where it is damaged."""
        return decode_json(
            text, get_value=self._value, trusted=True, from_source=self.from_source
        )  # the submitter's own code runs here

    def bytes_of(self, name: str) -> bytes:
        """The bytes of that hash."""
        try:
            with open(os.path.join(self._folder, name), "rb") as file:
                data = file.read()
        except FileNotFoundError as error:
            raise _missing(name) from error
        if name not in self._checked and not self._is_known(name) and sha256(data).hexdigest() != name:
            raise _damaged(name)
        self._checked.add(name)
        return data

    def _value(self, codec: str, name: Any, *_: str) -> Any:
        path, key = os.path.join(self._folder, name), (codec, name)
        if key in self._kept:
            return _copied(self._kept[key])
        if os.path.exists(path) and os.path.getsize(path) < _LARGE_BYTES:
            return decode(codec, self.bytes_of(name), allow_pickle=True)
        if codec == "npy/1":
            return self._mapped(path, name)
        value = decode(codec, self.bytes_of(name), allow_pickle=True)
        if key in self._seen and len(self._kept) < _KEPT and _can_be_copied(value):
            self._kept[key] = value
            return _copied(value)
        self._seen.add(key)
        return value

    def _mapped(self, path: str, name: str) -> Any:
        """An array over the file itself: pages are read as they are used, and copied as they are written."""
        import numpy as np

        try:
            self._check(path, name)
            mapped = np.load(path, mmap_mode="c", allow_pickle=False)
        except FileNotFoundError as error:
            raise _missing(name) from error
        except ValueError:  # of a kind that cannot be mapped
            return decode("npy/1", self.bytes_of(name))
        return mapped.view(np.ndarray)

    def _is_known(self, name: str) -> bool:
        if name not in self.known:
            return False
        about = os.stat(os.path.join(self._folder, name))
        return [about.st_size, about.st_mtime_ns, about.st_ino] == self.known[name]

    def _check(self, path: str, name: str) -> None:
        if name in self._checked or self._is_known(name):
            return
        import hashlib

        digest = hashlib.sha256()
        with open(path, "rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        if digest.hexdigest() != name:
            raise _damaged(name)
        self._checked.add(name)


#: What in the cells of a frame a run cannot change; of anything else, the copies of a frame share what stands there.
_FIXED_CELLS = frozenset("str bytes int float bool complex NoneType date datetime time timedelta Decimal UUID".split())
_FIXED_PACKAGES = ("numpy", "pandas", "shapely")


def _can_be_copied(value: Any) -> bool:
    package = type(value).__module__.partition(".")[0]
    if package in ("pandas", "geopandas"):
        columns = [value.iloc[:, place] for place in range(value.shape[1])] if value.ndim == 2 else [value]
        return all(map(_has_fixed_cells, columns))
    return package in ("polars", "pyarrow", "builtins")


def _has_fixed_cells(column: Any) -> bool:
    if column.dtype != object:
        return True
    return all(kind.__name__ in _FIXED_CELLS or _is_scalar(kind) for kind in set(map(type, column)))


def _is_scalar(kind: type) -> bool:
    is_table = hasattr(kind, "iloc") or kind.__name__ == "ndarray"
    return kind.__module__.partition(".")[0] in _FIXED_PACKAGES and not is_table


def _copied(value: Any) -> Any:
    """A copy that a run may change as it likes. What cannot be changed is its own copy."""
    package = type(value).__module__.partition(".")[0]
    if package in ("pandas", "geopandas"):
        return value.copy()
    return value.clone() if package == "polars" else value


def _damaged(name: str) -> CodecError:
    return CodecError(
        f"A large argument is damaged: the bytes of blobs/{name} do not match their name.",
        next_step="submit the job again, which stores it anew.",
    )


def _missing(name: str) -> CodecError:
    return CodecError(
        f"A large argument is not there any more: blobs/{name}.",
        next_step="submit the job again, which stores it anew.",
    )


# What a worker has loaded: a bundle, once, for all runs of it that the worker performs; and the jobs these
# belong to.

_SHA256_CHARACTERS = 64
#: The attribute of a function that `@udf(setup=...)` sets.
SETUP = "__fanfold_setup__"


class LoadedUdf:
    """A bundle's function, in modules that stay: registries are filled once, models loaded once, caches kept."""

    def __init__(self, bundle: str, blobs: str) -> None:
        self._bundle = bundle
        self._folder = blobs
        self.blobs = Blobs(blobs)
        self.is_loaded = False
        #: The paths that its code holds, as a text of arguments.
        self.code_paths = "{}"
        self.function: Callable[..., Any] = _not_loaded

    def load(self, before: Callable[[Bundle], None]) -> None:
        """Load it, and set it up; `before` is called with the bundle. Raises whatever its own code raises."""
        bundle = Bundle.from_bytes(_checked(self._bundle))
        before(bundle)
        if PATH_TAG_WITHIN in bundle.graph:
            from fanfold.codec.paths import code_paths

            self.code_paths = code_paths(bundle.graph)
        loaded = load(bundle, get_blob=self.blobs.bytes_of)
        function = loaded()
        self.blobs.from_source = lambda number: part_of(loaded, number)
        self.function = by_keywords(function)
        refill = refill_of(loaded)
        if refill is not None:
            self.function = _after(refill, self.function)
        setup = getattr(function, SETUP, None)
        if setup is not None:
            setup()
        self.is_loaded = True

    @property
    def source(self) -> str:
        """Where the UDF is for a process of its own that wants it: the bundle's file and the folder of its blobs.

        Empty where there is no bundle.
        """
        return self._bundle and f"{self._bundle}\n{self._folder}"


class JobContext:
    """What a worker is told of a job (`calls.Assignment.for_workers`), and the UDF it is of."""

    def __init__(self, udf: LoadedUdf, facts: dict[str, Any]) -> None:
        self.udf = udf
        self.id: str = facts["job_id"]
        self.serializer: str = facts["serializer"]
        self.mount: str = facts["mount"]
        self.data: str = facts["data"]
        self.fresh: bool = facts["fresh"]
        self.own_folder: bool = facts["own_folder"]
        self.threads: int = facts["threads"]
        self.path_rules: list[Any] | None = facts.get("path_rules")
        #: A run that has steps ends before so many seconds are over, and goes on in another try; None: no such limit.
        self.go_on_later_after_s: float | None = facts.get("go_on_later_after_s")
        #: How many calls this worker may make; None: any number.
        self._calls_left: int | None = facts.get("calls_per_worker")
        self.is_sealed: bool = facts.get("sealed", False)
        self._key = b""
        if known := facts.get("known_blobs"):
            udf.blobs.known.update(known)

    @property
    def knows_no_paths(self) -> bool:
        """Whether no path counts among what its runs are given, but those that are arguments."""
        return self.path_rules is None or not (self.path_rules[0] or PATH_TAG in self.udf.code_paths)

    def wears_out(self) -> bool:
        """Count a call that is over; whether the worker has made all that it may."""
        if self._calls_left is None:
            return False
        self._calls_left -= 1
        return self._calls_left <= 0

    def with_key(self, called: Called) -> Called:
        """The call without the key that came before its arguments."""
        from fanfold.codec.sealed import KEY_BYTES

        self._key = called.arguments[:KEY_BYTES]
        return called._replace(arguments=called.arguments[KEY_BYTES:])

    def arguments(self, text: str) -> Any:
        """A run's arguments, whose secrets are opened."""
        return self.opening(lambda: self.udf.blobs.decode(text)) if self.is_sealed else self.udf.blobs.decode(text)

    def opening(self, read: Callable[[], Any]) -> Any:
        """What `read` returns, which opens the secrets that it reads."""
        if not self.is_sealed:
            return read()
        from fanfold.codec.sealed import SealingKey, opened_by

        with opened_by(SealingKey(self._key)):
            return read()


def _checked(path: str) -> bytes:
    """The bundle's bytes. Raises `CaptureError` where its name is a hash, and not theirs."""
    with open(path, "rb") as file:
        data = file.read()
    name = os.path.basename(path)
    if len(name) == _SHA256_CHARACTERS and sha256(data).hexdigest() != name:
        raise CaptureError(
            f"The stored source of this UDF is damaged: the bytes of udf/{name} do not match their name.",
            next_step="submit the job again, which stores it anew.",
        )
    return data


def _after(refill: Callable[[], None], function: Callable[..., Any]) -> Callable[..., Any]:
    def call(**given: Any) -> Any:
        refill()
        return function(**given)

    return call


def _not_loaded(**_: Any) -> Any:
    raise AssertionError("a call came before its UDF was loaded")


class CallResult(NamedTuple):
    """What came of a call: where its result is, and the result where it is small; or the error."""

    output: Packed | None
    error: dict[str, Any] | None = None
    body: bytes = b""


#: What came of a call where it is a small result and nothing else: its codec, sha256 and bytes.
Small: TypeAlias = tuple[str, bytes, bytes]

_RESULT_TAG = PATH_TAG.encode()
#: The error's type where a result could not be written.
UNKEPT = "fanfold.errors.StoreFull"
#: Attributes that a UDF has outside.
_OF_A_UDF = ("map", "with_options", "options", "name")
#: An error has to fit into one message (`channel`), in which a character may take twelve bytes.
_MESSAGE_CHARACTERS = 4_000
_TRACEBACK_CHARACTERS = 10_000
_TOO_MANY_FILES = (errno.EMFILE, errno.ENFILE)
#: Raises OSError where a result of so many bytes has no room; None where writing it tells.
check_room: Callable[[int], None] | None = None


class SpareFiles:
    """A few descriptors that are kept back: to describe an error takes files, of which a UDF may have left none."""

    _NUMBER = 8

    def __init__(self) -> None:
        self._kept: list[int] = []
        #: Whether they were needed: the process has hardly a file to open any more.
        self.are_used = False

    def keep(self) -> None:
        """Keep them, once in each worker."""
        with suppress(OSError):
            self._kept = [os.open(os.devnull, os.O_RDONLY) for _ in range(self._NUMBER)]

    def give_back(self) -> bool:
        """Make room for a few files; False where that has been done."""
        kept, self._kept, self.are_used = self._kept, [], True
        for fd in kept:
            with suppress(OSError):  # the UDF has closed it
                os.close(fd)
        return bool(kept)


spare_files = SpareFiles()


def perform(job: JobContext, arguments: str, result_file: str, tidy: Callable[[], None]) -> CallResult:
    """Call the UDF once, and `tidy` up after it. A result that is not small is written to `result_file`.

    Whatever the user's code raises, `sys.exit` included, is a result.
    """
    try:
        before = _stamps_before(job, arguments)
        try:
            value = _value(job, job.arguments(arguments))
        finally:
            tidy()
        encoded = encode(value, serializer=job.serializer, as_file=True)
    except BaseException as error:  # noqa: BLE001  the user's own code
        return failed(error)
    return _kept(encoded, result_file, _marks(job, encoded, before))


def perform_decoded(job: JobContext, given: Any, folder: str, number: int) -> Small | CallResult:
    """As `perform`, for a UDF that leaves nothing to be tidied up, and is given these arguments, no path among them."""
    try:
        encoded = encode(_value(job, given), serializer=job.serializer, as_file=True)
    except BaseException as error:  # noqa: BLE001  the user's own code
        return failed(error)
    marks, (codec, data) = _marks(job, encoded, None), encoded
    if marks is None and len(data) <= INLINE_RESULT_BYTES:
        return codec, sha256(data).digest(), data
    return _kept(encoded, f"{folder}/{number}.result", marks)


def is_small(result: Small | CallResult) -> TypeIs[Small]:
    """Whether a call has ended with a small result and nothing else."""
    return type(result) is tuple


def whole(result: Small | CallResult) -> CallResult:
    """The same as what came of any call."""
    if not is_small(result):
        return result
    codec, digest, body = result
    return CallResult(Packed(codec, len(body), digest, None), body=body)


def _value(job: JobContext, given: Any) -> Any:
    value = job.udf.function(**given)
    kind = type(value)  # an object that makes up its attributes may raise anything
    if kind not in JSON_SCALARS and hasattr(kind, "__await__") and not hasattr(value, "__dask_graph__"):
        value = _awaited(value)
    return value


def failed(error: BaseException) -> CallResult:
    """The result of a call that has raised."""
    if isinstance(error, OSError) and error.errno in _TOO_MANY_FILES:
        spare_files.give_back()  # its files may stay open: the next run is to have a process with room
    try:
        return CallResult(None, _described(error))
    except OSError as second:
        if second.errno not in _TOO_MANY_FILES or not spare_files.give_back():
            raise
    return CallResult(None, _described(error))


def _awaited(value: Any) -> Any:
    import asyncio

    async def wait() -> Any:
        return await value

    return asyncio.run(wait())


def _stamps_before(job: JobContext, arguments: str) -> Any:
    """What the files are that the run is given; None where it is given none, as most are."""
    rules = job.path_rules
    if rules is None or not (rules[0] or PATH_TAG in arguments or PATH_TAG in job.udf.code_paths):
        return None
    from fanfold.execution.worker.marks import stamps_before

    return stamps_before(job, arguments)


def _marks(job: JobContext, encoded: Encoded, before: Any) -> dict[str, str] | None:
    """What the files were that the run was given and has returned; None of a run that names none, as most do."""
    rules = job.path_rules
    if rules is None:
        return None
    if not (rules[1] or before or _names_paths(encoded)):
        return None
    from fanfold.execution.worker.marks import marks_of

    return marks_of(job, encoded, before)


def _names_paths(encoded: Encoded) -> bool:
    """Whether a path may be in a result. None is among numbers, whose bytes are a view, which has no substrings."""
    return type(encoded.data) is bytes and _RESULT_TAG in encoded.data


def _kept(encoded: Encoded, result_file: str, marks: dict[str, str] | None) -> CallResult:
    codec, data = encoded
    if len(data) <= INLINE_RESULT_BYTES:
        return CallResult(Packed(codec, len(data), sha256(data).digest(), None, marks), body=data)
    try:
        if check_room is not None:
            check_room(len(data))
        with open(result_file, "wb") as file:
            file.write(data)
    except OSError as error:
        with suppress(OSError):
            os.unlink(result_file)  # what was written of it takes room that others need
        if error.errno in _TOO_MANY_FILES:
            return failed(error)
        return CallResult(None, _unkept(error, len(data)))
    return CallResult(Packed(codec, len(data), sha256(data).digest(), result_file, marks))


def _unkept(error: OSError, size: int) -> dict[str, Any]:
    """The result could not be written: the pool's side stops the job, for others would fare no better."""
    why = _why_here(error)
    message = f"a result of {size:,} bytes could not be written: {error.strerror}"
    if why is not None:
        message += f" ({why.note})"
    next_step = "" if why is None else why.next_step
    return {"type": UNKEPT, "message": message, "types": [], "infrastructure": True, "next_step": next_step}


def _described(error: BaseException) -> dict[str, Any]:
    """The error as text: type, message, the traceback in the user's own lines, and every class it belongs to."""
    kind, next_step = type(error), ""
    if isinstance(error, FanfoldError):  # told apart from what failed, or it would be said once more with each
        error.next_step, next_step = "", str(getattr(error, "next_step", ""))
        message = _message(error)
    else:
        message, next_step = _with_cause(error)
    return {
        "type": kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}",
        "message": _shortened(message, _MESSAGE_CHARACTERS),
        "traceback": _shortened(_traceback(error), _TRACEBACK_CHARACTERS),
        "types": [f"{c.__module__}.{c.__qualname__}" for c in kind.__mro__[:-1]],
        "next_step": _shortened(next_step, _MESSAGE_CHARACTERS),
        "exception": _as_value(error),
    }


def _with_cause(error: BaseException) -> tuple[str, str]:
    """The error's message with what its environment has to do with it, and what to do about them."""
    message, why = _message(error), _why_here(error)
    return (message, "") if why is None else (f"{message} ({why.note})", why.next_step)


def _why_here(error: BaseException) -> WhyHere | None:
    from fanfold.execution.worker.explain import explain

    try:
        return explain(error)
    except Exception:  # noqa: BLE001  the user's own attributes and __str__, and folders that the user has removed
        return None


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
