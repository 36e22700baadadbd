"""What threads of one process share: locks, events, queues, thread pools, thread-locals.

None of them is the same in another process, and a module that makes one at its top makes a new one wherever it is
imported. So a new one of the same kind travels, as long as nobody holds the one that is here, or waits in it.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from inspect import signature
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.source.modules import is_library

_WAITED_IN = "something that a thread of this process waits in"
_POOL = ("concurrent.futures.thread", "ThreadPoolExecutor")


#: Where the classes are of objects that are no more than what they hold.
_PLAIN = frozenset({"builtins", "collections", "functools", "types"})
#: What goes on in this process, or stands for what does, also where a class of the user's extends it.
_LIVE = frozenset({"Thread", "Future", "Executor", "Popen", "BaseProcess"})


class MadeAnew(NamedTuple):
    """A new object of the same kind: what makes it, from what, and what is set on it then."""

    module: str
    name: str
    args: tuple[Any, ...] = ()
    attributes: dict[str, Any] = {}  # noqa: RUF012 - nobody changes it


class InUse(Exception):
    """A thread of this process holds the object, waits in it, or has put something there."""


def made_anew(value: Any) -> MadeAnew | None:
    """What makes a new one of a lock or a queue; None for anything else. Raises `InUse` where a new one is not it."""
    kind = type(value)
    if issubclass(kind, threading.local):
        return _local(value, kind)
    make = _MAKERS.get(kind)
    if make is None and (kind.__module__, kind.__qualname__) == _POOL:
        make = _thread_pool
    return None if make is None else make(value)


def keeps_a_lock(kind: type, state: Any) -> bool:
    """Whether the state of a library's object, or of a thread, a process or a future, has a lock in it.

    It guards what goes on in this process. In an object of a class of the user's a new lock does as well.
    """
    if kind.__module__ in _PLAIN or kind in _MAKERS:
        return False
    if not is_library(kind.__module__) and not any(base.__name__ in _LIVE for base in kind.__mro__):
        return False
    return any(type(each) in _MAKERS for each in _flat(state, 3))


def _flat(state: Any, depth: int) -> Iterator[Any]:
    """What plain data holds, down to a depth."""
    if depth and type(state) in (dict, list, tuple):
        for each in state.values() if type(state) is dict else state:
            yield from _flat(each, depth - 1)
    else:
        yield state


def _lock(value: Any) -> MadeAnew:
    if repr(value).startswith("<locked"):  # asking it otherwise would take it
        raise InUse("a lock that a thread of this process holds")
    return MadeAnew("threading", "RLock" if "RLock" in type(value).__name__ else "Lock")


def _event(value: threading.Event) -> MadeAnew:
    return MadeAnew("threading", "Event", (), {"_flag": True} if value.is_set() else {})


def _condition(value: Any) -> MadeAnew:
    if value._waiters:
        raise InUse(_WAITED_IN)
    return MadeAnew("threading", "Condition", (value._lock,))


def _semaphore(value: Any) -> MadeAnew:
    """With as many as are left of it: how many there were, only a bounded one knows."""
    if value._cond._waiters:
        raise InUse(_WAITED_IN)
    started = getattr(value, "_initial_value", value._value)
    if value._value != started:
        raise InUse(f"a semaphore of which {started - value._value} of {started} are taken")
    return MadeAnew("threading", type(value).__name__, (started,))


def _barrier(value: Any) -> MadeAnew:
    if value.n_waiting or value.broken:
        raise InUse("a broken barrier" if value.broken else _WAITED_IN)
    return MadeAnew("threading", "Barrier", (value._parties, value._action, value._timeout))


def _queue(value: Any) -> MadeAnew:
    if count := value.qsize():
        raise InUse(_holding(count))
    if value.not_empty._waiters or value.not_full._waiters:
        raise InUse(_WAITED_IN)
    open_tasks = value.unfinished_tasks
    attributes = {"unfinished_tasks": open_tasks} if open_tasks else {}
    if getattr(value, "is_shutdown", False):
        attributes["is_shutdown"] = True
    return MadeAnew("queue", type(value).__name__, (value.maxsize,), attributes)


def _simple_queue(value: Any) -> MadeAnew:
    if count := value.qsize():
        raise InUse(_holding(count))
    return MadeAnew("queue", "SimpleQueue")


def _holding(count: int) -> str:
    return f"a queue that holds {count} {'item' if count == 1 else 'items'}"


def _thread_pool(value: Any) -> MadeAnew:
    try:
        made_with = value._create_worker_context() if sys.version_info >= (3, 14) else value
        begins = ("initializer", "initargs") if sys.version_info >= (3, 14) else ("_initializer", "_initargs")
        given = (value._max_workers, value._thread_name_prefix, *(getattr(made_with, name) for name in begins))
        is_idle = not value._work_queue.qsize() and value._idle_semaphore._value >= len(value._threads)
        is_over = value._shutdown or value._broken
    except AttributeError as error:  # another Python's, which keeps them elsewhere
        raise InUse("a thread pool of which there is no telling whether it is idle") from error
    if is_over or not is_idle:
        raise InUse("a thread pool that was shut down" if is_over else "a thread pool that has work")
    return MadeAnew(*_POOL, given)


def _local(value: Any, kind: Any) -> MadeAnew:
    """With what the submitting thread has there: that is what the code would find if it were called here."""
    if kind is not threading.local and not _needs_nothing(kind):
        raise InUse("a thread-local whose class asks for arguments, which nobody can see")
    return MadeAnew(kind.__module__, kind.__qualname__, (), dict(vars(value)))


def _needs_nothing(kind: Callable[..., Any]) -> bool:
    try:
        signature(kind).bind()
    except (TypeError, ValueError):
        return False
    return True


_MAKERS: dict[type, Callable[[Any], MadeAnew]] = {
    type(threading.Lock()): _lock,
    type(threading.RLock()): _lock,
    threading._RLock: _lock,
    threading.Event: _event,
    threading.Condition: _condition,
    threading.Semaphore: _semaphore,
    threading.BoundedSemaphore: _semaphore,
    threading.Barrier: _barrier,
    **dict.fromkeys((queue.Queue, queue.LifoQueue, queue.PriorityQueue), _queue),
    queue.SimpleQueue: _simple_queue,
}
