"""What the files were that a run was given and has returned, by which its result may be used again.

Looked at when the run has ended, so that what it wrote itself counts as it left it; and before it begins, for a file
that somebody else has replaced meanwhile is not the one that the run has read. Imported by workers: cheap standard
library only.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from fanfold.core.models import PATH_TAG

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from fanfold.codec import Encoded
    from fanfold.codec.paths import NamedPath, Stamps
    from fanfold.execution.worker.perform import JobContext

#: What the arguments' files were; what the result's were; why that could not be seen, and nothing is kept; and of which
#: file nobody can tell whether the run has read it as it is, or as it was before, and nothing is kept either.
GIVEN, GOT, UNSEEN, CHANGED = "given", "got", "unseen", "changed"
_NOT_LOOKED_AT = ""


def stamps_before(job: JobContext, arguments: str) -> dict[NamedPath, str]:
    """The paths that a run is given; and of those of this machine, what they lead to before it begins."""
    from fanfold.codec.paths import CannotLook, Stamps, argument_paths

    parameters = (job.path_rules or ((),))[0]
    given = argument_paths([arguments, job.udf.code_paths], parameters, here=not job.own_folder)
    found, stamps = dict.fromkeys(given, _NOT_LOOKED_AT), Stamps()
    for path in given:
        if not path.is_far:
            with suppress(CannotLook):  # as the end will say
                found[path] = stamps.of(path)
    return found


def marks_of(job: JobContext, encoded: Encoded, before: Mapping[NamedPath, str]) -> dict[str, str] | None:
    """The marks of a run that was given these paths, and may name others; None where it does not."""
    _, check_results = job.path_rules or ((), None)
    is_text = encoded.codec == "json/1" and check_results is not False
    named = is_text and (check_results or PATH_TAG.encode() in encoded.data)
    from fanfold.codec.paths import CannotLook, Stamps, result_paths

    stamps, marks, got = Stamps(), {}, []
    try:
        if before:
            marks[GIVEN] = stamps.digest(before)
        if named:
            got = result_paths(encoded.data.decode(), texts=bool(check_results), here=not job.own_folder)
            marks[GOT] = stamps.digest(got)
        changed = _changed(before, stamps, {one.path for one in got})
    except CannotLook as reason:
        return {UNSEEN: str(reason)}
    return {CHANGED: changed} if changed else marks or None


def _changed(before: Mapping[NamedPath, str], stamps: Stamps, returned: Collection[str]) -> str:
    """A file that was another when the run began, or "". What it has made, or returns, it has written itself."""
    from fanfold.codec.paths import ABSENT

    looked_at = ((one, stamp) for one, stamp in before.items() if stamp not in (_NOT_LOOKED_AT, ABSENT))
    changed = (one.path for one, stamp in looked_at if stamp != stamps.of(one))
    return next((path for path in changed if path not in returned), "")
