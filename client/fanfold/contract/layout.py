"""Where things are kept: the keys of objects, and the names the environment goes by."""

ENV_DEPLOYMENT = "FANFOLD_DEPLOYMENT"
#: Set inside a run (also for the processes it starts): `job/index`.
ENV_RUN = "FANFOLD_RUN"
#: Set inside a run: how often it was tried before, and the folder for what its worker may keep.
ENV_ATTEMPT = "FANFOLD_ATTEMPT"
ENV_SCRATCH = "FANFOLD_SCRATCH"
#: Set inside a run: the folder that all runs share.
ENV_MOUNT = "FANFOLD_MOUNT"
#: Set inside a run: where its UDF's source is, for processes that it spawns. The bundle's file, and a line below the
#: folder of its blobs.
ENV_SOURCE = "FANFOLD_SOURCE"


def bundle_key(sha256: str) -> str:
    """Key of a UDF's source bundle, named after its bytes."""
    return f"udf/{sha256}"


def inputs_key(job_id: str) -> str:
    """Key of a job's inputs: one line of JSON an input, in order."""
    return f"jobs/{job_id}/inputs.jsonl"


def inputs_index_key(job_id: str) -> str:
    """Key of the offsets and cache keys that belong to a job's inputs."""
    return f"jobs/{job_id}/inputs.idx"


def constants_key(job_id: str) -> str:
    """Key of the arguments that all runs of a job have in common, where they are too long for its header's item."""
    return f"jobs/{job_id}/constants.json"


def work_key(job_id: str, dispatch: str) -> str:
    """Key of the list of runs that one start gave to the dedicated machines or to the distributed state machine."""
    return f"jobs/{job_id}/work-{dispatch}"


def overflow_key(job_id: str, sha256: str) -> str:
    """Key of events that together are too large for one item of the table."""
    return f"jobs/{job_id}/events/{sha256}"


def result_key(cache_key: str, sha256: str) -> str:
    """Key of one result: under the run it answers, named after its bytes."""
    return f"results/{cache_key}/{sha256}"


def blob_key(sha256: str) -> str:
    """Key of a large argument or global value, named after its bytes."""
    return f"blobs/{sha256}"
