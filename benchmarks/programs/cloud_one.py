"""One run in AWS from a cold process: its CPU, and how much of that are boto3's clients and their calls."""

import json
import sys
import time
from typing import Any

import fanfold


def double(n: int):
    return 2 * n


def measure_calls() -> list[float]:
    """Seconds of CPU of each client that is made and each call, from now on."""
    import botocore.client
    import botocore.session

    took: list[float] = []

    def timed(function: Any) -> Any:
        def call(*given: Any, **named: Any) -> Any:
            began = time.process_time()
            try:
                return function(*given, **named)
            finally:
                took.append(time.process_time() - began)

        return call

    session, client = botocore.session.Session, botocore.client.BaseClient
    session.create_client = timed(session.create_client)  # type: ignore[method-assign]
    client._make_api_call = timed(client._make_api_call)  # type: ignore[method-assign]
    return took


calls = measure_calls()
job = fanfold.submit(double, [time.time_ns() % 10**9], collect=False, cache=False)
print(job.id, flush=True)
job.wait(progress=False)
assert len(job.results()) == 1
print(json.dumps({"cpu_s": time.process_time(), "calls_s": sum(calls)}))
sys.exit()
