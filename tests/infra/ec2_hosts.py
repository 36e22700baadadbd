"""Makes `infra/ec2_hosts.txt`, from the names that botocore has and the facts that moto has, both of them AWS's own.

python -m tests.infra.ec2_hosts > infra/ec2_hosts.txt
"""

from __future__ import annotations

import gzip
import json
from importlib.resources import files
from typing import Any

import botocore.session
import moto


def facts() -> dict[str, Any]:
    """What EC2's DescribeInstanceTypes says of each type, as moto has recorded it."""
    recorded = files(moto) / "ec2" / "resources" / "instance_types.json.gz"
    found: dict[str, Any] = json.loads(gzip.decompress(recorded.read_bytes()))
    return found


def names() -> list[str]:
    """Every instance type that EC2's API knows, in the words of botocore's model."""
    known: list[str] = botocore.session.get_session().get_service_model("ec2").shape_for("InstanceType").enum
    return known


def lines() -> list[str]:
    """The table's lines: name, vCPUs, GiB, GPUs, how it is sold; `?` where moto knows nothing more than the name."""
    known = facts()
    return [f"{name} {_of(known[name])}" if name in known else f"{name} ? ? ?" for name in sorted({*names(), *known})]


def _of(one: dict[str, Any]) -> str:
    gpus = sum(gpu["Count"] or 1 for gpu in (one.get("GpuInfo") or {}).get("Gpus", ()))
    sold = "" if "spot" in one["SupportedUsageClasses"] else " on-demand-only"
    return f"{one['VCpuInfo']['DefaultVCpus']} {one['MemoryInfo']['SizeInMiB'] / 1024:g} {gpus}{sold}"


if __name__ == "__main__":
    print("\n".join(lines()))
