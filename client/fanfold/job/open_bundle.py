"""A job as a folder that other programs read: a manifest, its runs as Parquet, its inputs and results, its code."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fanfold.codec import decode, encode
from fanfold.codec.registry import IPC, POLARS_WITH_LETTER
from fanfold.core.fold import JobState
from fanfold.core.models import GOOD, Output, RunStatus
from fanfold.core.plain_json import plain
from fanfold.errors import CodecError, InputError, ResultDamaged
from fanfold.job.verify import Receipt
from fanfold.job.written import path_here, written_whole
from fanfold.stores.keys import bundle_key
from fanfold.stores.packing import header_to_text

if TYPE_CHECKING:
    import pyarrow as pa

    from fanfold.job import Job

#: The version of the folder's form, which `manifest.json` begins with.
_FORMAT = 1
_MANIFEST, _RUNS, _INPUTS = "manifest.json", "runs.parquet", "inputs.jsonl"
#: What a stored result's file is called, by the beginning of its codec; all others are `.bin`.
_ENDINGS = {"parquet": ".parquet", "geoparquet": ".parquet", "npy": ".npy", "png": ".png"}
#: Frames that are stored in a form which only Fanfold reads: they become Parquet.
_WRITTEN_ANEW = (IPC, "ipc-arrow/1", POLARS_WITH_LETTER)
#: The longest result that stands in `runs.parquet` as text as well.
_SHOWN_BYTES = 64 * 1024


def export_job(job: Job, to: str | os.PathLike[str]) -> Path:
    """Write a job into the new folder `to`, whole or not at all. Raises `InputError`, or `ResultDamaged`."""
    path = path_here(to)
    _check_new(path)
    with written_whole(path) as half_written:
        half_written.mkdir()
        _write(job, half_written)
    return path


def _check_new(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise InputError(f"There is no directory {path.parent}.", next_step="make it, or write elsewhere.")
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise InputError(f"{path} exists already.", next_step="name a new folder.")


def _write(job: Job, folder: Path) -> None:
    import pyarrow.parquet as pq

    state, header, objects = job.tracker.look(), job.header, job.tracker.engine.stores.objects
    files: list[str] = [_RUNS, _INPUTS]
    for sha256 in dict.fromkeys((header.bundle_sha256, *header.fixed_bundles)):
        files.append(f"code-{sha256}.json")
        (folder / files[-1]).write_bytes(objects.get(bundle_key(sha256)))
    with (folder / _INPUTS).open("w", encoding="utf-8") as inputs:
        inputs.writelines(f"{job.contents.own_text(index)}\n" for index in range(len(job)))
    results = {index: _write_result(job, index, folder) for index in state.indexes(*GOOD)}
    pq.write_table(_runs_table(job, state, results), folder / _RUNS)
    written = {name: _facts_of(folder / name) for name in files}
    manifest = {
        "fanfold_export": _FORMAT,
        "id": job.id,
        "status": state.status.value,
        "runs": len(job),
        "header": json.loads(header_to_text(header)),
        "files": written,
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _write_result(job: Job, index: int, folder: Path) -> dict[str, Any]:
    """Write one result's bytes as they are stored, frames as Parquet; what `runs.parquet` says of it."""
    output = job.state.output(index)
    assert output is not None
    codec, data, sha256 = output.codec, job.contents.read_checked(index, output), output.sha256
    if codec in _WRITTEN_ANEW:
        codec, data = encode(_as_table(decode(codec, data)))
        sha256 = hashlib.sha256(data).hexdigest()
    form = codec.partition("/")[0]
    ending = ".json" if form == "json" else _ENDINGS.get(form.partition("-")[0], ".bin")
    name = f"results/run={index}/result{ending}"
    place = folder / name
    place.parent.mkdir(parents=True)
    place.write_bytes(data)
    facts = {"result_file": name, "result_codec": codec, "result_sha256": sha256}
    return {**facts, "result_bytes": len(data), "result": _shown(job, index, output, form)}


def _as_table(value: Any) -> Any:
    """What Arrow has beside tables as one, since these are Parquet; any other value as it is."""
    import pyarrow as pa

    if isinstance(value, pa.RecordBatch):
        return pa.Table.from_batches([value])
    return pa.table({"value": value}) if isinstance(value, (pa.Array, pa.ChunkedArray)) else value


def _shown(job: Job, index: int, output: Output, form: str) -> str | None:
    """A short value as plain JSON; None for what is a file of its own kind, or cannot be read here."""
    if form != "json" or output.size > _SHOWN_BYTES:
        return None
    try:
        cached = job.state.status_of(index) is RunStatus.CACHED
        return json.dumps(job.contents.value(index, output, cached=cached), default=plain)
    except (CodecError, ResultDamaged, TypeError, ValueError):  # of a class that is not here; not a number in JSON
        return None


def _runs_table(job: Job, state: JobState, results: Mapping[int, dict[str, Any]]) -> pa.Table:
    import pyarrow as pa

    arguments = [job.contents.arguments(index) for index in range(len(job))]
    columns: dict[str, Any] = {
        "run": pa.array(range(len(job)), pa.int64()),
        "status": [state.status_of(index).value for index in range(len(job))],
        "attempt": pa.array([state.attempt_of(index) for index in range(len(job))], pa.int64()),
        "arguments": [json.dumps(given, default=plain) for given in arguments],
    }
    for name in dict.fromkeys(name for given in arguments for name in given):
        columns[f"arg_{name}"] = _column([given.get(name) for given in arguments])
    for name, kind in _RESULT_COLUMNS.items():
        found = [results.get(index, {}).get(name) for index in range(len(job))]
        columns[name] = pa.array(found, pa.type_for_alias(kind))
    for name, (kind, read) in _MEASURED.items():
        columns[name] = pa.array([read(state, index) for index in range(len(job))], pa.type_for_alias(kind))
    return pa.table(columns)


def _column(values: list[Any]) -> Any:
    """One argument over all runs: as it is where Arrow has a plain type for it, else as JSON."""
    import pyarrow as pa

    if {type(value) for value in values} <= {bool, int, float, str, type(None)}:
        try:
            return pa.array(values)
        except (pa.ArrowException, OverflowError):
            pass
    return pa.array([json.dumps(value, default=plain) for value in values])


def _moment(seconds: float | None) -> int | None:
    return None if seconds is None or isnan(seconds) else round(seconds * 1e6)


def _usage(state: JobState, index: int, name: str) -> float | None:
    usage = state.usage(index)
    return None if usage is None else getattr(usage, name)


def _error(state: JobState, index: int, name: str) -> str | None:
    error = state.error(index)
    return None if error is None else str(getattr(error, name))


_RESULT_COLUMNS = {
    "result": "string",
    "result_file": "string",
    "result_codec": "string",
    "result_sha256": "string",
    "result_bytes": "int64",
}
_MEASURED: dict[str, tuple[str, Any]] = {
    "started_at": ("timestamp[us]", lambda state, index: _moment(state.started_at(index))),
    "finished_at": ("timestamp[us]", lambda state, index: _moment(state.finished_at(index))),
    "duration_s": ("double", lambda state, index: _usage(state, index, "duration_s")),
    "cpu_s": ("double", lambda state, index: _usage(state, index, "cpu_s")),
    "peak_memory_mib": ("double", lambda state, index: _usage(state, index, "peak_memory_mib")),
    "error_type": ("string", lambda state, index: _error(state, index, "type")),
    "error_message": ("string", lambda state, index: _error(state, index, "message")),
    "error_traceback": ("string", lambda state, index: _error(state, index, "traceback")),
    "code_hash": ("string", lambda state, index: state.code_hash_of(index)),
}


def _facts_of(path: Path) -> dict[str, Any]:
    return {"sha256": _sha256(path), "bytes": path.stat().st_size}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


# The proof from the folder alone: no store, no account.


def is_exported(path: str) -> bool:
    """Whether that is a folder which `export_job` wrote."""
    return (Path(path) / _MANIFEST).is_file()


def verify_exported(path: Path) -> Receipt:
    """Compare all that is in the folder with its hashes. Raises `InputError` where its manifest is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    manifest = _manifest(path)
    count, sources = int(manifest["runs"]), list(_damaged_files(path, manifest["files"]))
    try:
        runs = pq.read_table(path / _RUNS).to_pylist()
    except (OSError, pa.ArrowException):  # said of the file already
        runs = []
    final = [run for run in runs if RunStatus(run["status"]).final]
    good = [run for run in final if run["result_file"] is not None]
    damaged = {run["run"]: reason for run in good if (reason := _damage(path, run))}
    codes: dict[str, int] = {}
    for run in final:
        codes[run["code_hash"]] = codes.get(run["code_hash"], 0) + 1
    return Receipt(
        manifest["id"],
        count,
        len(good) - len(damaged),
        sum(run["result_bytes"] for run in good if run["run"] not in damaged),
        missing=sorted(set(range(count)) - {run["run"] for run in final}),
        failed=[run["run"] for run in final if run["result_file"] is None],
        damaged=damaged,
        damaged_sources=sources,
        code_hashes=codes,
    )


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["fanfold_export"] == _FORMAT and isinstance(manifest["files"], dict):
            return dict(manifest)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise InputError(
        f"{path / _MANIFEST} is not a manifest that this Fanfold reads.",
        next_step="export the job again with `fanfold export`, or verify it with the Fanfold that wrote it.",
    )


def _damaged_files(path: Path, files: Mapping[str, Any]) -> Iterator[str]:
    for name, facts in files.items():
        if not (path / name).is_file():
            yield f"{name} is missing"
        elif _sha256(path / name) != facts["sha256"]:
            yield f"{name} is damaged: its bytes do not match their hash"


def _damage(path: Path, run: Mapping[str, Any]) -> str:
    place = path / run["result_file"]
    if not place.is_file():
        return f"{run['result_file']} is missing"
    same = _sha256(place) == run["result_sha256"]
    return "" if same else f"{run['result_file']} is damaged: its bytes do not match their hash"
