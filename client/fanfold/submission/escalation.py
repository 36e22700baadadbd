"""What `escalate=` asks for: larger machines for runs that meet their limits (`engines.larger` runs them there)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

from fanfold.contract.instances import InstanceType
from fanfold.contract.layout import REALTIME_MEMORY_MIB
from fanfold.core.options import Request, instance_type
from fanfold.engines.base import Engine
from fanfold.errors import InputError

#: What `escalate=True` goes up, as far as it is larger than where the runs are.
_LADDER = ("small", "medium", "large")

#: What `escalate` takes: True for the whole ladder, a machine, or several, the smallest first.
Escalate: TypeAlias = bool | str | Sequence[str] | None


def check_ladder(asked: Escalate, request: Request, engine: Engine, *, image: str | None) -> tuple[InstanceType, ...]:
    """The machines that `escalate` names, in that order. Raises `InputError` where they are none."""
    if asked is None or asked is False:
        return ()
    if asked is not True and not isinstance(asked, (str, list, tuple)):
        raise InputError(
            f"escalate={asked!r} names no machine.",
            next_step='give True, a machine ("medium"), or several, the smallest first: ("medium", "large").',
        )
    offered = engine.describe(image or "").instance_types
    names = _larger(offered, request) if asked is True else [asked] if isinstance(asked, str) else list(asked)
    machines = [instance_type(name, offered, argument="escalate") for name in names]
    for name, machine in zip(names, machines, strict=True):
        if machine is None or machine == request.instance:
            raise InputError(
                f"escalate={name!r} is the machine that the runs have already.", next_step='name a machine: "medium".'
            )
    ladder = tuple(machine for machine in machines if machine is not None)
    where = () if request.instance is None else (request.instance,)
    if not ladder or any(later.memory_gib <= one.memory_gib for one, later in pairwise((*where, *ladder))):
        raise InputError(
            f"escalate={asked!r} leads to no larger machine.",
            next_step='name machines, the smallest first: ("medium", "large").',
        )
    return ladder


def _larger(offered: Mapping[str, InstanceType], request: Request) -> list[str]:
    """The names of the ladder's machines that have more memory than the runs have where they are."""
    has_gib = REALTIME_MEMORY_MIB / 1024 if request.instance is None else request.instance.memory_gib
    return [name for name in _LADDER if name in offered and offered[name].memory_gib > has_gib]
