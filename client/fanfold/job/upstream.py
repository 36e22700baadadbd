"""A job's results as inputs of another job: by reference where they are large, by value where they are small."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fanfold.codec import Encoded
from fanfold.codec.stored import AbsentResult, StoredResult
from fanfold.core.models import Output, RunStatus
from fanfold.core.shown import short
from fanfold.errors import InputError
from fanfold.job.results import PICKLE
from fanfold.stores.keys import blob_key

if TYPE_CHECKING:
    from fanfold.job.job import Job
    from fanfold.job.run import Run

#: What groups runs: a parameter of theirs, several, or a function of their arguments.
By = str | Sequence[str] | Callable[[dict[str, Any]], Any]


def name_of(run: Run) -> str:
    """A run as arguments that refer to it name it."""
    return f"run {run.index} of job {run.job.id}"


def ended_output(run: Run) -> Output | None:
    """Where the result of a run is, when it has ended; None where it has none."""
    job, index = run.job, run.index
    for state in job.tracker.changes():
        if state.status_of(index).final:
            break
    return job.state.output(index)


def small_value(run: Run) -> Any:
    """The run's result where it travels within events and is plain data; else the run itself. Waits for its end."""
    output = ended_output(run)
    return run.result() if output is not None and output.inline is not None and output.codec == "json/1" else run


def argument_tree(run: Run, objects: Any, put_part: Callable[[Encoded], Any]) -> Any:
    """What stands in arguments for a run's result. Waits for its end.

    `objects` is the store that the arguments are for: what lies in it already is named where it lies, and what does not
    is read and handed to `put_part`. Raises `InputError` for what another has pickled.
    """
    output = ended_output(run)
    if output is None:
        return AbsentResult(name_of(run), _reason(run)).tree
    contents, own = run.job.contents, run.job.tracker.engine.stores.objects
    if output.codec == PICKLE and not contents.may_run_code(output, cached=run.status is RunStatus.CACHED):
        raise InputError(
            f"The result of {name_of(run)} was written with pickle, perhaps by somebody else: reading it runs code.",
            next_step="if you trust who wrote it, opt in with FANFOLD_ALLOW_PICKLE=1.",
        )
    if output.key is not None and own is objects:
        return StoredResult(output.codec, output.sha256, own.refer(output.key), name_of(run)).tree
    data = contents.read_checked(run.index, output)
    if output.codec == PICKLE:  # nobody reads it but the run
        objects.put_if_absent(blob_key(output.sha256), data)
        return StoredResult(output.codec, output.sha256, blob_key(output.sha256), name_of(run)).tree
    return put_part(Encoded(output.codec, data))


def _reason(run: Run) -> str:
    status, error = run.status.value.replace("_", " "), run.job.state.error(run.index)
    return f"it {status}" if error is None else f"it {status} with {error.type}: {error.message[:300]}"


class Grouped:
    """A job's runs in groups, each of them one input, in the order in which their first runs come."""

    def __init__(self, job: Job, by: By | None) -> None:
        if by is not None and not callable(by) and not isinstance(by, (str, Sequence)):
            raise InputError(
                f"by={by!r} is nothing to group by.",
                next_step='give a parameter ("year"), several (["year", "day"]), or a function of a run\'s arguments.',
            )
        #: What a group is told by, to a UDF that has parameters of these names.
        self.names = () if by is None else ("key",) if callable(by) else (by,) if isinstance(by, str) else tuple(by)
        self._groups: dict[tuple[Any, ...], list[Run]] = {}
        for run, given in zip(job, job.contents.labels(range(len(job))), strict=True):
            key = (by(given),) if callable(by) else tuple(_argument(job, given, name) for name in self.names)
            self._groups.setdefault(_hashable(key), []).append(run)

    def __len__(self) -> int:
        return len(self._groups)

    def __repr__(self) -> str:
        by = f" by {', '.join(self.names)}" if self.names else ""
        groups = f"{len(self)} group{'' if len(self) == 1 else 's'}"
        return f"<{groups}{by} of {sum(map(len, self._groups.values()))} runs>"

    def __iter__(self) -> Iterator[list[Run]]:
        return iter(self._groups.values())

    def for_parameters(self, parameters: Sequence[str], constants: Iterable[str]) -> Iterator[dict[str, Any]]:
        """Each group as arguments: its runs for the first free parameter, its key for those that are called so."""
        free = [name for name in parameters if name not in constants and name not in self.names]
        for key, runs in self._groups.items():
            told = {name: value for name, value in zip(self.names, key, strict=True) if name in parameters}
            yield {**dict.fromkeys(free[:1], runs), **told}


def _argument(job: Job, given: dict[str, Any], name: str) -> Any:
    found = given if name in given else job.contents.constants()
    if name not in found:
        raise InputError(
            f"Job {job.id} has no parameter {name!r} to group by.",
            next_step=f"group by one of {', '.join(given)}, or by a function of a run's arguments.",
        )
    return found[name]


def _hashable(key: tuple[Any, ...]) -> tuple[Any, ...]:
    try:
        hash(key)
    except TypeError:
        raise InputError(
            f"Runs cannot be grouped by {short(key)}, which is no key of a dict.",
            next_step="group by a number, a text, a date, or a tuple of these.",
        ) from None
    return key
