"""The realtime handler where fetching what a run needs takes nearly all the time that Lambda gives it."""

from __future__ import annotations

from fanfold_runtime import realtime
from fanfold_runtime.blob_cache import BlobCache

_left_ms = [120_000]
_fetch_for = BlobCache.fetch_for


def slow_fetch(self, arguments):
    _left_ms[0] = 4_000
    return _fetch_for(self, arguments)


BlobCache.fetch_for = slow_fetch


class _Context:
    memory_limit_in_mb = "4096"

    def get_remaining_time_in_millis(self):
        return _left_ms[0]


def handler(event, context):
    return realtime.handler(event, _Context())
