"""A job's rate in AWS: one moment of the table, when the next run may begin, which every worker of the job moves on."""

from __future__ import annotations

from fanfold.contract.cloud import EXPIRES_AT, PARTITION_KEY, RATE, job_partition
from fanfold.core.models import JobHeader
from fanfold.stores.aws import AwsStores
from fanfold.stores.aws.table import Item, key

#: The moment is kept so long after it was last moved on; without it the next run begins at once.
_KEPT_S = 2 * 86_400


class RateLimiter:
    """Hands out when runs of a job may begin, one after the other."""

    def __init__(self, stores: AwsStores, header: JobHeader) -> None:
        self._table, self._clock = stores.table, stores.account.clock
        self._key = key(job_partition(header.id), RATE)
        #: Seconds between two turns.
        self.gap_s = 1 / header.rate

    def take(self, count: int = 1) -> float:
        """Seconds until the first of `count` turns, each `gap_s` after the one before.

        An answer that was lost costs a turn, which nobody takes then: the rate is never passed.
        """
        span_s = count * self.gap_s
        while True:
            now = self._clock.now()
            values = {":now": now, ":ends": int(now + _KEPT_S)}
            moved = f"SET next_at = next_at + :span, {EXPIRES_AT} = :ends"
            before = self._change(moved, "next_at > :now", {**values, ":span": span_s})
            if before is not None:
                return float(before["next_at"]["N"]) - now
            free = f"attribute_not_exists({PARTITION_KEY}) OR next_at <= :now"
            begun = f"SET next_at = :after, {EXPIRES_AT} = :ends"
            if self._change(begun, free, {**values, ":after": now + span_s}) is not None:
                return 0.0

    def _change(self, change: str, condition: str, values: dict[str, float]) -> Item | None:
        """How it was before; None where another worker has moved it meanwhile."""
        numbers = {name: {"N": repr(value)} for name, value in values.items()}
        return self._table.change_if(self._key, change, condition, ExpressionAttributeValues=numbers)
