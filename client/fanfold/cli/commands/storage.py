"""Taking jobs away from this machine: how disk is freed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from fanfold.cli import options
from fanfold.cli.options import age_s
from fanfold.cli.output import note, print_json, print_text
from fanfold.cli.output import size as said_size
from fanfold.core.formatting import counted
from fanfold.errors import InputError

if TYPE_CHECKING:
    from fanfold.engines.base import Engine
    from fanfold.job import Job
    from fanfold.stores.local import SqliteResultCache

#: Headers read at a time.
_PAGE_JOBS = 500


def remove(
    jobs: Annotated[
        list[str] | None, typer.Argument(metavar="[JOB]...", help="Jobs' ids.", autocompletion=options.job_ids)
    ] = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="All that were started longer ago than 12h, 7d, 2w.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before all ended jobs go.")] = False,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Remove ended jobs from this machine, to free disk.

    Their inputs, results and logs go, and what they put into the cache. A result that another job shares stays.
    A deployment on AWS removes its jobs by itself, after its setting `retention_days`.
    """
    where = _engine(engine)
    if jobs and older_than is not None:
        raise InputError("Both ids and --older-than are given.", next_step="give one of them. Nothing was removed.")
    if not jobs and older_than is None:
        raise InputError("No job is named.", next_step="give ids of jobs, or --older-than 7d.")
    if jobs:
        ended = [_refuse_open(job_id, where) for job_id in jobs]
    else:
        ended, running = _started_before(time.time() - age_s("--older-than", str(older_than)), where)
        for job_id in running:
            note(f"Job {job_id} still runs: it stays.")
        if ended and not yes and age_s("--older-than", str(older_than)) == 0:
            _ask_whether_all(len(ended))
    from fanfold.engines.base import forget_submitted_here

    freed = where.stores.remove_jobs(ended)
    for job_id in ended:
        forget_submitted_here(job_id)
    if as_json:
        print_json({"removed": ended, "freed_bytes": freed})
    else:
        print_text(f"{counted(len(ended), 'job')} removed, {said_size(freed)} freed")


def salvage(as_json: options.AsJson = False) -> None:
    """Make a new store of what a damaged one still has.

    It helps when `fanfold.db` "is not a database that can be read". The damaged file stays beside the new one. It
    names jobs that are lost, and jobs that lack something: submit these again, and what is in the cache is not run
    again.
    """
    from fanfold.settings import current
    from fanfold.stores.local.salvage import salvage as salvage_home

    told = salvage_home(current().home)
    if as_json:
        facts = {"jobs": told.jobs, "incomplete": told.incomplete, "lost": told.lost, "results": told.results}
        print_json({**facts, "damaged": str(told.damaged)})
        return
    print_text(f"{counted(len(told.jobs), 'job')} and {counted(told.results, 'cached result')} are there again")
    for job_id in told.incomplete:
        print_text(f"  {job_id} lacks results or was still running: `fanfold retry {job_id}` runs what is missing")
    for job_id in told.lost:
        print_text(f"  {job_id} is lost: submit it again; what is in the cache is not run again")
    print_text(f"the damaged file is now {told.damaged}")


def _engine(engine: str | None) -> Engine:
    from fanfold.engines.base import engine_for

    chosen = engine_for(engine)
    if chosen.describe().jobs_expire:
        raise InputError(
            "Jobs of a deployment cannot be removed by hand.",
            next_step="they expire after its setting `retention_days`; for jobs of this machine add --engine local.",
        )
    return chosen


def _refuse_open(job_id: str, where: Engine) -> str:
    job = _job(job_id, where)
    if not job.state.done:
        raise InputError(
            f"Job {job_id} still runs.", next_step=f"`fanfold cancel {job_id}` first. Nothing was removed."
        )
    return job_id


def _started_before(then: float, where: Engine) -> tuple[list[str], list[str]]:
    """The ids of jobs that have ended, and of those that still run."""
    ended: list[str] = []
    running: list[str] = []
    for job_id in _ids_before(then, where):
        (ended if _job(job_id, where).state.done else running).append(job_id)
    return ended, running


def _ids_before(then: float, where: Engine) -> Iterator[str]:
    before = None
    while headers := where.stores.log.list_jobs(limit=_PAGE_JOBS, before=before):
        yield from (header.id for header in headers if header.created_at < then)
        before = headers[-1].id


def _job(job_id: str, where: Engine) -> Job:
    """The job as it is now: one whose process was killed has ended."""
    from fanfold.job import Job

    job = Job(where.stores.log.get_job(job_id), where)
    job.counts()
    return job


def _ask_whether_all(count: int) -> None:
    """Ask before every ended job goes; a script says --yes. Raises `InputError` where nobody can answer, or says no."""
    question = f"Remove all {counted(count, 'ended job')} of this machine, with their results?"
    if not sys.stdin.isatty() or not typer.confirm(question, err=True):
        raise InputError("This would remove every ended job.", next_step="add --yes to confirm. Nothing was removed.")


# The result cache of this machine: cache size, cache clear.


def size(as_json: options.AsJson = False) -> None:
    """Show how many results are cached, and how much room they take."""
    with _cache() as cache:
        results, count = cache.usage()
    if as_json:
        print_json({"results": results, "bytes": count})
    else:
        print_text(f"{counted(results, 'result')}, {said_size(count)}")


def clear(
    older_than: Annotated[
        str | None, typer.Option(metavar="AGE", help="Only results older than 30s, 5m, 12h, 7d.")
    ] = None,
    udf: Annotated[str | None, typer.Option(metavar="NAME", help="Only results of the UDF of that name.")] = None,
    engine: options.EngineName = None,
    as_json: options.AsJson = False,
) -> None:
    """Forget cached results, and delete files that nothing needs.

    The results of jobs stay: they can still be collected. `fanfold remove` takes jobs away. In a deployment only the
    results of one UDF are forgotten by hand, with --udf; all go by themselves after its setting `retention_days`.
    """
    age = None if older_than is None else age_s("--older-than", older_than)
    forgotten, freed = _clear_far(engine, udf, age) or _clear_here(udf, age)
    if as_json:
        print_json({"forgotten": forgotten, "freed_bytes": freed})
    else:
        print_text(f"{counted(forgotten, 'result')} forgotten, {said_size(freed)} freed")


def _clear_here(udf: str | None, age: float | None) -> tuple[int, int]:
    with _cache() as cache:
        return cache.clear(age, udf=udf)


def _clear_far(engine: str | None, udf: str | None, age: float | None) -> tuple[int, int] | None:
    """Forget a UDF's results in a deployment; None where this machine's are meant."""
    from fanfold.engines.base import engine_for

    if engine is None and udf is None:
        return None
    where = engine_for(engine)
    if not where.describe().jobs_expire:
        return None
    if udf is None or age is not None:
        raise InputError(
            "In a deployment, `cache clear` forgets the results of one UDF, whatever their age.",
            next_step="name it: `fanfold cache clear --udf NAME`. Nothing was forgotten.",
        )
    from fanfold.engines.reuse import forget_results_of

    return forget_results_of(udf, where.stores), 0


@contextmanager
def _cache() -> Iterator[SqliteResultCache]:
    from fanfold.settings import current
    from fanfold.stores.local import LocalStores

    with LocalStores.open(current().home) as stores:
        yield stores.cache
