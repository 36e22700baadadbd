"""A call that an executor sends to its own worker: function, arguments and result are pickled, as everywhere.

Imported by workers that serve an executor: cheap standard library only, and cloudpickle with the first result.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.execution import parcel
from fanfold.execution.channel import Packed
from fanfold.execution.parcel import Parcel
from fanfold.execution.worker import session as around
from fanfold.execution.worker.perform import CallResult, LoadedUdf
from fanfold.source.load import Bundle

#: The serializer of an assignment whose calls are carried; and what a result can be.
CARRIED = "carried"
VALUE, RAISED, UNREADABLE = "carried/value", "carried/raised", "carried/unreadable"
#: A result up to this many bytes is in the answer itself.
_INLINE_BYTES = 32 * 1024
_NO_DIGEST = bytes(32)
#: What cloudpickle would pickle no differently, and later.
_PLAIN = frozenset({int, float, complex, bool, str, bytes, type(None)})


class Session(NamedTuple):
    """What all calls from one state of the submitting process share: where it finds its modules."""

    path: list[str]
    #: What multiprocessing's managers of that process know their clients by; None where it has none.
    authkey: bytes | None
    #: What its modules hold by now, and what it has set up: a pickled `WorkerState`, or nothing.
    around: bytes = b""


class CarriedUdf(LoadedUdf):
    """Stands for a UDF: nothing is loaded before the calls but where modules are, and what the executor prepares."""

    def __init__(self, folder: str) -> None:
        super().__init__("", "")
        self._pool_folder = folder

    def load(self, before: Callable[[Bundle], None]) -> None:  # noqa: ARG002  there is no bundle
        """Call the initializer, if there is one. Raises what it raises."""
        sys.path[:] = _session(self._pool_folder, "0").path
        self.is_loaded = True
        try:
            with open(preparation_file(self._pool_folder), "rb") as file:
                initializer, initargs = pickle.load(file)  # noqa: S301 - written by this process's parent
        except FileNotFoundError:
            return
        initializer(*initargs)


#: So many states of the submitting process are kept, for it may come back to one.
MOST_SESSIONS = 8
_sessions: dict[str, Session] = {}


def perform(text: str, result_file: str, tidy: Callable[[], None]) -> CallResult:
    """Open a call, make it, and pack what came of it, whatever that is."""
    number, open_parcel = parcel.opened(text)
    session = _session(os.path.dirname(result_file), number)
    sys.path[:] = session.path
    try:
        around.enter(session.around)
    except BaseException as error:  # noqa: BLE001  the user's own statements and modules
        return _told(RAISED, _packed_error(error), result_file)
    try:
        function, args, kwargs, *beside = open_parcel()
    except BaseException as error:  # noqa: BLE001  unpickling runs the user's own code
        return _told(UNREADABLE, _packed_error(error), result_file)
    try:
        try:
            value = function(*args, **kwargs)
        finally:
            del function, args, kwargs, beside
            tidy()
        packed = parcel.pack(value, pickle.dumps if type(value) in _PLAIN else _dumps())
    except BaseException as error:  # noqa: BLE001  the user's own code, which a result's pickling is as well
        return _told(RAISED, _packed_error(error), result_file)
    finally:
        parcel.let_referents_go()
    return _told(VALUE, packed, result_file)


def session_file(folder: str, number: str) -> str:
    """Where a session stands."""
    return os.path.join(folder, f"session-{number}")


def preparation_file(folder: str) -> str:
    """Where the pool's preparation stands, if it has one."""
    return os.path.join(folder, "preparation")


def _session(folder: str, number: str) -> Session:
    known = _sessions.get(number)
    if known is None:
        with open(session_file(folder, number), "rb") as file:
            known = _sessions[number] = Session(*pickle.load(file))  # noqa: S301 - written by this process's parent
        if len(_sessions) > MOST_SESSIONS:
            del _sessions[next(iter(_sessions))]
        if known.authkey is not None:
            from multiprocessing import process

            process.current_process().authkey = known.authkey
    return known


def _dumps() -> Callable[..., bytes]:
    from fanfold.execution.definitions import dump_result

    return dump_result


def _told(kind: str, packed: Parcel, result_file: str) -> CallResult:
    if not packed.buffers and len(packed.pickled) <= _INLINE_BYTES:
        return CallResult(Packed(kind, len(packed.pickled), _NO_DIGEST, None), body=packed.pickled)
    packed.write(result_file)
    return CallResult(Packed(kind, packed.size, _NO_DIGEST, result_file))


# Errors: the object itself, its traceback as text beside it.


def _packed_error(error: BaseException) -> Parcel:
    text = _traceback(error)
    for carried in (error, _Remade(error)):
        try:
            packed = parcel.pack((carried, text), _dumps())
            again, _ = pickle.loads(packed.pickled, buffers=packed.buffers)  # noqa: S301 - what only the reader finds out
        except BaseException:  # noqa: BLE001, S112  the user's own __reduce__ or __init__
            continue
        if carried is not error or _has_args_of(error, again):
            return packed
    described = RuntimeError(f"{type(error).__name__}: {_message(error)} (the error itself cannot be pickled)")
    return parcel.pack((described, text), pickle.dumps)


def _has_args_of(error: BaseException, again: BaseException) -> bool:
    """Whether an error that was made anew by its class has its arguments: an `__init__` may have changed them twice."""
    try:
        return type(again) is not type(error) or bool(again.args == error.args) or repr(again.args) == repr(error.args)
    except Exception:  # noqa: BLE001  an array is not simply equal, and __repr__ is the user's own
        return True


class _Remade:
    """An error whose class does not take its own `args`: made without calling `__init__`."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __reduce__(self) -> tuple[Any, ...]:
        return remade, (type(self._error), self._error.args, self._error.__dict__)


def remade(kind: type[BaseException], args: tuple[Any, ...], attributes: dict[str, Any]) -> BaseException:
    """An error of that class with these arguments and attributes."""
    error = kind.__new__(kind)
    error.args = args
    error.__dict__.update(attributes)
    return error


def _traceback(error: BaseException) -> str:
    import traceback

    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
        frames = frames.tb_next
    try:
        return "".join(traceback.format_exception(type(error), error, frames))
    except BaseException as second:  # noqa: BLE001  the user's own __repr__ or __str__
        return f"<its traceback could not be formatted: {type(second).__name__}>\n"


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as second:  # noqa: BLE001  the user's own __str__
        return f"<its message could not be read: {type(second).__name__}>"
