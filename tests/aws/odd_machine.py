"""The command of a dedicated machine, of which one thing is other than usual: what the variable names."""

from __future__ import annotations

import os

from fanfold.execute.pool import Pool
from fanfold_runtime import batch, claims
from fanfold_runtime.copies import Copies


def broken(*_: object) -> None:
    raise RuntimeError("a bug of Fanfold's own")


match os.environ["TEST_ODD"]:
    case "hasty":
        claims._UNKEPT_PAUSE_S = 0.05
    case "thrifty":
        Copies.tidy.__kwdefaults__["above_bytes"] = 1 << 20
    case "broken":
        Pool.add = broken

batch.main()
