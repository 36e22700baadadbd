"""What the files were that a run was given and has returned, by which its result may be used again.

Looked at when the run has ended, so that what it wrote itself counts as it left it. Imported by workers: cheap standard
library only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanfold.core.models import PATH_TAG

if TYPE_CHECKING:
    from fanfold.codec import Encoded
    from fanfold.execution.worker.perform import JobContext

#: What the arguments' files were; what the result's were; why that could not be seen, and nothing is kept.
GIVEN, GOT, UNSEEN = "given", "got", "unseen"


def marks_of(job: JobContext, arguments: str, encoded: Encoded) -> dict[str, str] | None:
    """The marks of a run that may name files; None where it does not."""
    parameters, check_results = job.path_rules or ((), None)
    is_text = encoded.codec == "json/1" and check_results is not False
    named = is_text and (check_results or PATH_TAG.encode() in encoded.data)
    from fanfold.codec.paths import CannotLook, Stamps, argument_paths, result_paths

    here, stamps, marks = not job.own_folder, Stamps(), {}
    try:
        given = argument_paths([arguments, job.udf.code_paths], parameters, here=here)
        if given:
            marks[GIVEN] = stamps.digest(given)
        if named:
            marks[GOT] = stamps.digest(result_paths(encoded.data.decode(), texts=bool(check_results), here=here))
    except CannotLook as reason:
        return {UNSEEN: str(reason)}
    return marks or None
