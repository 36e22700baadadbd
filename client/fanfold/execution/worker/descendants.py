"""The children of a process, as Linux lists them: `psutil` takes too long to import for a worker."""

import os


def children_of(parent: int) -> list[int]:
    """The processes whose parent that is, those included that have ended and were not waited for."""
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    stat = file.read()
            except OSError:  # it has ended meanwhile
                continue
            if int(stat[stat.rindex(b")") + 4 :].split(None, 1)[0]) == parent:
                found.append(int(name))
    return found


def is_tracker(pid: int) -> bool:
    """Whether that is a resource tracker: multiprocessing's, or loky's."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return b"resource_tracker" in file.read()
    except OSError:
        return False
