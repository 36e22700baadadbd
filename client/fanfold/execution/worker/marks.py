"""What the files were that a run was given and has returned, by which its result may be used again.

Looked at when the run has ended, so that what it wrote itself counts as it left it; and before it begins, for a file
or an object that somebody else has replaced meanwhile is not the one that the run has read. Imported by workers: cheap
standard library only.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from fanfold.core.models import PATH_TAG

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from fanfold.codec import Encoded
    from fanfold.codec.paths import NamedPath
    from fanfold.execution.worker.perform import JobContext

#: What the arguments' files were; what the result's were; why that could not be seen, and nothing is kept; and of which
#: file nobody can tell whether the run has read it as it is, or as it was before, and nothing is kept either.
GIVEN, GOT, UNSEEN, CHANGED = "given", "got", "unseen", "changed"
#: Which folders among the arguments are as they were before the run, and how (`codec.folders`).
FOLDERS = "folders"

#: A run that begins so soon after another has ended needs no look of its own, which costs a request.
_AT_ONCE_S = 0.02
#: Folders that runs have not written to yet are compared so much later: it takes milliseconds.
_COMPARE_AGAIN_S = 0.25


class _AtTheEnd:
    """What the last run was given in S3 led to at its end, and when that was (time.monotonic seconds)."""

    at = 0.0
    stamps: ClassVar[dict[NamedPath, str]] = {}


class _Folders:
    """How the folders of one job's runs were when this process looked into them last.

    That is as good as a look at each run's beginning: where all is so again, nothing has changed meanwhile, for no
    program sets back what the system writes down. Who writes there is seen at the end of the first run, and later on
    where the folder itself says so, or after a while.
    """

    job = ""
    states: ClassVar[dict[str, str]] = {}
    tops: ClassVar[dict[str, int]] = {}
    written: ClassVar[set[str]] = set()
    #: When they were compared last (time.monotonic seconds); None before the end of the first run.
    compared_at: float | None = None

    @classmethod
    def of_job(cls, job_id: str) -> type[_Folders]:
        """The same, with nothing of another job."""
        if cls.job != job_id:
            cls.job, cls.states, cls.tops, cls.written, cls.compared_at = job_id, {}, {}, set(), None
        return cls

    @classmethod
    def before(cls, folders: list[str]) -> dict[str, str]:
        """How those are in which no run of the job is known to write."""
        from fanfold.codec.folders import states, top

        if new := [one for one in folders if one not in cls.states and one not in cls.written]:
            cls.tops.update((one, top(one)) for one in new)
            cls.states.update(states(new))
        return {one: cls.states[one] for one in folders if one in cls.states}

    @classmethod
    def after(cls, before: dict[str, str]) -> str:
        """The seal of a run that has begun when they were so."""
        from fanfold.codec.folders import seal, states, top

        now = time.monotonic()
        is_due = cls.compared_at is None or now - cls.compared_at > _COMPARE_AGAIN_S
        if is_due or any(top(one) != cls.tops[one] for one in before):
            tops, found = {one: top(one) for one in before}, states(before)
            cls.written.update(one for one, state in before.items() if found.get(one) != state)
            cls.tops.update(tops)
            cls.states = {one: state for one, state in {**cls.states, **found}.items() if one not in cls.written}
            cls.compared_at = now
        return seal(before, {one: state for one, state in before.items() if one not in cls.written})


class StampsBefore(dict["NamedPath", str]):
    """What the paths that a run is given lead to before it begins."""

    #: Why one of them could not be looked at.
    unseen = ""
    #: The client for S3 that has looked, if it had to: it looks once more at the end.
    s3: Any = None
    #: How the folders are that are arguments and count by being there; None where none is.
    folders: dict[str, str] | None = None


def stamps_before(job: JobContext, arguments: str) -> StampsBefore:
    """What the paths that a run is given lead to before it begins."""
    from fanfold.codec.paths import CannotLook, Stamps, argument_paths

    parameters = (job.path_rules or ((),))[0]
    given = argument_paths([arguments, job.udf.code_paths], parameters, here=not job.own_folder)
    found = StampsBefore()
    stamps = Stamps(known=_AtTheEnd.stamps if time.monotonic() - _AtTheEnd.at < _AT_ONCE_S else {})
    stamps.look(given)
    for path in given:
        try:
            found[path] = stamps.of(path)
        except CannotLook as reason:
            found[path], found.unseen = "", str(reason)
    found.s3 = stamps.client
    found.folders = _folders_before(job, found)
    if any(path.is_far for path in found):
        from fanfold.execution.worker.far_files import forget_if_changed

        forget_if_changed(found)
    return found


def _folders_before(job: JobContext, found: StampsBefore) -> dict[str, str] | None:
    """How the folders are that are arguments; those in code alone are where results go, or a project lies."""
    from fanfold.codec.paths import argument_paths, is_of_folder

    folders = [one for one, stamp in found.items() if is_of_folder(stamp)]
    if not folders:
        return None
    of_code = argument_paths([job.udf.code_paths], (), here=True)
    return _Folders.of_job(job.id).before([one.path for one in folders if one not in of_code])


def marks_of(job: JobContext, encoded: Encoded, before: StampsBefore | None) -> dict[str, str] | None:
    """The marks of a run that was given these paths, and may name others; None where it does not."""
    _, check_results = job.path_rules or ((), None)
    from fanfold.codec.encoded import text_of
    from fanfold.codec.paths import CannotLook, Stamps, is_of_folder, result_paths

    text = b"" if check_results is False else text_of(encoded.codec, encoded.data)
    named = bool(text) and (check_results or PATH_TAG.encode() in text)

    before = before or StampsBefore()
    stamps, marks = Stamps(before.s3 and (lambda: before.s3)), {}
    if before.unseen:
        return {UNSEEN: before.unseen}
    try:
        if before:
            stamps.look(before)
            marks[GIVEN] = stamps.digest(before)
            _AtTheEnd.stamps = {path: stamps.of(path) for path in before if path.is_far}
            _AtTheEnd.at = time.monotonic()
        if before.folders is not None or any(is_of_folder(stamps.of(path)) for path in before):
            marks[FOLDERS] = _Folders.after(before.folders or {})  # one that the run has made is none that it has read
        if named:
            got = result_paths(text.decode(), texts=bool(check_results), here=not job.own_folder)
            marks[GOT] = stamps.digest(got, of_result=True)
        changed = _changed(before, stamps.of, lambda: _returned(encoded, here=not job.own_folder))
    except CannotLook as reason:
        return {UNSEEN: str(reason)}
    return {CHANGED: changed} if changed else marks or None


def _changed(
    before: StampsBefore, stamp_of: Callable[[NamedPath], str], returned: Callable[[], Collection[str]]
) -> str:
    """A file that was another when the run began, or "". What it has made, or returns, it has written itself."""
    from fanfold.codec.paths import changed_meanwhile

    changed = changed_meanwhile(before, stamp_of)
    if not changed:
        return ""
    own = returned()
    return next((one.path for one in changed if one.path not in own), "")


def _returned(encoded: Encoded, *, here: bool) -> set[str]:
    """All that a result may name as a path: paths, and texts that look like one."""
    from fanfold.codec.encoded import text_of
    from fanfold.codec.paths import result_paths

    text = text_of(encoded.codec, encoded.data)
    return {one.path for one in result_paths(text.decode(), texts=True, here=here)} if text else set()
