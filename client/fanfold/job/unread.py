"""A job's results as one table although some of them cannot be read: each of these has a row that says why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fanfold.contract.records import NamedTuple
from fanfold.core.models import GOOD, RunStatus
from fanfold.errors import FanfoldError, SignInNeeded, StoreUnavailable
from fanfold.job.job import Job
from fanfold.job.results import RESULT, as_pandas, fold_results, is_record

if TYPE_CHECKING:
    import pandas as pd

#: The column that says why a result could not be read.
WHY_NOT = "cannot be read"


class UnreadResult(NamedTuple):
    """A run whose result could not be read, and why."""

    run: int
    why: str


def collect_readable(job: Job) -> tuple[pd.DataFrame, list[UnreadResult]]:
    """All results of a job that has ended, indexed by the arguments, and those that cannot be read.

    These stand first, with the reason in the column `WHY_NOT`. Raises what `collect` raises where the results can be
    read and yet make no table, where none of them can be for one and the same reason, and where the store is silent.
    """
    try:
        return job.collect(ignore_exceptions=True, verbose=False), []
    except (SignInNeeded, StoreUnavailable, MemoryError):
        raise
    except (Exception, SystemExit):
        found = _each_result(job)
        unread = [one for one in found if isinstance(one, UnreadResult)]
        if len(unread) == len(found) and len({one.why for one in unread}) == 1:
            raise
        labels = _labels(job)
        if not unread and labels is not None:
            raise
        inputs: Sequence[Any] = list(job.state.indexes(*GOOD)) if labels is None else labels
        return _table(inputs, found), unread


def why_not_read(error: BaseException) -> str:
    """Why something could not be read, in one line."""
    if isinstance(error, FanfoldError):
        return error.message
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def unread_results(job: Job) -> list[UnreadResult]:
    """The results of a job that cannot be read."""
    return [one for one in _each_result(job) if isinstance(one, UnreadResult)]


def _each_result(job: Job) -> list[Any]:
    """Each good run's value, or the `UnreadResult` in its place."""
    state, found = job.state, list[Any]()
    for run in state.indexes(*GOOD):
        output = state.output(run)
        assert output is not None
        try:
            found.append(job.contents.value(run, output, cached=state.status_of(run) is RunStatus.CACHED))
        except (SignInNeeded, StoreUnavailable, MemoryError):
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  the user's own code, which may raise anything
            found.append(UnreadResult(run, why_not_read(error)))
    return found


def _labels(job: Job) -> list[dict[str, Any]] | None:
    try:
        return job.contents.labels(list(job.state.indexes(*GOOD)))
    except (SignInNeeded, StoreUnavailable, MemoryError):
        raise
    except Exception:  # noqa: BLE001  they are numbered then; each run's own page says what its input has
        return None


def _table(inputs: Sequence[Any], found: list[Any]) -> pd.DataFrame:
    good = [one for one in found if not isinstance(one, UnreadResult) and one is not None]
    frames = [as_pandas(one) for one in good]
    if good and all(frame is not None for frame in frames):
        values = [_as_frame(one, frames[0]) if isinstance(one, UnreadResult) else one for one in found]
    elif good and all(map(is_record, good)):
        values = [{WHY_NOT: one.why} if isinstance(one, UnreadResult) else one for one in found]
    else:
        values = [{WHY_NOT: one.why} if isinstance(one, UnreadResult) else {RESULT: one} for one in found]
    whole = fold_results(inputs, values)
    if WHY_NOT not in whole.columns:
        return whole
    whole = whole[[WHY_NOT, *(name for name in whole.columns if name != WHY_NOT)]]
    return whole.iloc[whole[WHY_NOT].isna().to_numpy().argsort(kind="stable")]


def _as_frame(one: UnreadResult, like: Any) -> pd.DataFrame:
    """The reason as a table of one row, of as many levels as another's index has."""
    import pandas as pd

    names = like.index.names
    if len(names) > 1:
        return pd.DataFrame({WHY_NOT: [one.why]}, index=pd.MultiIndex.from_arrays([[None]] * len(names), names=names))
    first = 0 if like.index.dtype.kind in "iu" else None
    return pd.DataFrame({WHY_NOT: [one.why]}, index=pd.Index([first], name=names[0]))
