"""The command of a dedicated machine, of which one thing is other than usual: what the variable names."""

from __future__ import annotations

import os
import time

from fanfold.execution.pool import scheduler as serving
from fanfold.execution.pool.pool import Pool
from fanfold.stores.aws import account
from fanfold.stores.aws.table import Page, Table
from fanfold_runtime import batch, machine
from fanfold_runtime import claiming_feed as claims
from fanfold_runtime.blob_cache import BlobCache


def broken(*_: object) -> None:
    raise RuntimeError("a bug of Fanfold's own")


def lag() -> None:
    """What was written within the last half second is seen by consistent reads alone, as DynamoDB may have it."""
    put_all, query = Table.put_all, Table.query
    written = {}

    def put(self, items):
        items = list(items)
        put_all(self, items)
        written.update({(item["pk"]["S"], item["sk"]["S"]): time.monotonic() for item in items})

    def ask(self, condition, values, *, consistent=False, **more):
        found = query(self, condition, values, consistent=consistent, **more)
        if consistent:
            return found
        old = time.monotonic() - 0.5
        return Page(
            [item for item in found.items if written.get((item["pk"]["S"], item["sk"]["S"]), 0) < old], found.more
        )

    Table.put_all, Table.query = put, ask


claims._CLAIM_TAKES_S = 0.5  # as nearly all claims do
match os.environ["TEST_ODD"]:
    case "quick":
        pass
    case "unhurried":
        machine._GIVE_BACK_S = 50.0  # what it holds is given back however slow all is
    case "leaves early":
        machine._GIVE_BACK_S, machine._LEAVE_S = 50.0, 70.0
    case "soon":
        claims._UNKEPT_PAUSE_S = 1.0
    case "hasty":
        claims._UNKEPT_PAUSE_S = 0.05
    case "thrifty":
        BlobCache.tidy.__kwdefaults__["above_bytes"] = 1 << 20
        serving.BATCH = 1  # what has ended is told at once, and its copies are not needed any more
    case "broken":
        Pool.add = broken
    case "impatient":
        account._ATTEMPTS = 1  # of botocore's: what is left is the machine's own patience
    case "lagging":
        lag()

batch.main()
