"""Results of an earlier job among the inputs of another: named where they lie, and read by the run that needs them.

In text such a result is `{"$blob":[codec, sha256, key, run]}`, or `{"$absent":[run, reason]}` where its run has none.
"""

from __future__ import annotations

from _thread import _local as local  # `threading` itself would be one more import of a worker's
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fanfold.codec.encoded import Encoded
from fanfold.codec.registry import is_by_reference
from fanfold.codec.values import trusts_writer
from fanfold.errors import CodecError, InputMissing

if TYPE_CHECKING:
    from fanfold.codec.values import Tagger


class StoredResult:
    """A result that lies in the store, as somebody sees it who does not load it; `run` is the run that gave it."""

    __slots__ = ("codec", "key", "run", "sha256")

    def __init__(self, codec: str, sha256: str, key: str, run: str) -> None:
        self.codec, self.sha256, self.key, self.run = codec, sha256, key, run

    @property
    def tree(self) -> Any:
        """What stands for it in text."""
        return {"$blob": [self.codec, self.sha256, self.key, self.run]}

    def __repr__(self) -> str:
        return f"<result of {self.run}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredResult) and (self.codec, self.sha256) == (other.codec, other.sha256)

    def __hash__(self) -> int:
        return hash((self.codec, self.sha256))


class AbsentResult:
    """What would have been the result of a run that has none."""

    __slots__ = ("reason", "run")

    def __init__(self, run: str, reason: str) -> None:
        self.run, self.reason = run, reason

    @property
    def tree(self) -> Any:
        """What stands for it in text."""
        return {"$absent": [self.run, self.reason]}

    @property
    def error(self) -> InputMissing:
        """What a run says that was to have it."""
        job_id = self.run.rpartition(" ")[2]
        return InputMissing(
            f"Its input is the result of {self.run}, which has none: {self.reason}.",
            next_step=f'`fanfold.get_job("{job_id}").retry()`, then the same submit: the cache has what is done.',
        )

    def __repr__(self) -> str:
        return f"<no result of {self.run}>"


class _Arguments(local):
    """The store that the present thread writes arguments for."""

    objects: Any = None


_arguments = _Arguments()


@contextmanager
def referring_to(objects: Any) -> Iterator[None]:
    """Runs of jobs that are written within stand for their results, for readers of this store; None: are refused."""
    before, _arguments.objects = _arguments.objects, objects
    try:
        yield
    finally:
        _arguments.objects = before


#: Runs of jobs are looked for so deep: among arguments, in a list of them, in its dicts.
_DEPTH = 3


def resolve(value: Any, depth: int = _DEPTH) -> Any:
    """A value whose runs of jobs are their results, where these are small and plain; the others stand as they are.

    Waits for runs that have not ended. What holds no such run is returned itself.
    """
    if is_by_reference(value):
        return value.small_value() if hasattr(value, "small_value") else value
    if depth == 0 or type(value) not in (list, tuple, dict):
        return value
    items = list(value.values() if type(value) is dict else value)
    resolved = [resolve(item, depth - 1) for item in items]
    if all(one is other for one, other in zip(items, resolved, strict=True)):
        return value
    return dict(zip(value, resolved, strict=True)) if type(value) is dict else type(value)(resolved)


def tag(value: Any, tagger: Tagger) -> Any:
    """The tree of a result that lies in the store, or of the run that gives it."""
    if type(value) in (StoredResult, AbsentResult):
        return value.tree
    if _arguments.objects is None:
        raise CodecError(
            f"{tagger.where} is a run of a job, which stands for its result among the inputs of `submit`.",
            next_step="pass its value: `run.result()`.",
            instead="pass its value: `run.result()`",
        )
    return value.argument_tree(_arguments.objects, tagger.put_part)


def pack(value: Any) -> Encoded | None:  # noqa: ARG001
    """None: it is always a tag."""
    return None


def _untag_absent(payload: list[str]) -> Any:
    absent = AbsentResult(*payload)
    if trusts_writer():  # by a run that was to have it
        raise absent.error
    return absent


UNTAG = {"$absent": _untag_absent}
