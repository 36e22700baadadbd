"""What machines promise, and what a container on them really gets."""

from __future__ import annotations

import pytest

from fanfold.contract.instances import (
    HOSTS,
    INSTANCE_TYPES,
    OWN_MEMORY_MIB,
    Host,
    InstanceType,
    container_memory_mib,
    run_memory_mib,
)

# What ECS agents registered for machines of these types (the least that was found for each), in MiB.
REGISTERED_MIB = {
    Host("t3.small", 2, 2, 0.0208): 1_801,
    Host("t3.medium", 2, 4, 0.0416): 3_828,
    Host("m4.large", 2, 8, 0.1): 7_953,
    Host("g4dn.xlarge", 4, 16, 0.526): 15_731,
    Host("m5.24xlarge", 96, 384, 4.608): 378_652,
    HOSTS["c5.large"]: 3_704,
    HOSTS["m5.large"]: 7_680,
    HOSTS["m5.xlarge"]: 15_576,
    HOSTS["m5.2xlarge"]: 31_368,
    HOSTS["m5.4xlarge"]: 62_818,
    HOSTS["m5.12xlarge"]: 189_283,
    HOSTS["r5.16xlarge"]: 510_326,
}


@pytest.mark.parametrize(("host", "registered_mib"), REGISTERED_MIB.items(), ids=lambda it: getattr(it, "name", ""))
def test_a_job_that_takes_a_whole_machine_fits_what_batch_registers(host: Host, registered_mib: int) -> None:
    asked = container_memory_mib(InstanceType(host.name, host.vcpus, host.memory_gib, host))
    assert asked <= (registered_mib - 32) * 0.95 + 1
    assert asked >= registered_mib * 0.80


def test_a_run_on_small_has_all_of_its_2_gib_for_its_host_is_larger() -> None:
    assert run_memory_mib(INSTANCE_TYPES["small"]) == 2048


@pytest.mark.parametrize("name", INSTANCE_TYPES)
def test_runs_side_by_side_never_use_more_than_their_container_spares(name: str) -> None:
    it = INSTANCE_TYPES[name]
    for side_by_side in (1, 2, 3, it.vcpus):
        runs_mib = side_by_side * run_memory_mib(it, side_by_side)
        assert container_memory_mib(it) - OWN_MEMORY_MIB - side_by_side < runs_mib
        assert runs_mib <= container_memory_mib(it) - OWN_MEMORY_MIB


def test_no_instance_type_promises_more_than_its_host_has() -> None:
    for name, instance_type in INSTANCE_TYPES.items():
        assert instance_type.memory_gib <= instance_type.host.memory_gib, name
        assert instance_type.vcpus <= instance_type.host.vcpus, name
        assert run_memory_mib(instance_type) <= instance_type.memory_gib * 1024, name


def test_no_host_is_of_the_t_family_that_batch_refuses() -> None:
    assert [name for name in HOSTS if name.startswith("t")] == []


def test_no_smaller_host_that_is_known_would_serve_a_borrowed_name() -> None:
    for name, it in INSTANCE_TYPES.items():
        fitting = [h for h in HOSTS.values() if h.vcpus >= it.vcpus and h.memory_gib >= it.memory_gib]
        assert it.host.usd_per_hour == min(h.usd_per_hour for h in fitting), name
