"""Other code for the runs of a job that failed: checked and written down before any of them starts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanfold.core.models import JobHeader
from fanfold.core.options import Request
from fanfold.engines.base import Engine
from fanfold.errors import InputError
from fanfold.job.results import Contents
from fanfold.stores.keys import bundle_key
from fanfold.submission.prepare import Draft, limit_memory_mib, limit_timeout_s


def fix_code(header: JobHeader, contents: Contents, engine: Engine, udf: Any, indexes: Sequence[int]) -> JobHeader:
    """The job's header with the code of `udf` for the runs that are to be tried again; its bundle is stored.

    Raises `CaptureError`, and `InputError` where the new code does not take the inputs of these runs as they are.
    """
    draft = Draft(udf, engine, contents.constants(), job_id=header.id, kept=header.sealed_with)
    if draft.options.serializer != header.serializer:
        raise InputError(
            f"Job {header.id} has serializer={header.serializer!r}, and the fixed UDF {draft.options.serializer!r}.",
            next_step="give the fixed UDF the same serializer, or submit it as a job of its own.",
        )
    given = [contents.own_arguments(index) for index in indexes]
    for index, text in zip(indexes, draft.arguments(given), strict=True):
        if text != contents.own_text(index):
            raise InputError(
                f"The fixed UDF takes the input of run {index} as {text}, and the job has it as"
                f" {contents.own_text(index)}.",
                next_step="keep the annotations of its parameters, or submit it as a job of its own.",
            )
    bundle = draft.complete_bundle(on_machine=header.instance_type is not None)
    engine.stores.objects.put_if_absent(bundle_key(bundle.sha256), bundle.to_bytes())
    fixed = header.with_fixed_code(bundle.sha256, bundle.code_hash)
    request = _request(header, draft)
    return fixed._replace(
        secrets=tuple(draft.options.secrets),
        env=tuple((draft.options.env or {}).items()),
        sealed_with=draft.sealing.kept,
        timeout_s=limit_timeout_s(draft.options, request, draft.described),
        memory_mib=limit_memory_mib(draft.options, request, draft.described),
    )


def _request(header: JobHeader, draft: Draft) -> Request:
    """What the job asks for, as its header has it."""
    machine = draft.described.instance_types.get(header.instance_type) if header.instance_type else None
    return Request(
        instance=machine,
        cache=header.cache,
        cache_max_age_s=header.cache_max_age_s,
        max_retry=header.max_retry,
        retry_on=header.retry_on,
        backoff_s=header.backoff_s,
        jitter=header.jitter,
        max_workers=header.max_workers,
        n_processes_per_worker=header.n_processes_per_worker,
        stop_on_error=header.stop_on_error,
    )
