"""The machines a dedicated run can ask for, and the AWS hosts that serve them."""

from __future__ import annotations

from collections.abc import Mapping

from fanfold.contract.records import NamedTuple

# What AWS charges: the one dated table that plans, costs, the dashboard and the docs are made from.


class Prices(NamedTuple):
    """Dollars of one region, as of a month.

    Lambda by the GB-second of either architecture and by the request; Step Functions by the Express request and its
    GB-hour, and by the Standard transition; DynamoDB by the write of 1 KB and the read of 4 KB; S3 by the request;
    machines by the hour and host.
    """

    as_of: str
    region: str
    lambda_gb_second: float
    lambda_gb_second_arm64: float
    lambda_request: float
    express_request: float
    express_gb_hour: float
    standard_transition: float
    dynamodb_write: float
    dynamodb_read: float
    s3_put: float
    s3_get: float
    per_hour: Mapping[str, float]
    spot_per_hour: Mapping[str, float]

    def machine(self, host: str, *, spot: bool = False, on_demand: float = 0.0) -> float:
        """What an hour of a host costs; of one that the table does not have, what `on_demand` says."""
        if spot:
            return self.spot_per_hour.get(host) or round(self.per_hour.get(host, on_demand) * SPOT_SHARE, 4)
        return self.per_hour.get(host, on_demand)


#: aws.amazon.com/ec2/pricing/on-demand, Linux.
_PER_HOUR = {
    "c5.large": 0.085,
    "m5.large": 0.096,
    "m5.xlarge": 0.192,
    "m5.2xlarge": 0.384,
    "m5.4xlarge": 0.768,
    "m5.8xlarge": 1.536,
    "m5.12xlarge": 2.304,
    "m5.16xlarge": 3.072,
    "r5.large": 0.126,
    "r5.xlarge": 0.252,
    "r5.2xlarge": 0.504,
    "r5.4xlarge": 1.008,
    "r5.8xlarge": 2.016,
    "r5.12xlarge": 3.024,
    "r5.16xlarge": 4.032,
    "x2idn.16xlarge": 6.669,
    "x2idn.32xlarge": 13.338,
}
#: Spot prices change by the hour, mostly between 30 and 45% of on demand: the upper end, so that a plan does not
#: promise too much.
SPOT_SHARE = 0.45

#: aws.amazon.com/lambda/pricing, /step-functions/pricing, /dynamodb/pricing/on-demand, /s3/pricing.
LIST_PRICES = Prices(
    as_of="2026-10",
    region="us-east-1",
    lambda_gb_second=0.0000166667,
    lambda_gb_second_arm64=0.0000133334,
    lambda_request=0.20e-6,
    express_request=1.00e-6,
    express_gb_hour=0.06,
    standard_transition=25.0e-6,
    dynamodb_write=0.625e-6,
    dynamodb_read=0.125e-6,
    s3_put=5.0e-6,
    s3_get=0.40e-6,
    per_hour=_PER_HOUR,
    spot_per_hour={host: round(usd * SPOT_SHARE, 4) for host, usd in _PER_HOUR.items()},
)


class Host(NamedTuple):
    """An EC2 machine: vCPUs, memory in GiB, on-demand dollars per hour by the list of `prices`."""

    name: str
    vcpus: int
    memory_gib: float
    usd_per_hour: float
    architecture: str = "x86_64"
    gpus: int = 0

    def price(self, prices: Prices, *, spot: bool = False) -> float:
        """Dollars per hour by these prices; of a host that they do not have, by what it says itself."""
        return prices.machine(self.name, spot=spot, on_demand=self.usd_per_hour)


class InstanceType(NamedTuple):
    """A name users may ask for, what it promises, and the host that serves it."""

    name: str
    vcpus: int
    memory_gib: float
    host: Host

    @property
    def served_by_another(self) -> bool:
        """True where the host is not the machine of that name, so that users are told."""
        return self.name != self.host.name


def _host(name: str, vcpus: int, memory_gib: float) -> Host:
    return Host(name, vcpus, memory_gib, LIST_PRICES.machine(name))


def _family(name: str, memory_per_vcpu: int) -> list[Host]:
    sizes = {"large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32, "12xlarge": 48, "16xlarge": 64}
    return [_host(f"{name}.{size}", vcpus, vcpus * memory_per_vcpu) for size, vcpus in sizes.items()]


#: Every host Fanfold may start. Batch's managed environments refuse the t3 family, so none is here.
HOSTS: dict[str, Host] = {
    host.name: host
    for host in [
        _host("c5.large", 2, 4),
        *_family("m5", memory_per_vcpu=4),
        *_family("r5", memory_per_vcpu=8),
        _host("x2idn.16xlarge", 64, 1024),
        _host("x2idn.32xlarge", 128, 2048),
    ]
}

#: Name asked for -> (vCPUs, GiB promised, host): aliases, and machines served by the nearest host at least as large.
_SERVED: dict[str, tuple[int, float, str]] = {
    "small": (2, 2, "c5.large"),
    "medium": (16, 64, "m5.4xlarge"),
    "large": (64, 512, "r5.16xlarge"),
    "t3.nano": (2, 0.5, "c5.large"),
    "t3.micro": (2, 1, "c5.large"),
    "t3.small": (2, 2, "c5.large"),
    "t3.medium": (2, 4, "c5.large"),
    "t3.large": (2, 8, "m5.large"),
    "t3.xlarge": (4, 16, "m5.xlarge"),
    "t3.2xlarge": (8, 32, "m5.2xlarge"),
    "c2-standard-4": (4, 16, "m5.xlarge"),
    "c2-standard-8": (8, 32, "m5.2xlarge"),
    "c2-standard-16": (16, 64, "m5.4xlarge"),
    "c2-standard-30": (30, 120, "m5.8xlarge"),
    "c2-standard-60": (60, 240, "m5.16xlarge"),
    "m3-ultramem-32": (32, 976, "x2idn.16xlarge"),
    "m3-ultramem-64": (64, 1952, "x2idn.32xlarge"),
}

INSTANCE_TYPES: dict[str, InstanceType] = {
    **{name: InstanceType(name, vcpus, gib, HOSTS[host]) for name, (vcpus, gib, host) in _SERVED.items()},
    **{host.name: InstanceType(host.name, host.vcpus, host.memory_gib, host) for host in HOSTS.values()},
}


#: What the process that watches over a machine's runs needs itself, in MiB; the realtime function's likewise.
OWN_MEMORY_MIB = 256


def run_memory_mib(instance_type: InstanceType, side_by_side: int = 1) -> int:
    """MiB that each of `side_by_side` runs on this instance type may use.

    Together they stay within the container: it is Fanfold that ends a run for its memory and says so, never the kernel.
    """
    return (container_memory_mib(instance_type) - OWN_MEMORY_MIB) // side_by_side


def container_memory_mib(instance_type: InstanceType) -> int:
    """MiB a container on this instance type may use: what is promised to runs and what Fanfold itself needs, or what
    its host can spare if that is less.

    It is a hard limit: more is killed. A job that asks for more than its host registers stays RUNNABLE for ever.
    The kernel sees less than a machine's nominal memory. ECS agents have registered, in MiB: t3.small 1,801 to 1,917,
    t3.medium 3,828, c5.large 3,704, m5.large 7,680, m5.4xlarge 62,818, m5.12xlarge 189,283, r5.16xlarge 510,326, all
    of them more than 95.5% less 256. Batch's AMI keeps 32 for the agent, and 5% is left to the system, as in
    https://docs.aws.amazon.com/batch/latest/userguide/memory-management.html.
    """
    registered_mib = instance_type.host.memory_gib * 1024 * 0.955 - 256 - 32
    return min(int(instance_type.memory_gib * 1024) + OWN_MEMORY_MIB, int(registered_mib * 0.95))
