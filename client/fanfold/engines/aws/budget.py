"""A job's budget in AWS: what its workers have cost is added up in the table, by themselves, and ends the job there.

No client has to look on. What is begun when the budget is reached ends within seconds, as with a cancel.
"""

from __future__ import annotations

from fanfold.contract.cloud import EXPIRES_AT, SPENT, job_partition
from fanfold.core.formatting import Dollars
from fanfold.core.models import JobHeader
from fanfold.engines.base import stop_job
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.table import key


class JobBudget:
    """What a job has spent of its budget."""

    def __init__(self, stores: AwsStores, header: JobHeader) -> None:
        self._stores = stores
        self._header = header
        self._key = key(job_partition(header.id), SPENT)

    def spend(self, usd: float) -> None:
        """Add what was spent; the job is stopped by who reaches its budget, or finds it running beyond that."""
        expires_at = self._stores.log.job_headers.known(self._header.id).expires_at
        values = {":usd": {"N": f"{usd:.12f}"}, ":expires": {"N": str(expires_at)}}
        change = f"ADD usd :usd SET {EXPIRES_AT} = :expires"
        before = self._stores.table.update(self._key, change, ExpressionAttributeValues=values)
        before_usd, budget_usd = float(before.get("usd", {"N": "0"})["N"]), self._header.budget_usd
        if before_usd + usd < budget_usd:
            return
        if before_usd < budget_usd or self._stores.log.get_job(self._header.id).cancelled_at is None:
            reason = f"it has cost its budget of {Dollars(budget_usd)}"
            stop_job(self._stores.log, self._header.id, reason, name="budget", at=self._reached_at())

    def _reached_at(self) -> float:
        """When the first worker noticed: several may, and all are to say the same."""
        now = repr(self._stores.account.clock.now())
        before = self._stores.table.update(
            self._key,
            "SET #reached = if_not_exists(#reached, :now)",
            ExpressionAttributeNames={"#reached": f"reached {self._header.budget_usd:g}"},
            ExpressionAttributeValues={":now": {"N": now}},
        )
        return float(before.get(f"reached {self._header.budget_usd:g}", {"N": now})["N"])
