"""What runs and machines have cost, counted against the budget of a job that has one."""

from __future__ import annotations

from fanfold.core.models import JobHeader
from fanfold.engines.aws.budget import JobBudget
from fanfold.errors import FanfoldError
from fanfold.stores.aws import AwsStores
from fanfold_runtime import telemetry


def count_cost(stores: AwsStores, header: JobHeader, usd: float) -> bool:
    """Add dollars to what the job has spent; False, and a line in the log, where AWS did not take them."""
    try:
        JobBudget(stores, header).spend(usd)
    except FanfoldError as error:
        telemetry.logger.warning("cost not counted", error=type(error).__name__)
        return False
    return True
