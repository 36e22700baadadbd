"""Two functions of C, through `_ctypes`: `ctypes` itself takes ten times as long to import."""

import sys
from collections.abc import Callable
from typing import Any

#: prctl(2)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def prctl(option: int, value: int) -> None:
    """Linux's prctl(2); nothing elsewhere."""
    call = _function("prctl") if sys.platform == "linux" else None
    if call is not None:
        call(option, value, 0, 0, 0)


def native_flush() -> Callable[[], Any] | None:
    """C's `fflush` of all streams; None in a Python that cannot call it."""
    flush = _function("fflush")
    return None if flush is None else lambda: flush(None)


def _function(name: str) -> Callable[..., Any] | None:
    try:
        import _ctypes
    except ImportError:
        return None
    program: Any = None
    address = _ctypes.dlsym(_ctypes.dlopen(program, 0), name)
    return lambda *arguments: _ctypes.call_cdeclfunction(address, arguments)
