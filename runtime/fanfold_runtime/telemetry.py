"""What functions and machines say of themselves: log lines that name job, run and attempt, and embedded metrics."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from fanfold.contract.cloud import (
    METRIC_DIMENSION,
    METRIC_FAILED,
    METRIC_MACHINE_USD,
    METRIC_NAMESPACE,
    METRIC_RUNS,
    METRIC_WAIT_S,
)
from fanfold.contract.layout import ENV_DEPLOYMENT
from fanfold.core.models import Event, JobHeader
from fanfold.core.options import goes_on_later

#: Its name is that of the SDK's loggers, `fanfold`, so what these say goes the same way.
logger = Logger(service="fanfold", level=os.environ.get("FANFOLD_LOG", "info").upper())
#: All `Metrics` are one.
_lock = threading.Lock()


def announce_run(job_id: str, index: int, attempt: int) -> None:
    """Have every line from now on say which run it is about."""
    logger.append_keys(job=job_id, run=index, attempt=attempt)


def tell_end(header: JobHeader, events: Sequence[Event]) -> None:
    """A line and the metrics of each run that has ended. Neither holds arguments, results or messages."""
    for event in events:
        if goes_on_later(event.error):
            logger.info("run goes on later", run=event.index, attempt=event.attempt)
    ended = [event for event in events if not goes_on_later(event.error)]
    if not ended:
        return
    with _lock:
        metrics = _metrics()
        for event in ended:
            status = event.status.value if event.status else "unknown"
            took_s = event.usage.duration_s if event.usage else 0.0
            logger.info("run ended", run=event.index, attempt=event.attempt, status=status, duration_s=took_s)
            metrics.add_metric(name=METRIC_RUNS, unit=MetricUnit.Count, value=1)
            good = event.status is not None and event.status.good
            metrics.add_metric(name=METRIC_FAILED, unit=MetricUnit.Count, value=0 if good else 1)
            waited_s = max(0.0, event.at - took_s - header.created_at)
            metrics.add_metric(name=METRIC_WAIT_S, unit=MetricUnit.Seconds, value=waited_s)
        metrics.flush_metrics()


class Meter:
    """What a machine costs, in on-demand dollars, told while it is up: at its end days would fall into one hour."""

    def __init__(self, usd_per_hour: float) -> None:
        self._usd_per_hour = usd_per_hour
        self._told_at = time.monotonic()

    def tell(self, *, at_least_s: float = 0.0) -> None:
        """Tell what it has cost since the last time, where that is so long ago. Any thread may."""
        with _lock:
            up_s = time.monotonic() - self._told_at
            if up_s < at_least_s:
                return
            self._told_at += up_s
            metrics = _metrics()
            metrics.add_metric(name=METRIC_MACHINE_USD, unit=MetricUnit.NoUnit, value=self._usd_per_hour * up_s / 3600)
            metrics.flush_metrics()


def _metrics() -> Metrics:
    metrics = Metrics(namespace=METRIC_NAMESPACE)
    metrics.add_dimension(name=METRIC_DIMENSION, value=os.environ.get(ENV_DEPLOYMENT, "unknown"))
    return metrics
