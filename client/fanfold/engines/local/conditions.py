"""Conditions under which this machine runs realtime jobs: with its own limits, or with those of AWS Lambda."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from fanfold.contract.layout import REALTIME_DISK_MIB
from fanfold.execution.worker.confined import may_confine, told
from fanfold.settings import CONDITIONS_MARK, Conditions

if TYPE_CHECKING:
    from fanfold.stores.local import LocalStores

#: What a place for runs can be like, and what can befall them there.
LIKES = ("lambda",)
FATES = ("throttle", "oom", "lost", "slow")


def conditions_of(image: str) -> Conditions:
    """Under which conditions the runs of a job with that image are to be (`JobHeader.image`)."""
    return Conditions.of_mark(image.partition(" ")[0].partition(CONDITIONS_MARK)[2])


def confinement(asked: Conditions, stores: LocalStores) -> tuple[tuple[str, str], ...]:
    """The variable that tells workers to confine themselves; none where they have this machine to themselves."""
    if asked.like != "lambda":
        return ()
    _say_what_is_not_limited()
    data = stores.data_place
    kept = [stores.scratch, stores.shared_folder, *([Path(data)] if data.startswith("/") else [])]
    for folder in kept:
        folder.mkdir(parents=True, exist_ok=True)
    read = [stores.home, Path(__file__).parents[3], *_python()]
    return (told(REALTIME_DISK_MIB, map(_real, kept), map(_real, read)),)


def _python() -> list[Path]:
    """Where workers import from."""
    return [Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).parent]


def _real(path: Path) -> str:
    return str(path.resolve())


@cache
def _say_what_is_not_limited() -> None:
    """Say once, where this machine does not let processes have mounts of their own, what is not as in Lambda."""
    if not may_confine():
        sys.stderr.write(
            "fanfold: this machine lets no process have a disk of its own, so /tmp has no limit and other folders can"
            " be written to, which they cannot in Lambda; time, memory and shared memory are limited as there.\n"
        )
