"""What a deployment and those who use it agree on: names, keys, and the shape of what the state machines carry.

`infra` builds it, the AWS stores and engine read it, and what runs in the image finds itself by it.
"""

import sys
from typing import TypedDict

# ---- names -----------------------------------------------------------------------------------------------------------

#: The three state machines: up to about 1,000 runs (Express), any number (Distributed Map), and machines (Batch).
EXPRESS, DISTRIBUTED, DEDICATED = "express", "distributed", "dedicated"
#: The label of the Distributed Map, which is in the ARN of each Map Run and of its children.
MAP_RUN_LABEL = "runs"


def parameter_name(deployment: str) -> str:
    """The SSM parameter with the descriptor of a deployment: one JSON `DeploymentDescriptor`."""
    return f"/fanfold/{deployment}"


def instance_types_path(deployment: str) -> str:
    """Parameters below this path, read together, are one JSON object of `Lane` by instance type.

    The full table does not fit the 4 KB of one parameter.
    """
    return f"/fanfold/{deployment}/instance-types"


def packages_path(deployment: str) -> str:
    """Parameters below this path, read together, are one JSON object of version by package: what the image holds."""
    return f"/fanfold/{deployment}/packages"


def images_path(deployment: str) -> str:
    """Parameters below this path, read together, are one JSON object of `OwnImage` by the image's name."""
    return f"/fanfold/{deployment}/images"


def image_packages_path(deployment: str, image: str) -> str:
    """As `packages_path`, for one of the images that have a name."""
    return f"/fanfold/{deployment}/image-packages/{image}"


def deadlines_group(deployment: str) -> str:
    """The group of one-time schedules that wake the shepherd, one for each job that has not ended."""
    return resource_name(deployment, "deadlines")


def schedules_group(deployment: str) -> str:
    """The group of people's schedules, each of which has the shepherd start a job at its times."""
    return resource_name(deployment, "schedules")


def definition_name(deployment: str, instance_type: str, image: str = "") -> str:
    """The job definition of an instance type with an image; the default one has no name."""
    return resource_name(deployment, *(("image", image) if image else ()), instance_type)


def endpoint_variables(endpoint: str) -> dict[str, str]:
    """What libraries that do not read AWS_ENDPOINT_URL call S3's address: GDAL's, DuckDB's and object_store's names.

    GDAL (rasterio, pyogrio, rioxarray) and DuckDB would go to AWS itself; polars and its kin refuse an address without
    TLS. DuckDB puts the bucket before the host, which an address of digits cannot have.
    """
    scheme, _, host = endpoint.rstrip("/").rpartition("://")
    plain = scheme == "http"
    given = {"AWS_S3_ENDPOINT": host, "AWS_HTTPS": "NO" if plain else "YES", "AWS_VIRTUAL_HOSTING": "FALSE"}
    given |= {"DUCKDB_S3_ENDPOINT": host.replace("127.0.0.1", "localhost"), "DUCKDB_S3_USE_SSL": str(not plain).lower()}
    return {**given, "AWS_ALLOW_HTTP": "true"} if plain else given


def resource_name(deployment: str, *parts: str) -> str:
    """The name of a function, state machine, queue or job definition: `fanfold-<deployment>-<parts>`."""
    return "-".join(["fanfold", deployment, *parts]).replace(".", "-")


# ---- the deployment descriptor ---------------------------------------------------------------------------------------


class Lane(TypedDict):
    """One instance type of a deployment. `queue` and `definition` are names, which Batch takes as well as ARNs."""

    host: str
    queue: str
    definition: str
    vcpus: int
    #: What it is named after; a container may use `memory_mib` of it, see `instances.container_memory_mib`.
    memory_gib: float
    memory_mib: int
    usd_per_hour: float


class ImageFacts(TypedDict):
    """The runtime image: `identity` changes when what runs may compute something else, and is part of cache keys."""

    identity: str
    python: str
    architecture: str


class OwnImage(ImageFacts):
    """An image beside the default one, which UDFs choose by its name. No `functions`: it runs on machines alone.

    `plain`: its base and system packages are those of the default image, so its system libraries are known.
    """

    functions: list[str]
    instance_types: list[str]
    plain: bool


class DeployedLimits(TypedDict):
    """What one realtime run gets, what the dedicated machines' root disks hold, how long things are kept.

    `concurrency`: realtime runs side by side that are reserved for this deployment; 0: what the account has.
    """

    timeout_s: int
    memory_mib: int
    realtime_disk_mib: int
    disk_size_gb: int
    retention_days: int
    concurrency: int


class SchedulerFacts(TypedDict):
    """What a schedule calls, and as whom: ARNs of the shepherd and of a role that may call nothing else."""

    function: str
    role: str


class _LaterMembers(TypedDict, total=False):
    """What the descriptors of older deployments do not say."""

    #: Where the secrets of UDFs are, as `secretsmanager:fanfold/main/` or `ssm:/team/`.
    secrets: str
    #: ARN of the key of KMS that secret arguments are sealed with; empty without one.
    sealing_key: str
    #: Whether the image's base and system packages are what the client knows (see `OwnImage`).
    plain: bool
    #: SNS topics that the shepherd may tell of a job's end; not there in a deployment that tells nobody.
    notify_topics: list[str]
    #: What schedules need; not there in a deployment that keeps none.
    scheduler: SchedulerFacts
    #: Whether the shepherd widens Map Runs, and people may; not there in a deployment that starts them at their widest.
    widens_map_runs: bool
    #: The version of Fanfold that was deployed, such as 0.1.0: what messages say.
    fanfold: str


class DeploymentDescriptor(_LaterMembers):
    """What a deployment says of itself: the JSON in its SSM parameter."""

    version: int
    deployment: str
    table: str
    bucket: str
    #: Clones of the one realtime function; spread runs over them, each has its own scale-up rate.
    functions: list[str]
    #: ARN by EXPRESS, DISTRIBUTED, DEDICATED.
    state_machines: dict[str, str]
    image: ImageFacts
    limits: DeployedLimits
    spot: bool
    #: Where the shared file system is mounted; empty without one.
    mount: str
    #: Log group of the realtime functions and of the dedicated machines.
    log_groups: dict[str, str]


#: What clients and deployments tell each other has this version: the descriptor, and all formats of a job. A client
#: works with deployments from the oldest that it can still speak with up to its own; see docs/upgrading.md.
DESCRIPTOR_VERSION = 1
OLDEST_DESCRIPTOR_VERSION = 1


def fanfold_version() -> str:
    """The version of this Fanfold, such as 0.1.0."""
    return str(sys.modules["fanfold"].__version__)


# ---- the environment of what runs in the image -----------------------------------------------------------------------
# The deployment's own name is in layout.ENV_DEPLOYMENT.

ENV_TABLE = "FANFOLD_TABLE"
#: ARN of the express state machine, by which a function has a run go on that has not found time enough.
ENV_EXPRESS = "FANFOLD_EXPRESS"
ENV_BUCKET = "FANFOLD_BUCKET"
#: Who EventBridge Scheduler is when it wakes the shepherd at a job's deadline.
ENV_ALARM_ROLE = "FANFOLD_ALARM_ROLE"
#: ARN of the role whose credentials a UDF gets; the worker's own are for Fanfold's table and bucket only.
ENV_DATA_ROLE = "FANFOLD_DATA_ROLE"
#: Where the secrets of UDFs are, see `DeploymentDescriptor.secrets`.
ENV_SECRETS = "FANFOLD_SECRETS"
#: The key of KMS that secret arguments are sealed with, see `DeploymentDescriptor.sealing_key`.
ENV_SEALING_KEY = "FANFOLD_SEALING_KEY"
#: The identity of the image that this is, under which it announces its system libraries.
ENV_IMAGE = "FANFOLD_IMAGE"
#: On a dedicated machine: the instance type it serves, and the job whose inputs it claims.
ENV_INSTANCE_TYPE = "FANFOLD_INSTANCE_TYPE"
ENV_JOB = "FANFOLD_JOB"
#: What an hour of its host costs, in on-demand dollars.
ENV_USD_PER_HOUR = "FANFOLD_USD_PER_HOUR"

#: On a Spot machine: the file where its host writes EC2's notice that it takes the machine back; and its folder there.
ENV_SPOT_NOTICE = "FANFOLD_SPOT_NOTICE"
SPOT_NOTICE_FOLDER = "/run/fanfold"

#: What a machine exits with when it was told to stop and has given its inputs back (sysexits' EX_TEMPFAIL).
EXIT_GIVEN_BACK = 75

MOUNT_PATH = "/mnt/shared"

REALTIME_ENTRYPOINT = ["python", "-m", "awslambdaric"]
REALTIME_HANDLER = "fanfold_runtime.realtime.handler"
SHEPHERD_HANDLER = "fanfold_runtime.shepherd.handler"
DEDICATED_COMMAND = ["python", "-m", "fanfold_runtime.batch"]

# ---- the table -------------------------------------------------------------------------------------------------------

PARTITION_KEY, SORT_KEY, EXPIRES_AT = "pk", "sk", "expires_at"
#: New items that have this attribute, a number, wake the shepherd: of a job, of a start, and of a run that failed.
WAKES = "wakes"
#: Headers that have this one too, a number, wake it as well when they change after a cancel: somebody is to be told of
#: the job's end (`notify=`).
TELLS = "tells"

#: Job headers only: newest first by owner, and for the whole team. Sorted by job id, which sorts by time.
INDEX_BY_OWNER, OWNER_KEY = "jobs-by-owner", "listed_owner"
INDEX_BY_TEAM, TEAM_KEY = "jobs-by-team", "listed_team"
INDEX_SORT_KEY = "listed_id"


def job_partition(job_id: str) -> str:
    """Partition of a job's header and of its work counter."""
    return f"job#{job_id}"


def event_partition(job_id: str, shard: int) -> str:
    """Partition of the events of every run whose index falls to this shard."""
    return f"job#{job_id}#{shard}"


def header_copy_partition(job_id: str, shard: int) -> str:
    """Partition of the copy of a job's header that the runs of this shard read.

    Each run reads it as it begins and every few seconds: one item for 10,000 runs at once would be read 15,000 times a
    second, where DynamoDB gives out 3,000 units a second of one key.
    """
    return f"job#{job_id}#{shard}#header"


def telemetry_partition(job_id: str, shard: int) -> str:
    """Partition of what the runs of this shard print and use: may be a thousand times as much as their events."""
    return f"job#{job_id}#{shard}#telemetry"


def shards(count: int) -> int:
    """How many shards a job of `count` runs has: a thousand runs that end in one second write 250 times to each."""
    return max(1, min(32, -(-count // 250)))


def shard_of(index: int, count: int) -> int:
    """The shard of one run of a job of `count`; what belongs to no run (index -1) goes to the first."""
    return index % shards(count) if index >= 0 else 0


def invocation_sort_key(index: int, attempt: int) -> str:
    """In a job's partition: that a function has begun an attempt which it was called for with a token."""
    return f"invocation#{index}#{attempt}"


def cache_partition(cache_key: str) -> str:
    """Partition of one cached result."""
    return f"cache#{cache_key}"


def machine_sort_key(machine: str) -> str:
    """In a job's partition: what a machine holds of its work, and until when it answers for that."""
    return f"machine#{machine}"


#: Sort keys in a job's partition (its header, the work counter, when its next run may begin), of a cached result, and
#: of the jobs of a flight.
HEAD, CLAIMS, RATE, SPENT, ENTRY, FLIGHT = "head", "claims", "rate", "spent", "entry", "flight"
#: In a job's partition: who looks after it now, and how often it has been asked for that.
SHEPHERD = "shepherd"
#: Partition of the data key that the names of sealed secrets are made with, itself sealed by KMS.
SEALING = "sealing"

#: What a data key is for, as KMS is told and policies may ask: the secrets of a job, or the names of all secrets.
SEALED_FOR, SEALED_JOB, NAMES = "fanfold:for", "fanfold:job", "names"


def sealing_context(job_id: str = "") -> dict[str, str]:
    """The encryption context of a job's data key; without a job that of the key for names."""
    return {SEALED_FOR: "job", SEALED_JOB: job_id} if job_id else {SEALED_FOR: NAMES}


def event_sort_key(at_iso: str, id: str) -> str:
    """An event's place in time: an ISO 8601 UTC time with milliseconds and a `Z`, then anything unique."""
    return f"{at_iso}#{id}"


# ---- the bucket ------------------------------------------------------------------------------------------------------

#: What UDFs may write to and read from in the deployment's own bucket, with the data role.
DATA_PREFIX = "data/"

# ---- metrics that the image emits (embedded metric format) -----------------------------------------------------------

METRIC_NAMESPACE = "Fanfold"
METRIC_DIMENSION = "Deployment"
#: Runs that finished, and of those the failed; seconds from a job's start to a run's; dollars of machine time.
METRIC_RUNS, METRIC_FAILED, METRIC_WAIT_S, METRIC_MACHINE_USD = "Runs", "FailedRuns", "WaitSeconds", "MachineUsd"
