"""What a worker has loaded: a bundle, once, for all runs of it that the worker performs; and the jobs these belong to.

Imported by workers: cheap standard library only.
"""

import os
from collections.abc import Callable
from typing import Any

from fanfold.errors import CaptureError
from fanfold.execution.worker.blobs import Blobs
from fanfold.execution.worker.hashing import sha256
from fanfold.source.bundle import Bundle
from fanfold.source.load import load, part_of

_SHA256_CHARACTERS = 64
#: The attribute of a function that `@udf(setup=...)` sets.
SETUP = "__fanfold_setup__"


class LoadedUdf:
    """A bundle's function, in modules that stay: registries are filled once, models loaded once, caches kept."""

    def __init__(self, bundle: str, blobs: str) -> None:
        self._bundle = bundle
        self._folder = blobs
        self.blobs = Blobs(blobs)
        self.is_loaded = False
        self.function: Callable[..., Any] = _not_loaded

    def load(self, before: Callable[[Bundle], None]) -> None:
        """Load it, and set it up; `before` is called with the bundle. Raises whatever its own code raises."""
        bundle = Bundle.from_bytes(_checked(self._bundle))
        before(bundle)
        loaded = load(bundle, get_blob=self.blobs.bytes_of)
        function = loaded()
        self.blobs.from_source = lambda number: part_of(loaded, number)
        self.function = function
        setup = getattr(function, SETUP, None)
        if setup is not None:
            setup()
        self.is_loaded = True

    @property
    def source(self) -> str:
        """Where the UDF is for a process of its own that wants it: the bundle's file and the folder of its blobs."""
        return f"{self._bundle}\n{self._folder}"


class Job:
    """What a worker is told of a job (`calls.Assignment.for_workers`), and the UDF it is of."""

    def __init__(self, udf: LoadedUdf, facts: dict[str, Any]) -> None:
        self.udf = udf
        self.id: str = facts["job_id"]
        self.serializer: str = facts["serializer"]
        self.mount: str = facts["mount"]
        self.fresh: bool = facts["fresh"]
        self.own_folder: bool = facts["own_folder"]
        self.threads: int = facts["threads"]


def _checked(path: str) -> bytes:
    """The bundle's bytes. Raises `CaptureError` where its name is a hash, and not theirs."""
    with open(path, "rb") as file:
        data = file.read()
    name = os.path.basename(path)
    if len(name) == _SHA256_CHARACTERS and sha256(data).hex() != name:
        raise CaptureError(
            f"The stored source of this UDF is damaged: the bytes of udf/{name} do not match their name.",
            next_step="submit the job again, which stores it anew.",
        )
    return data


def _not_loaded(**_: Any) -> Any:
    raise AssertionError("a call came before its UDF was loaded")
