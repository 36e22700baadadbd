"""How many realtime runs may run side by side, and how a Distributed Map keeps to that."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from fanfold.contract.cloud import Lane
from fanfold.contract.payloads import RUNS_PER_CHILD
from fanfold.contract.records import NamedTuple
from fanfold.errors import FanfoldError
from fanfold.stores.aws.account import Account, Refused

#: What an account has that has asked AWS for no more; new ones have 10 for a while.
_USUAL = 1_000


class Capacity:
    """What the deployment has reserved, or else what the account leaves to all its functions. Asked for once."""

    def __init__(self, account: Account, reserved: int) -> None:
        """`reserved`: runs side by side, 0 for none of its own."""
        self._account = account
        self._known = reserved

    def runs(self) -> int:
        """Runs side by side at most."""
        if not self._known:
            self._known = self._asked()
        return self._known

    def _asked(self) -> int:
        try:
            answer = self._account.call("lambda", "get_account_settings", on="the account's limits")
        except FanfoldError:
            return _USUAL  # it is only for the pace: too fast is throttled, and tried again
        return max(1, int(answer["AccountLimit"]["UnreservedConcurrentExecutions"]))


#: So many times what may run at once is given to a Distributed Map where nobody has asked for less. A child lasts as
#: long as the slowest of its runs: where runs spread by a tenth, that leaves a fifth of the functions idle
#: (`make scale`). What is too much is throttled, and called again within seconds.
_SPARE = 1.2


def with_spare(at_once: int) -> int:
    """How many calls keep `at_once` functions busy, when children wait for their slowest."""
    return round(at_once * _SPARE)


class Portions(NamedTuple):
    """Children of a Distributed Map at once, and the runs that each of them has, all at once."""

    children: int
    runs_per_child: int


def portions(at_once: int, batch_size: int = 1) -> Portions:
    """As many children of as many invocations as come nearest to so many side by side, and no more.

    A child's state must hold all runs of its invocations, which have `batch_size` each.
    """
    children = -(-at_once // (RUNS_PER_CHILD // batch_size))
    return Portions(children, at_once // children)


# What an account lets a deployment use, and how its parts are; asked by `doctor`, never on a job's way.

#: Codes of the quotas of vCPUs, on demand and Spot, by the letters that names of instances begin with
#: (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/ec2-on-demand-instances.html, and ec2-spot-limits.html there).
_VCPU_QUOTAS: Mapping[str, tuple[str, str]] = {
    "standard": ("L-1216C47A", "L-34B43A08"),
    "x": ("L-7295265B", "L-E3A00192"),
    "g": ("L-DB2E81BA", "L-3819A6DF"),
    "p": ("L-417A185B", "L-7212CCBC"),
}
_STANDARD = frozenset("acdhimrtz")


class Concurrency(NamedTuple):
    """Lambda functions that the account runs at once in a region, and how many of them no function has reserved."""

    limit: int
    unreserved: int


class Function(NamedTuple):
    """A deployed function: its memory, Lambda's word for how it is (Active, Inactive, Pending, Failed), and why."""

    memory_mib: int
    state: str
    reason: str


class VcpuQuota(NamedTuple):
    """The vCPUs of a family of machines that the account may run at once."""

    code: str
    vcpus: int


def concurrency(account: Account) -> Concurrency:
    """How many runs the account has room for. Raises `FanfoldError`."""
    limit = account.call("lambda", "get_account_settings", on="the account's limits")["AccountLimit"]
    return Concurrency(int(limit["ConcurrentExecutions"]), int(limit["UnreservedConcurrentExecutions"]))


def function(account: Account, name: str) -> Function:
    """How the function of this name is. Raises `FanfoldError`."""
    told = account.call("lambda", "get_function_configuration", on=f"function {name}", FunctionName=name)
    return Function(int(told["MemorySize"]), str(told.get("State", "Active")), str(told.get("StateReason", "")))


def family_of(host: str) -> str | None:
    """The family whose quota a machine counts against, such as "standard" for m5.large; None for one not known here."""
    letters = host.partition(".")[0].rstrip("-abcdefghijklmnopqrstuvwxyz").rstrip("0123456789")
    if letters in _STANDARD:
        return "standard"
    return {"vt": "g"}.get(letters, letters if letters in _VCPU_QUOTAS else None)


def vcpu_quota(account: Account, family: str, *, spot: bool) -> VcpuQuota:
    """The quota of a family that `family_of` gave: the account's own, or AWS's default. Raises `FanfoldError`."""
    code = _VCPU_QUOTAS[family][spot]
    asked: dict[str, Any] = {"on": f"quota {code}", "ServiceCode": "ec2", "QuotaCode": code}
    try:
        told = account.call("service-quotas", "get_service_quota", expected=("NoSuchResourceException",), **asked)
    except Refused:
        told = account.call("service-quotas", "get_aws_default_service_quota", **asked)
    return VcpuQuota(code, int(told["Quota"]["Value"]))


def broken_queues(account: Account, lanes: Collection[Lane]) -> dict[str, str]:
    """Why no machine can start, by queue, for those queues of which that is so. Raises `FanfoldError`."""
    names = sorted({lane["queue"] for lane in lanes})  # a region has 50 at most, and Batch describes 100 at once
    on = "the deployment's queues"
    queues = account.call("batch", "describe_job_queues", on=on, jobQueues=names)["jobQueues"]
    found = dict.fromkeys(set(names) - {queue["jobQueueName"] for queue in queues}, "it is not there")
    found.update(_broken_machines(account, queues))
    for queue in queues:
        if queue["state"] != "ENABLED":
            found[queue["jobQueueName"]] = "it is closed"
        elif queue.get("status") == "INVALID":
            found[queue["jobQueueName"]] = str(queue.get("statusReason", "it is invalid"))
    return found


def _broken_machines(account: Account, queues: Collection[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """What Batch says is wrong with the machines of a queue, with the queue."""
    queue_of = {one["computeEnvironment"]: q["jobQueueName"] for q in queues for one in q["computeEnvironmentOrder"]}
    on, names = "the deployment's machines", sorted(queue_of)
    told = account.call("batch", "describe_compute_environments", on=on, computeEnvironments=names)
    for one in told["computeEnvironments"]:
        if one.get("status") == "INVALID":
            yield queue_of[one["computeEnvironmentArn"]], str(one.get("statusReason", "they are invalid"))
