"""How a worker that is a program of its own ends with its pool; forked ones end with their server."""

import fcntl
import os
import signal


def die_with_the_pool(lifeline: int) -> None:
    """Have the kernel kill this process and its children when the pool's process ends, however it ends.

    The pool alone holds the other end of `lifeline` and never writes to it. Where the kernel cannot signal on its
    closing (not Linux), a thread waits for that instead.
    """
    os.set_inheritable(lifeline, False)
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        if _closed(lifeline):  # the pool ended before this was set up
            os.killpg(0, signal.SIGKILL)
    else:
        import threading

        def wait_for_the_end() -> None:
            os.read(lifeline, 1)
            os.killpg(0, signal.SIGKILL)

        threading.Thread(target=wait_for_the_end, name="fanfold-lifeline", daemon=True).start()


def _closed(lifeline: int) -> bool:
    try:
        return os.read(lifeline, 1) == b""
    except BlockingIOError:
        return False
