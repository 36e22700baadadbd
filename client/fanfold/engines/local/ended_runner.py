"""What the process that ran a dedicated job has left to say, and whether another would fare better."""

from __future__ import annotations

from fanfold.core.models import JobHeader
from fanfold.errors import StoreFull
from fanfold.stores import disk
from fanfold.stores.local import LocalStores


def check_room(stores: LocalStores, header: JobHeader) -> None:
    """Raises `StoreFull` where a new process for the job would end as the last did: of a full disk."""
    least = disk.ROOM_AGAIN_BYTES if StoreFull.__name__ in last_words(stores, header) else disk.NO_ROOM_BYTES
    if disk.has_no_room(stores.home, least):
        raise StoreFull(
            f"No room left in {stores.home}, of which the process that ran job {header.id} has ended.",
            next_step=f"free some disk space; `fanfold status {header.id}` then starts what is left of it.",
        )


def last_words(stores: LocalStores, header: JobHeader) -> str:
    """The last that a dedicated job's runner wrote, if it wrote anything: most likely why it ended."""
    try:
        lines = stores.runner_log(header.id).read_text(encoding="utf-8", errors="replace").split("\n")
    except FileNotFoundError:
        return ""
    said = [line.strip() for line in lines if line.strip() and not line.strip().startswith("Next: ")]
    return f"; its last words: {said[-1][:500]}" if said else ""
