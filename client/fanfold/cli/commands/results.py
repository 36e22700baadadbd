"""Commands that tell what came of a job's runs: times, errors, collect, verify."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fanfold.cli import options
from fanfold.cli.exits import ExitCode
from fanfold.cli.output import Column, arguments, note, print_json, print_table, print_text
from fanfold.cli.records import check_run, chosen, error_record, receipt_record, time_record
from fanfold.core.formatting import counted, duration
from fanfold.core.models import BAD
from fanfold.job import Job
from fanfold.job.verify import Receipt

_TIMES = (
    Column("run", right=True),
    Column("status"),
    Column("tries", right=True),
    Column("time", right=True),
    Column("memory", right=True),
    Column("input", flexible=True),
)
_ERRORS = (Column("run", right=True), Column("status"), Column("error", flexible=True), Column("input", flexible=True))


def times(
    job: options.JobId,
    slowest: Annotated[bool, typer.Option("--slowest", help="The longest first.")] = False,
    limit: options.Limit = None,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Show how long each run took, and its peak memory."""
    from fanfold.api.submit import get_job
    from fanfold.job.summary import has_begun

    found = get_job(job, engine=engine)
    took = found.times()
    indexes = sorted(range(len(found)), key=lambda index: -(took[index] or 0)) if slowest else range(len(found))
    some, more = chosen(indexes, limit, as_json=as_json)
    records = [time_record(found, index) for index in some]
    if as_json:
        print_json(records)
        return
    print_table(_TIMES, [_time_row(record, begun=has_begun(found.state, record["run"])) for record in records])
    _say_more(more, len(some), len(found))


def errors(
    job: options.JobId,
    run: options.OneRun = None,
    limit: options.Limit = None,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Show which runs failed, and why.

    It prints the remote traceback of the first, or of the one that --run names.
    """
    from fanfold.api.submit import get_job

    found = get_job(job, engine=engine)
    check_run(found, run)
    found.status  # noqa: B018  reads what is new
    failed = [index for index in found.state.indexes(*BAD) if run in (None, index)]
    some, more = chosen(failed, limit, as_json=as_json)
    records = [error_record(found, index) for index in some]
    if as_json:
        print_json(records)
        return
    if not some:
        print_text(
            "No run has failed." if run is None else f"Run {run} has not failed: it is {found[run].status.value}."
        )
        return
    if run is None:
        print_table(_ERRORS, [_error_row(record) for record in records])
        _say_more(more, len(some), len(failed))
        print_text("")
    print_text(_error_text(found, some[0]))


def collect(
    job: options.JobId,
    *,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help=options.FORMATS)],
    ignore_exceptions: Annotated[
        bool, typer.Option("--ignore-exceptions", help="Leave failed runs out instead of failing.")
    ] = False,
    flatten: Annotated[bool, typer.Option("--flatten/--no-flatten", help="Frames below one another.")] = True,
    timeout: options.Timeout = None,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Write a job's results to one file, when it has ended.

    The arguments of each run are the leading columns. Values that are no frames stand in a column `result`; in .csv,
    arrays and others that hold several values are JSON in their cells. A .tif takes the runs' rasters, a .vrt names the
    files that they wrote, .zarr and .nc take datasets of xarray.
    """
    from fanfold.api.submit import get_job
    from fanfold.job.export import check_target, name_of, without_index

    check_target(output)
    found = get_job(job, engine=engine).wait(timeout)
    frame = without_index(found.collect(output, ignore_exceptions=ignore_exceptions, flatten=flatten))
    if as_json:
        print_json({"path": name_of(output), "rows": len(frame), "columns": [str(name) for name in frame.columns]})
    else:
        print_text(f"{name_of(output)}: {counted(len(frame), 'row')}, {counted(len(frame.columns), 'column')}")


def report(
    job: options.JobId,
    *,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Where to write it; else JOB.html.")
    ] = None,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Write a job as one HTML file, for a colleague or the record.

    It tells how the job stands, why runs failed, how long they took, what each was given and gave, and with which code.
    It needs no account and no connection. A job that still runs is written as it is now.
    """
    from fanfold.api.submit import get_job

    path = get_job(job, engine=engine).report(output)
    if as_json:
        print_json({"path": str(path), "bytes": path.stat().st_size})
    else:
        print_text(f"{path}: {path.stat().st_size:,} bytes")


def export(
    job: options.JobId,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new folder.")],
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Write a job into a folder that other programs read.

    It has a manifest, the runs as Parquet, the inputs as JSON lines, each result in its own format, and the code.
    `fanfold verify FOLDER` proves later, from the folder alone, that all is as it was.
    """
    from fanfold.api.submit import get_job

    found = get_job(job, engine=engine)
    path = found.export(folder)
    if as_json:
        print_json({"path": str(path), "runs": len(found)})
    else:
        print_text(f"{path}: {counted(len(found), 'run')}")


def verify(job: options.JobOrFolder, engine: options.EngineName = None, as_json: options.AsJson = False) -> None:
    """Prove from the stored bytes that a job is complete.

    Where it is not, it says what is missing or damaged. The exit code tells it as well: 0 complete, 1 a result is
    damaged or gone from where it was kept, 4 runs have not ended. Runs that failed or were lost have ended: `fanfold
    errors` shows why.

    A folder that `fanfold export` wrote is proven from itself alone.
    """
    receipt = _receipt(job, engine)
    if as_json:
        print_json(receipt_record(receipt))
    else:
        print_text(str(receipt))
    if receipt.damaged or receipt.damaged_sources:
        raise typer.Exit(ExitCode.FAILED)
    if receipt.missing:
        raise typer.Exit(ExitCode.INCOMPLETE)


def _receipt(job: str, engine: str | None) -> Receipt:
    from fanfold.job.open_bundle import is_exported, verify_exported

    if is_exported(job):
        return verify_exported(Path(job))
    from fanfold.api.submit import get_job

    return get_job(job, engine=engine).verify()


def _time_row(record: dict[str, object], *, begun: bool) -> tuple[str, ...]:
    took, peak_mib = record["duration_s"], record["peak_memory_mib"]
    return (
        f"{record['run']:,}",
        str(record["status"]).replace("_", " "),
        str(int(str(record["attempt"])) + begun),
        duration(took) if isinstance(took, float) else "",
        f"{peak_mib:,.0f} MiB" if isinstance(peak_mib, float) else "",
        arguments(record["input"]),  # type: ignore[arg-type]
    )


def _error_row(record: dict[str, object]) -> tuple[str, ...]:
    told = f"{record['type']}: {record['message']}".split("\n", 1)[0]
    return (f"{record['run']:,}", str(record["status"]).replace("_", " "), told, arguments(record["input"]))  # type: ignore[arg-type]


def _error_text(job: Job, index: int) -> str:
    error = job.error(index)
    return error.message if error else ""


def _say_more(more: bool, shown: int, count: int) -> None:
    if more:
        note(f"{shown:,} of {count:,} runs; --limit {count} shows all.")
