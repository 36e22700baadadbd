"""What the steps of runs have kept: an entry of the result cache each, found again by what was computed.

A step belongs to a run's code and arguments, not to its job: a job that is submitted again goes on where an earlier one
of the same owner was lost. Where results are not used again (`cache=False`, a file among the arguments), and for what
is older than the job's `cache_max_age`, it belongs to its own job alone.
"""

from __future__ import annotations

import hashlib
import math
import time
from pathlib import Path
from typing import Any

from fanfold.contract.layout import INLINE_RESULT_BYTES
from fanfold.core.models import PATH_TAG, CacheEntry, JobHeader, Output
from fanfold.engines.base import Stores
from fanfold.errors import ResultDamaged
from fanfold.execution.calls import Call
from fanfold.execution.channel import Asked, Reply
from fanfold.stores.keys import result_key

#: What a run asks for, by the fact `do`: this, or that something be saved.
LOAD = "load"

#: Part of every key: raise it when what a key stands for changes.
_FORMAT = 1
_NOTHING: Reply = {}, b""


class StepBook:
    """The steps of one job's runs."""

    def __init__(self, header: JobHeader, stores: Stores) -> None:
        self._header = header
        self._stores = stores

    def answer(self, call: Call, asked: Asked) -> Reply:
        """What a run's question comes to. Raises `StoreError` where the stores cannot be reached."""
        key = self._key(call, str(asked.facts["step"]))
        return self._load(key, asked) if asked.facts["do"] == LOAD else self._save(key, asked)

    def _key(self, call: Call, step: str) -> str:
        header = self._header
        code = header.fixed_hashes[-1] if header.fixed_hashes else header.code_hash
        parts = [code, call.arguments, header.image, header.owner, step]
        if not self._is_shared(call):
            parts.append(f"{header.id}/{call.index}")
        digest = hashlib.sha256(b"fanfold-step-%d\n" % _FORMAT)
        for part in parts:
            data = part.encode()
            digest.update(b"%d:" % len(data) + data)  # the length first: no two ways of cutting a text are one key
        return digest.hexdigest()

    def _is_shared(self, call: Call) -> bool:
        """Whether another job may use it. What a path leads to may be another file by then."""
        return self._header.cache and not self._header.depends_on and PATH_TAG not in call.arguments

    def _load(self, key: str, asked: Asked) -> Reply:
        entry = self._stores.cache.lookup([key], max_age_s=math.inf, consistent=True).get(key)
        if entry is None or not self._may_serve(entry):
            return _NOTHING
        output = entry.output
        try:
            data = output.inline if output.inline is not None else self._stores.objects.get(str(output.key))
        except ResultDamaged:  # it is computed anew
            return _NOTHING
        if hashlib.sha256(data).hexdigest() != output.sha256:
            return _NOTHING
        facts: dict[str, Any] = {"codec": output.codec, "took_s": round(entry.duration_s, 6)}
        facts.update(made_at=entry.created_at, made_by=entry.job_id)
        if len(data) <= INLINE_RESULT_BYTES:
            return facts, data
        Path(asked.facts["file"]).write_bytes(data)
        return {**facts, "file": asked.facts["file"]}, b""

    def _may_serve(self, entry: CacheEntry) -> bool:
        oldest = time.time() - self._header.cache_max_age_s
        return entry.job_id == self._header.id or entry.created_at >= oldest

    def _save(self, key: str, asked: Asked) -> Reply:
        facts = asked.facts
        output = Output(facts["codec"], facts["sha256"], facts["size"], asked.body)
        if facts["file"]:
            output = output._replace(inline=None, key=result_key(key, output.sha256))
            self._stores.objects.put_file(str(output.key), Path(facts["file"]))
        entry = CacheEntry(key, output, time.time(), facts["took_s"], self._header.id)
        self._stores.record([], [entry])
        return {"kept": True}, b""
