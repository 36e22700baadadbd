"""The limits that a job's UDF has set itself, told apart from those of the place where its runs run."""

from __future__ import annotations

from fanfold.contract.instances import INSTANCE_TYPES, run_memory_mib
from fanfold.contract.limits import REALTIME_MEMORY_MIB, REALTIME_TIMEOUT_S
from fanfold.models import JobHeader


def own_timeout_s(header: JobHeader) -> float | None:
    """The UDF's own `timeout_s`, where it ends runs earlier than they would be ended anyway."""
    if header.instance_type is not None:  # a machine has no limit of time but this
        return header.timeout_s
    return header.timeout_s if header.timeout_s is not None and header.timeout_s < REALTIME_TIMEOUT_S else None


def own_memory_mib(header: JobHeader) -> int | None:
    """The UDF's own `memory_mib`, where it is less than its runs would have anyway, as far as that is known."""
    has_mib: int | None = REALTIME_MEMORY_MIB
    if header.instance_type is not None:
        machine = INSTANCE_TYPES.get(header.instance_type)  # a deployment's own is known to the deployment alone
        has_mib = None if machine is None else run_memory_mib(machine, header.n_processes_per_worker)
    if header.memory_mib is None or has_mib is None or header.memory_mib >= has_mib:
        return None
    return header.memory_mib
