"""What the name of an EC2 instance type says of it, and which of them Batch or its system images refuse.

A family's name is letters, a generation, and attributes: in `m7gd`, `g` stands for Graviton and `d` for a local disk.
https://docs.aws.amazon.com/ec2/latest/instancetypes/instance-type-names.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fanfold.contract.instances import Host

#: Families whose machines have GPUs that CUDA can use. `g4ad` has AMD's, for which Batch has no system image.
_NVIDIA = ("p", "g", "gr")
#: What Batch's `ECS_AL2023_NVIDIA` does not support (Batch API, Ec2Configuration.imageType).
_OLD_GPUS = ("p2", "p3", "p3dn", "g3", "g3s")
#: Machines with accelerators of another kind, for which Batch picks an image that has no driver for them.
_OTHER_ACCELERATORS = ("inf", "trn", "dl", "vt", "f")
#: Batch starts no burstable machines, and no Macs.
_NEVER = ("t", "mac")


def refusals(host: Host) -> Iterator[str]:
    """Why AWS would refuse this host, or why no run could ever start on it; nothing where it fits."""
    family = host.name.partition(".")[0]
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
