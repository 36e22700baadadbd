"""EC2's notice that it takes a Spot machine back, as its host has written it down (see `infra.machine`)."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from fanfold.contract.cloud import ENV_SPOT_NOTICE

#: EC2 says so this long before; a notice whose time cannot be read is taken for one that is half over.
_NOTICE_S = 120.0


class SpotNotice:
    """Whether this machine is about to be taken back. Asking costs a look at a file."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._path = Path(environment.get(ENV_SPOT_NOTICE, ""))
        #: Whether this is a machine that EC2 may take back.
        self.may_come = ENV_SPOT_NOTICE in environment

    def left_s(self) -> float | None:
        """Seconds until the machine is gone; None where it stays."""
        try:
            text = self._path.read_text()
        except OSError:
            return None
        try:
            at = datetime.fromisoformat(json.loads(text)["time"].replace("Z", "+00:00")).timestamp()
        except (ValueError, TypeError, KeyError, AttributeError):
            return _NOTICE_S / 2
        return max(0.0, min(_NOTICE_S, at - time.time()))
