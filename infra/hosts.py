"""What the name of an EC2 instance type says of it, and which of them Batch or its system images refuse.

A family's name is letters, a generation, and attributes: in `m7gd`, `g` stands for Graviton and `d` for a local disk.
https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html

`ec2_hosts.txt` has what EC2 itself says of each: its vCPUs, its GiB, its GPUs, and whether it is sold on demand only.
`tests/infra/ec2_hosts.py` makes it.
"""

from __future__ import annotations

import difflib
import functools
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from fanfold.contract.instances import Host

#: Families whose machines have GPUs that CUDA can use. `g4ad` has AMD's, for which Batch has no system image.
_NVIDIA = ("p", "g", "gr")
#: What Batch's `ECS_AL2023_NVIDIA` does not support (Batch API, Ec2Configuration.imageType).
_OLD_GPUS = ("p2", "p3", "p3dn", "g3", "g3s")
#: Machines with accelerators of another kind, for which Batch picks an image that has no driver for them.
_OTHER_ACCELERATORS = ("inf", "trn", "dl", "vt", "f")
#: Batch starts no burstable machines, and no Macs.
_NEVER = ("t", "mac")


class _Facts(NamedTuple):
    """What a host has; None where only its name is known."""

    vcpus: int | None
    memory_gib: float | None
    gpus: int | None
    spot: bool = True


def refusals(host: Host, *, spot: bool = False, newer: bool = False) -> Iterator[str]:
    """Why AWS would refuse this host, or why no run could ever start on it; nothing where it fits.

    `spot`: whether it is to be a Spot machine; `newer`: AWS has it, though the table does not.
    """
    family = host.name.partition(".")[0]
    facts = _table().get(host.name)
    if facts is None and not newer:
        yield _unknown(host.name)
        return
    if spot and facts is not None and not facts.spot:
        yield f"EC2 has no Spot machines of {host.name}; choose another host, or leave `spot` out"
    letters, attributes = _parts(family)
    if letters in _NEVER:
        yield f"Batch refuses the {letters} family ({host.name}); choose another host"
    elif letters in _OTHER_ACCELERATORS:
        yield f"{host.name} has accelerators that Fanfold's image cannot use; choose another host"
    elif family == "a1":
        yield f"Amazon Linux 2023 does not support {host.name}; choose a newer Graviton host, such as m7g.large"
    else:
        yield from _wrong_processor(host, attributes)
        yield from _wrong_gpus(host, family, letters, attributes)
        yield from _too_much(host, facts or _Facts(None, None, None))


@functools.cache
def _table() -> Mapping[str, _Facts]:
    """Every EC2 instance type that there was when the table was made."""
    rows = (line.split() for line in Path(__file__).with_name("ec2_hosts.txt").read_text("utf-8").splitlines())
    return {
        name: _Facts(None, None, None)
        if vcpus == "?"
        else _Facts(int(vcpus), float(gib), int(gpus), "on-demand-only" not in more)
        for name, vcpus, gib, gpus, *more in rows
    }


def _unknown(name: str) -> str:
    near = difflib.get_close_matches(name, _table(), n=3)
    like = f" ({', '.join(near)} there are)" if near else ""
    return (
        f"EC2 has no instance type {name} that Fanfold knows of{like}; correct the name, "
        'or where AWS has brought it out since, write "newer": true'
    )


def _too_much(host: Host, facts: _Facts) -> Iterator[str]:
    """A job that asks for more than its machine has stays in the queue for ever."""
    for field, wanted in (("vcpus", host.vcpus), ("memory_gib", host.memory_gib), ("gpus", host.gpus)):
        has = getattr(facts, field)
        if has and wanted > has:
            yield f'{host.name} has {has:g}, which no job may exceed; write "{field}": {has:g}'


def _parts(family: str) -> tuple[str, str]:
    """Letters and attributes of a family: `m7gd` gives `m` and `gd`; `u-6tb1` gives `u` and nothing."""
    match = re.fullmatch(r"([a-z]+)\d+([a-z-]*)", family)
    return (match[1], match[2]) if match else (re.match(r"[a-z]*", family)[0], "")  # type: ignore[index]


def _wrong_processor(host: Host, attributes: str) -> Iterator[str]:
    actual = "arm64" if "g" in attributes else "x86_64"
    if host.architecture != actual:
        yield f'{host.name} has an {actual} processor; write "architecture": "{actual}"'


def _wrong_gpus(host: Host, family: str, letters: str, attributes: str) -> Iterator[str]:
    if letters not in _NVIDIA:
        if host.gpus:
            yield f'{host.name} has no GPU; leave "gpus" out'
    elif family in _OLD_GPUS:
        yield f"Batch's system image for GPUs does not support {host.name}; choose a newer one, such as g4dn.xlarge"
    elif family.startswith("g4ad"):
        yield f"Batch's system image for GPUs has no driver for the AMD GPU of {host.name}; choose g4dn.xlarge"
    elif "g" in attributes:
        yield f"Batch's system image for GPUs does not run on Graviton ({host.name}); choose g4dn.xlarge"
    elif not host.gpus:
        yield f'{host.name} has GPUs that UDFs would not see; write "gpus": and how many it has'
