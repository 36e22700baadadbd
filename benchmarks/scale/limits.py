"""What AWS allows and what it takes and costs: every number with its source, `e` where it is an estimate of ours.

Sources: [sf] Step Functions quotas, [la] Lambda quotas and scaling, [dy] DynamoDB partitions and on-demand tables, [s3]
S3 performance guidelines, [ba] Batch quotas, all of docs.aws.amazon.com as of 2026-11; [b] `benchmarks/RESULTS-AWS.md`.
"""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Rates are per second, times are seconds."""

    #: New environments of one function at once, and then every ten seconds [la].
    new_environments: int = 1_000
    refill_s: float = 10.0
    #: Functions at once in the account; what an account gets that has asked for it [la].
    concurrency: int = 10_000
    #: Cold start of a container image: median, and the spread of its logarithm [e].
    cold_s: float = 0.9
    cold_spread: float = 0.35
    #: A call of a warm function by Step Functions, and beyond the UDF within it [e, b].
    invoke_s: float = 0.02
    handler_s: float = 0.015
    #: A call of AWS from the client, and what it has in flight [e].
    call_s: float = 0.03
    calls_at_once: int = 32
    #: Calls one after another before anything starts: descriptor, inputs, source, header, look-up, dispatch [b].
    calls_before: int = 7
    #: From the call that starts an execution to its first state [e].
    express_start_s: float = 0.08
    #: From the start of a Map Run to its first child [e], children a second, and at once [sf].
    map_run_s: float = 1.5
    #: A throttled call is made again after a random pause of up to this, and double each time (infra/each_run).
    retry_s: float = 1.0
    longest_retry_s: float = 5.0
    express_children: float = 1_000.0
    standard_children: float = 100.0
    children_at_once: int = 10_000
    #: Writes of a new on-demand table, and of one partition [dy].
    table_writes: float = 4_000.0
    #: An object is put at 625 Mbit/s [la], so many a second and prefix [s3].
    upload_bytes: float = 78e6
    put_s: float = 0.05
    puts: float = 3_500.0
    #: SubmitJob [ba]; from a job's submission to a host that is up, and hosts a second while they come up [e].
    submit_job: float = 50.0
    host_s: float = 90.0
    hosts: float = 8.0
    #: A container's start on a host that is up [e].
    container_s: float = 8.0
    #: How often a client looks [b].
    poll_s: float = 0.5


DEFAULT = Limits()
