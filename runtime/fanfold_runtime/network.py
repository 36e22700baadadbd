"""What a machine sends and receives."""

from __future__ import annotations

import psutil

_MIB = 2**20


class Network:
    """MiB sent and received by the whole machine, since the last time it was asked."""

    def __init__(self) -> None:
        self._sent, self._received = self._totals()

    def news(self) -> dict[str, float]:
        """What came and went since the last time, as a usage event tells it."""
        before_sent, before_received = self._sent, self._received
        self._sent, self._received = self._totals()
        return {
            "network_out_mib": round(self._sent - before_sent, 3),
            "network_in_mib": round(self._received - before_received, 3),
        }

    @staticmethod
    def _totals() -> tuple[float, float]:
        totals = psutil.net_io_counters()
        return totals.bytes_sent / _MIB, totals.bytes_recv / _MIB
