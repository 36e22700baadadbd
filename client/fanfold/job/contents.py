"""What a job's runs were given and what they gave back, read from the stores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from fanfold.codec import decode, decode_json
from fanfold.contract.layout import blob_key
from fanfold.engines.protocol import Stores
from fanfold.errors import ResultDamaged
from fanfold.models import Event, EventKind, JobHeader, Output
from fanfold.stores.manifest import Manifest


class Contents:
    """Inputs, results and output of one job's runs."""

    def __init__(self, header: JobHeader, stores: Stores) -> None:
        self._header = header
        self._stores = stores
        self._manifest = Manifest(stores.objects, header.id, header.count)

    def arguments(self, index: int) -> dict[str, Any]:
        """What the run was called with, the job's constants included."""
        return {**self.own_arguments(index), **self.constants()}

    def own_arguments(self, index: int) -> dict[str, Any]:
        """What the run was called with, without what all runs have in common."""
        arguments: dict[str, Any] = decode_json(self._manifest.arguments(index), get_blob=self._blob)
        return arguments

    def constants(self) -> dict[str, Any]:
        """What all runs were called with."""
        constants: dict[str, Any] = decode_json(self._header.constants, get_blob=self._blob)
        return constants

    def value(self, index: int, output: Output) -> Any:
        """A run's result. Raises `ResultDamaged` where its bytes are gone or are not the ones that were stored."""
        data = self.checked(index, output)
        return decode(output.codec, data, allow_pickle=self._header.serializer == "pickle")

    def checked(self, index: int, output: Output) -> bytes:
        """A result's bytes, which match their hash. Raises `ResultDamaged` naming the run."""
        try:
            data = output.inline if output.inline is not None else self._stores.objects.get(str(output.key))
        except ResultDamaged as error:
            raise self._damaged(index, f"is missing ({error.message.rstrip('.')})") from error
        if hashlib.sha256(data).hexdigest() != output.sha256:
            raise self._damaged(index, "is damaged: its bytes do not match their hash")
        return data

    def forget(self, indexes: Iterable[int]) -> None:
        """Take these runs' results out of the cache, so that the next submit computes them instead of finding them."""
        self._stores.cache.forget(self._manifest.cache_keys(indexes))

    def telemetry(self, kind: EventKind, cursor: str | None = None) -> Iterator[tuple[Event, str]]:
        """The log or usage events after `cursor`, each with the cursor behind its page."""
        while True:
            events, cursor = self._stores.log.read_since(self._header.id, cursor, channel="telemetry")
            if not events:
                return
            yield from ((event, cursor) for event in events if event.kind is kind)

    def _blob(self, sha256: str) -> bytes:
        return self._stores.objects.get(blob_key(sha256))

    def _damaged(self, index: int, how: str) -> ResultDamaged:
        return ResultDamaged(
            f"The result of run {index} of job {self._header.id} {how}.",
            next_step="the same submit computes it again; `job.verify()` lists all that are damaged.",
        )
