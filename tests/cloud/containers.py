"""What of a container can be had without one: its own /dev/shm.

Lambda has none (https://stackoverflow.com/questions/34005930, https://aws.amazon.com/blogs/compute/parallel-processing-in-python-with-aws-lambda/);
a container of Batch has 64 MB, or what its definition's `sharedMemorySize` says
(https://docs.aws.amazon.com/batch/latest/APIReference/API_LinuxParameters.html).
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import cache

#: Of Docker's, where nothing else is said.
DEFAULT_SHARED_MIB = 64

#: A command, and how many MiB of shared memory there are for it (None: no /dev/shm): the command that runs it so.
Contain = Callable[[list[str], "int | None"], list[str]]

_PRIVATE = "mount --make-rprivate /"
#: A /dev of its own, with all that programs look for there but shared memory.
_WITHOUT = f"""{_PRIVATE}
new=$(mktemp -d) && mount -t tmpfs -o mode=755 none "$new" || exit 125
for name in null zero full random urandom tty; do touch "$new/$name"; mount --bind "/dev/$name" "$new/$name"; done
ln -s /proc/self/fd "$new/fd"; ln -s fd/0 "$new/stdin"; ln -s fd/1 "$new/stdout"; ln -s fd/2 "$new/stderr"
mount --move "$new" /dev && rmdir "$new"
exec "$@" """
_WITH = f"""{_PRIVATE}
mount -t tmpfs -o size=%dm none /dev/shm || exit 125
exec "$@" """


def as_it_is(command: list[str], shared_mib: int | None) -> list[str]:
    """For real containers, which are told by themselves."""
    return command


def contain(command: list[str], shared_mib: int | None) -> list[str]:
    """The command in a mount namespace of its own; as it is where this machine lets nobody make one."""
    if not may_contain():
        return command
    script = _WITHOUT if shared_mib is None else _WITH % shared_mib
    inner = [sys.executable if command[0] == "python" else command[0], *command[1:]]
    return [*_unshare(), "sh", "-c", script, "sh", *inner]


def may_contain() -> bool:
    """Whether commands can be contained on this machine."""
    return bool(_unshare())


@cache
def _unshare() -> tuple[str, ...]:
    for way in (("unshare", "--mount"), ("unshare", "--user", "--map-root-user", "--mount")):
        try:
            if not subprocess.run([*way, "sh", "-c", _PRIVATE], capture_output=True, check=False).returncode:
                return way
        except FileNotFoundError:  # no Linux
            break
    return ()
