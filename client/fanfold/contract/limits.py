"""Limits that hold on every engine, so that what passes on a laptop passes in the cloud."""

#: One realtime run: 120 s and 4 GB. Lambda allows 900 s and 10,240 MB; Fanfold's function is deployed with these.
REALTIME_TIMEOUT_S = 120.0
REALTIME_MEMORY_MIB = 4096

#: How near a limit, as a part of it, is too near: the next larger input may pass it.
NEAR = 0.9

#: Where a write beside the event and an object in S3 cost the same (DynamoDB $0.625 per M KB, S3 $5 per M PUT).
INLINE_RESULT_BYTES = 8 * 1024

#: The advice for one realtime run: long enough to outweigh its start, far enough from the limit.
ADVISED_RUN_S = (30.0, 45.0)

DEFAULT_MAX_RETRY = 2
DEFAULT_CACHE_MAX_AGE_S = 14 * 24 * 3600.0

#: Output kept of one run; the middle of anything longer is left out, and a line says so.
LOG_LIMIT_BYTES = 10 * 1024 * 1024
