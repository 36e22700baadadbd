"""What a deployment is made of, for those that describe it as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from infra.dedicated import Dedicated
from infra.fanout import Fanout
from infra.realtime import Realtime
from infra.settings import Settings
from infra.shepherd import Shepherd
from infra.storage import StorageStack


@dataclass(frozen=True, slots=True)
class Parts:
    """The constructs that policies name and the deployment descriptor tells of."""

    settings: Settings
    storage: StorageStack
    realtime: Realtime
    dedicated: Dedicated
    fanout: Fanout
    shepherd: Shepherd
