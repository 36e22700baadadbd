"""Limits that hold on every engine, and the variables of the environment by which runs are told where they are."""

# The limits are the same everywhere, so that what passes on a laptop passes in the cloud.

#: One realtime run: 120 s and 4 GB. Lambda allows 900 s and 10,240 MB; Fanfold's function is deployed with these.
REALTIME_TIMEOUT_S = 120.0
REALTIME_MEMORY_MIB = 4096
#: What a deployment gives /tmp where its settings say nothing else.
REALTIME_DISK_MIB = 2048

#: How near a limit, as a part of it, is too near: the next larger input may pass it.
NEAR = 0.9

#: A ramp lets no more runs go on side by side than are over, up to here; from then on as many as may run.
PROVEN_RUNS = 1_000

#: Where a write beside the event and an object in S3 cost the same (DynamoDB $0.625 per M KB, S3 $5 per M PUT).
INLINE_RESULT_BYTES = 8 * 1024

#: The advice for one realtime run: long enough to outweigh its start, far enough from the limit.
ADVISED_RUN_S = (30.0, 45.0)

#: So many runs may share one invocation: its state must hold the arguments of all of them.
LARGEST_BATCH = 40

DEFAULT_MAX_RETRY = 2
DEFAULT_CACHE_MAX_AGE_S = 14 * 24 * 3600.0

#: Output kept of one run; the middle of anything longer is left out, and a line says so.
LOG_LIMIT_BYTES = 10 * 1024 * 1024

ENV_DEPLOYMENT = "FANFOLD_DEPLOYMENT"
#: Set inside a run (also for the processes it starts): `job/index`.
ENV_RUN = "FANFOLD_RUN"
#: Set inside a run: how often it was tried before, and the folder for what its worker may keep.
ENV_ATTEMPT = "FANFOLD_ATTEMPT"
ENV_SCRATCH = "FANFOLD_SCRATCH"
#: Set inside a run in AWS: the ARN of the role whose credentials it has.
ENV_RUN_AS = "FANFOLD_RUN_AS"
#: Set inside a run: the folder that all runs share.
ENV_MOUNT = "FANFOLD_MOUNT"
#: Set inside a run: where a deployment's UDFs keep their data, which ends with a slash; a folder here, S3 there.
ENV_DATA = "FANFOLD_DATA"
#: Set inside a run: where its UDF's source is, for processes that it spawns. The bundle's file, and a line below the
#: folder of its blobs.
ENV_SOURCE = "FANFOLD_SOURCE"
#: Set for a worker that is to have what Lambda gives, and no more (`execution.worker.confined`).
ENV_CONFINED = "FANFOLD_CONFINED"
