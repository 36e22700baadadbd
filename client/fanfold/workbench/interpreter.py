"""How the page's process uses its interpreter, so that no viewer waits for what another one has asked."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

from nicegui import helpers, json
from nicegui.client import templates

#: How long a thread that computes may keep the interpreter from the one that serves the pages; Python's own is 5 ms.
_SWITCH_S = 0.001
_M_ARENA_MAX = -8
#: Threads that read stores and compute for the pages, and how long they may take to start.
_THREADS = 8
_START_S = 5.0
#: Young objects are looked through at these counts, all objects by `give_memory_back` alone. Some 12,000 at a time take
#: 2 ms; with Python's own habit of fewer and larger looks, all viewers waited up to 40 ms for one.
_YOUNG, _MIDDLE, _NEVER = 2_000, 5, 1_000_000_000
#: All objects are due after so many looks through the younger ones: what came since is some 50,000 objects at most.
_LOOKS_UNTIL_ALL = 4


def prepare_interpreter() -> None:
    """Have threads change places often and share their memory, and elements of pages made in half of the time."""
    sys.setswitchinterval(_SWITCH_S)
    with suppress(OSError, AttributeError):  # another C library has no such thing, and needs none
        # Each of glibc's own arenas, one a thread, would keep what one large job needed once.
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
    helpers.expects_arguments = remembering(helpers.expects_arguments)  # type: ignore[assignment]
    json.dumps = taking_any_text(json.dumps)


def remembering(expects_arguments: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """The same answer, read once for each method of a class.

    NiceGUI asks three times for each element whether the method that hears of a change takes an argument: to read the
    signature anew each time took more than half of what it takes to build a page.
    """
    known: WeakKeyDictionary[FunctionType, bool] = WeakKeyDictionary()

    def remembered(func: Any) -> bool:
        method = func.__func__ if type(func) is MethodType else None
        if type(method) is not FunctionType:
            return expects_arguments(func)
        answer = known.get(method)
        if answer is None:
            answer = known[method] = expects_arguments(func)
        return answer

    return remembered


def taking_any_text(dumps: Callable[..., str]) -> Callable[..., str]:
    """The same JSON; of text that is no Unicode, what cannot be sent is written out.

    A run may print or give half of a surrogate pair, as names of files have it. One in one text would keep all that is
    sent with it from the page, which would stand still from then on without a word.
    """

    def dumped(value: Any, *arguments: Any, **options: Any) -> str:
        try:
            return dumps(value, *arguments, **options)
        except TypeError:  # so it is told; what is wrong with another value is raised by the second try
            return dumps(_written_out(value), *arguments, **options)

    return dumped


def _written_out(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_written_out(name): _written_out(one) for name, one in value.items()}
    return [_written_out(one) for one in value] if isinstance(value, (list, tuple)) else value


async def warm_up() -> None:
    """Do before the first visit what would hold up the loop in it: compile the pages' template, start the threads.

    Modules stay for ever, some hundred thousand objects: the garbage collector passes over them from now on. And it
    looks through all others only when asked to: else it would do so in the middle of a page, with everybody waiting.
    """
    loop = asyncio.get_running_loop()
    loop.set_default_executor(threads := ThreadPoolExecutor(_THREADS, "fanfold"))
    together = Barrier(_THREADS)
    with suppress(RuntimeError):  # those that do not come now start when they are needed: no page waits for them
        await asyncio.gather(*(loop.run_in_executor(threads, together.wait, _START_S) for _ in range(_THREADS)))
    templates.get_template("index.html")
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)


def many_objects_came() -> bool:
    """Whether as many have come as can be looked through at once without anybody noticing.

    Pages that were left are most of them: each leaves some thousands that refer to each other.
    """
    return gc.get_count()[2] >= _LOOKS_UNTIL_ALL


def give_memory_back(*, whole: bool) -> None:
    """Collect what refers to itself, and have the C library give back what it keeps: a page's thread calls this.

    All threads wait while all objects are looked through, some 3 ms for 10,000: that is for `whole` alone, else only
    the younger ones are. The library would keep all that lies below something that is still in use.
    """
    gc.collect(2 if whole else 1)
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
