"""What other tools call an option or a method, and what it is here: for the errors that meet such a word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

#: Options by the words that joblib, dask, Lithops, Modal, Coiled, Ray and Celery have for them.
_OPTIONS = {
    word: option
    for option, words in {
        "max_workers": "n_jobs n_workers workers num_workers nprocs processes max_concurrency concurrency"
        " concurrency_limit max_containers max_parallel",
        "timeout_s": "timeout time_limit timeout_seconds execution_timeout",
        "instance_type": "cpu cpus cores vcpus num_cpus ncpus gpu gpus num_gpus vm_type vm_size machine machine_type"
        " memory memory_mb memory_gb memory_limit mem ram runtime_memory resources",
        "max_retry": "retries max_retries num_retries n_retries",
        "engine": "backend executor provider cluster",
        "batch_size": "chunksize chunk_size batch",
        "ignore_exceptions": "return_exceptions raise_exceptions skip_errors",
        "env": "env_vars environ environment",
        "secrets": "secret",
        "packages": "requirements dependencies pip pip_install package",
        "image": "container docker_image runtime",
        "disk_size_gb": "disk disk_size disk_gb ephemeral_disk",
        "cache_max_age": "ttl expires max_age",
        "setup": "initializer on_start",
        "progress": "verbose show_progress progress_bar",
        "serializer": "pickler",
    }.items()
    for word in words.split()
}

#: What `submit` takes and `@udf` does not: it is of one call.
_OF_SUBMIT = frozenset(
    "max_workers n_processes_per_worker debug_mode collect cache ignore_exceptions flatten drop_index ramp plan"
    " budget_usd escalate stop_on_error batch_size target_s tags notify hedge progress".split()
)

#: What is no attribute of a UDF, of a job, or of the package, and what to write.
OF_UDF = {
    **dict.fromkeys(("remote", "compute"), "call it, udf(x): this runs it once, on its engine"),
    **dict.fromkeys(("submit", "for_each"), "fanfold.submit(udf, inputs) runs it for each of the inputs"),
    **dict.fromkeys(("spawn", "delay", "apply_async"), "udf.map([x]) gives a job at once"),
}
OF_JOB = {
    **dict.fromkeys(
        ("get", "get_result", "get_results", "gather", "compute", "outputs"), "job.results() has the values"
    ),
    **dict.fromkeys(("join", "ready", "block"), "job.wait() waits until it has ended"),
    **dict.fromkeys(("kill", "stop", "abort", "terminate", "shutdown"), "job.cancel() ends it"),
    **dict.fromkeys(("progress",), "job.status has the word, job.counts() the numbers"),
    **dict.fromkeys(("to_pandas", "to_frame", "frame", "dataframe"), "job.collect() has the results as a frame"),
    **dict.fromkeys(("exception", "exceptions", "failures"), "job.errors() has them, by run"),
    **dict.fromkeys(("log", "stdout", "output"), "job.logs() has what was printed, by run"),
    **dict.fromkeys(("runs", "tasks", "futures"), "job[0] is a run, and `for run in job` goes through all"),
    "rerun": "job.retry() runs again what failed",
}
OF_PACKAGE = {
    **dict.fromkeys(("map", "starmap", "gather", "batch"), "fanfold.submit(f, inputs) runs a function for each input"),
    **dict.fromkeys(("function", "remote", "task", "delayed"), "@fanfold.udf marks a function"),
    **dict.fromkeys(("Parallel", "parallel"), "import fanfold.joblib_backend, and joblib has the backend `fanfold`"),
    **dict.fromkeys(
        ("FunctionExecutor", "ProcessPoolExecutor", "ThreadPoolExecutor", "Client", "Pool"),
        "fanfold.Executor takes calls one by one",
    ),
    **dict.fromkeys(("Volume", "volume", "storage", "Storage"), 'fanfold.data_path("name") is where files are kept'),
    **dict.fromkeys(("Secret", "secrets"), '@fanfold.udf(secrets=["name"]) and fanfold.secret("name") are secrets'),
    **dict.fromkeys(("Image",), '@fanfold.udf(packages=["name"]) brings packages along'),
    **dict.fromkeys(("App", "Stub", "Cluster"), "there is nothing to set up: fanfold.submit(f, inputs)"),
    **dict.fromkeys(("wait", "get"), "a job waits by itself: job.wait(), job.results()"),
    **dict.fromkeys(("status", "cancel", "logs", "retry"), 'fanfold.get_job("...") is the job, which can do so'),
    **dict.fromkeys(("connect",), "from a shell, `fanfold connect NAME`; here fanfold.configure(deployment=...)"),
}


def attribute_hint(name: str, here: Mapping[str, str], known: Iterable[str] = ()) -> str:
    """What to write in place of an attribute that there is not, as the end of a sentence; "" where nothing is near."""
    if name.startswith("_"):
        return ""
    if name in here:
        return f"; {here[name]}"
    near = get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def call_option_hint(name: str, of_call: Iterable[str], of_udf: Iterable[str]) -> str | None:
    """What to write in place of an option that a call does not have; None where nothing is near."""
    of_call = list(of_call)
    meant = _OPTIONS.get(name, name)
    if meant in of_call:
        return _called_here(meant)
    if meant in of_udf:
        return f"it is an option of the UDF: @fanfold.udf({meant}=...), or fanfold.udf(function, {meant}=...)."
    if meant in _OF_SUBMIT:
        return f"fanfold.submit(udf, inputs, {meant}=...) takes it, also with plan=True."
    near = get_close_matches(name, of_call, n=1, cutoff=0.8)
    return f"did you mean {near[0]!r}?" if near else None


def udf_option_hint(name: str, of_udf: Iterable[str]) -> str:
    """What to write in place of an option that `@udf` does not have."""
    of_udf = list(of_udf)
    meant = _OPTIONS.get(name, name)
    if meant in of_udf:
        return _called_here(meant)
    if meant in _OF_SUBMIT:
        return f"give it with the call: fanfold.submit(udf, inputs, {meant}=...)."
    if name in ("schedule", "cron"):
        return 'udf.schedule("0 6 * * *", inputs) has a deployment run it at such times.'
    near = get_close_matches(name, of_udf, n=1, cutoff=0.7)
    return f"{f'did you mean {near[0]!r}? It' if near else 'it'} has {', '.join(of_udf)}."


def _called_here(option: str) -> str:
    if option == "instance_type":
        return (
            'choose a machine: instance_type="small", "medium", "large" or a name such as "m5.4xlarge";'
            " `fanfold instance-types` lists them."
        )
    unit = " (seconds)" if option == "timeout_s" else ""
    return f"here it is called {option}={unit}."
