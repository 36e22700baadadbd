"""What a million short runs cost beside computing: ours by what the handler writes, others' by what they document."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from benchmarks.row import Row
from fanfold.contract.instances import LIST_PRICES as USD
from fanfold.contract.payloads import RUNS_PER_CHILD

RUNS = 1_000_000
#: Of each run, for what lasts as long: the share of an Express execution.
_RUN_S = 1.0
#: Express bills memory in steps of 64 MB, and at least 100 ms.
_EXPRESS_S_USD = USD.express_gb_hour / 3600 / 16


class Footprint(NamedTuple):
    """What one run leaves in the table: items, bytes, and units that are paid for."""

    items: int
    written_bytes: int
    write_units: int
    read_units: int


def footprint(calls: list[tuple[str, dict[str, Any]]]) -> Footprint:
    """Of the calls that one run has made of DynamoDB."""
    written = [
        _size(request["PutRequest"]["Item"])
        for operation, given in calls
        if operation == "batch_write_item"
        for requests in given["RequestItems"].values()
        for request in requests
    ]
    written += [_size(given["Item"]) for operation, given in calls if operation == "put_item"]
    reads = sum(operation == "get_item" for operation, _ in calls)
    return Footprint(len(written), sum(written), sum(math.ceil(size / 1024) for size in written), reads)


def _size(item: dict[str, Any]) -> int:
    """As DynamoDB counts it: names and values."""
    total = 0
    for name, value in item.items():
        ((kind, content),) = value.items()
        total += len(name) + (len(content) if kind in "SB" else len(str(content)) // 2 + 1)
    return total


def ours_usd(one: Footprint) -> float:
    """By the Distributed Map: calls, the table, forty runs to a child, and the client's reading of each event once."""
    children = (USD.standard_transition + USD.express_request + _RUN_S * _EXPRESS_S_USD) / RUNS_PER_CHILD
    collected = one.written_bytes / 4096 / 2 * USD.dynamodb_read
    table = one.write_units * USD.dynamodb_write + one.read_units * USD.dynamodb_read
    return RUNS * (USD.lambda_request + children + table + collected)


def lithops_usd() -> float:
    """Lithops 3.8: a call each; its data and function are got, status and output put, and both got by the client."""
    return RUNS * (USD.lambda_request + 2 * USD.s3_put + 4 * USD.s3_get)


def child_each_usd() -> float:
    """A Distributed Map as its tutorials show it: an Express child each, its output in the Map Run's result files."""
    return RUNS * (USD.lambda_request + USD.standard_transition + USD.express_request + _RUN_S * _EXPRESS_S_USD)


def rows(calls: list[tuple[str, dict[str, Any]]]) -> Iterator[Row]:
    """The lines of the table."""
    one = footprint(calls)
    bytes_most, units_most = 1024, 3
    yield Row(
        "a short run in the table: bytes written",
        f"{one.written_bytes} in {one.items} items",
        "Lithops' way 2 objects",
        "",
        f"<= {bytes_most}",
        one.written_bytes <= bytes_most,
    )
    units = f"{one.write_units} to write, {one.read_units} to read"
    yield Row("the same: DynamoDB units", units, "", "", f"<= {units_most} to write", one.write_units <= units_most)
    ours, work = ours_usd(one), "dollars beside computing, 1,000,000 runs of 1 s"
    for name, theirs, most in ("Lithops' way", lithops_usd(), 0.5), ("an Express child each", child_each_usd(), 0.2):
        ratio = ours / theirs
        yield Row(work, f"${ours:.2f}", f"{name} ${theirs:.2f}", f"{ratio:.2f} x", f"<= {most} x", ratio <= most)
