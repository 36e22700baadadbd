"""What runs cost, by a table of prices: pure arithmetic."""

from __future__ import annotations

from fanfold.amounts import Dollars
from fanfold.contract.limits import REALTIME_MEMORY_MIB
from fanfold.contract.payloads import RUNS_PER_CHILD
from fanfold.contract.prices import LIST_PRICES, Prices

#: Of one run: its two events, and its entry in the cache.
_WRITES = 3
#: Express bills an execution's memory in steps of this.
_EXPRESS_GB = 64 / 1024


def realtime_cost(
    busy_s: float, runs: int, prices: Prices = LIST_PRICES, *, arm64: bool = False, large_results: bool = False
) -> Dollars:
    """What realtime runs cost that took `busy_s` seconds together: Lambda bills its whole 4 GB, used or not.

    Executions of 40 runs are paid for by their own, and each run's events and cache entry; `large_results` are objects
    in S3, too.
    """
    gb_second = prices.lambda_gb_second_arm64 if arm64 else prices.lambda_gb_second
    child_h = busy_s / 3600 / RUNS_PER_CHILD
    each = prices.lambda_request + prices.express_request / RUNS_PER_CHILD + _WRITES * prices.dynamodb_write
    if large_results:
        each += prices.s3_put + prices.standard_transition / RUNS_PER_CHILD
    computing = busy_s * REALTIME_MEMORY_MIB / 1024 * gb_second + child_h * _EXPRESS_GB * prices.express_gb_hour
    return Dollars(computing + runs * each)


def machine_cost(usd_per_hour: float, machine_s: float) -> Dollars:
    """What machines of that price cost that are up for `machine_s` seconds together."""
    return Dollars(machine_s / 3600 * usd_per_hour)
