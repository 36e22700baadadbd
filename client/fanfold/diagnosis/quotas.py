"""What a deployment takes of a region's quotas, and whether there is room for one more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from fanfold.contract.records import NamedTuple
from fanfold.diagnosis.checks import Check
from fanfold.errors import FanfoldError

if TYPE_CHECKING:
    from fanfold.stores.aws.account import Account


class Quota(NamedTuple):
    """A quota of a region that a deployment may meet: its code, what AWS gives by default, what a deployment takes."""

    what: str
    service: str
    code: str
    usual: int
    takes: int


#: https://docs.aws.amazon.com/vpc/latest/userguide/amazon-vpc-limits.html: an internet gateway goes with each VPC, and
#: its quota is raised with that of VPCs. `tests/infra/test_quotas.py` counts what a deployment takes in its template.
VPCS = Quota("VPCs", "vpc", "L-F678F1CE", 5, 1)
#: https://docs.aws.amazon.com/batch/latest/userguide/service_limits.html: nobody can have these raised.
_QUEUES = 50


def room_for_another(account: Account) -> Iterator[Check]:
    """Whether a deployment that is not there yet finds room. What may not be asked is left out."""
    for look in (_vpcs, _queues):
        try:
            yield look(account)
        except FanfoldError:  # a user may not ask: who deploys may
            continue


def _vpcs(account: Account) -> Check:
    asked = {"on": f"quota {VPCS.code}", "ServiceCode": VPCS.service, "QuotaCode": VPCS.code}
    try:
        quota = int(account.call("service-quotas", "get_service_quota", **asked)["Quota"]["Value"])
    except FanfoldError:
        quota = VPCS.usual
    used = len(account.call("ec2", "describe_vpcs", on="the region's VPCs")["Vpcs"])
    found = f"{used} of {quota} in {account.region}; a deployment makes one, unless vpc_id names yours"
    if used < quota:
        return Check(VPCS.what, "ok", found)
    step = f"set vpc_id and subnet_ids, or ask for more in the Service Quotas console (VPC, {VPCS.code})."
    return Check(VPCS.what, "warn", found, step)


def _queues(account: Account) -> Check:
    token = ("nextToken", "nextToken")
    answers = account.pages("batch", "describe_job_queues", on="the region's queues", token=token)
    used = sum(len(answer["jobQueues"]) for answer in answers)
    found = f"{used} of {_QUEUES} in {account.region}; a deployment makes one for each kind of machine"
    if used < _QUEUES / 2:
        return Check("Batch queues", "ok", found)
    return Check(
        "Batch queues", "warn", found, "deploy into another region, or with fewer instance types: nobody gets more."
    )
