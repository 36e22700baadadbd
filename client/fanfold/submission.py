"""From a UDF and its inputs to a job that can be started: check everything, write it down, look into the cache."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from fanfold.cache import KeyMaker
from fanfold.codec import encode_json
from fanfold.contract.instances import InstanceType, container_memory_mib
from fanfold.contract.layout import blob_key, bundle_key
from fanfold.engines.protocol import Description, Engine, Stores
from fanfold.errors import InputError
from fanfold.ids import new_job_id
from fanfold.inputs import Signature, read, validated
from fanfold.models import Event, EventKind, JobHeader, Output, RunRef, RunStatus
from fanfold.options import Options, Request
from fanfold.settings import current
from fanfold.source.bundle import Bundle
from fanfold.source.capture import capture
from fanfold.stores.manifest import Manifest, ManifestWriter

#: Keys looked up, and cached results recorded, at a time.
_CACHE_BATCH = 2000


@dataclass(frozen=True, slots=True)
class Submission:
    """A job that has been written down and not started: its header, and which runs came from the cache."""

    header: JobHeader
    engine: Engine
    cached: bytearray

    def runs(self, start: int = 0, stop: int | None = None) -> Iterator[RunRef]:
        """The runs from `start` up to `stop` that are to be started."""
        last = self.header.count if stop is None else min(stop, self.header.count)
        return (RunRef(index) for index in range(start, last) if not self.cached[index])

    @property
    def to_run(self) -> int:
        """How many runs are to be started."""
        return self.header.count - sum(self.cached)


def prepare(fn: Any, inputs: Any, engine: Engine, request: Request, constants: dict[str, Any]) -> Submission:
    """Check a UDF and all its inputs, write the job down, and answer from the cache what it knows.

    Nothing has been started. Raises `CaptureError` and `InputError` before anything is written that others see.
    """
    function, options = unwrapped(fn)
    stores, described = engine.stores, engine.describe()
    put_blob = _blob_writer(stores)
    bundle = capture(function, put_blob=put_blob)
    arguments = _Arguments(Signature.of(function), constants, put_blob)
    job_id = new_job_id()
    with ManifestWriter(stores.scratch, job_id) as manifest:
        keys = None
        for own in arguments.each(inputs):
            keys = keys or _keys(bundle, arguments.constants, request.instance, described)
            manifest.add(own, keys.key(own))
        manifest.store(stores.objects)
    stores.objects.put_if_absent(bundle_key(bundle.sha256), bundle.to_bytes())
    header = _header(job_id, bundle, options, request, described, arguments, manifest.count)
    stores.log.put_job(header)
    return Submission(header, engine, _answered_from_cache(header, stores))


def unwrapped(fn: Any) -> tuple[Callable[..., Any], Options]:
    """The plain function of a UDF, and what it asks for. Raises `InputError` for what is no function."""
    function = getattr(fn, "__fanfold_udf__", fn)
    if not callable(function) or not hasattr(function, "__name__"):
        raise InputError(
            f"The first argument is the UDF; {type(fn).__name__} is not a function.",
            next_step="pass a function defined with def, with or without @fanfold.udf.",
        )
    return function, getattr(fn, "options", Options())


class _Arguments:
    """The inputs as text, one by one, checked; and apart from them, once, what all runs have in common."""

    def __init__(self, signature: Signature, constants: dict[str, Any], put_blob: Callable[[str, bytes], None]) -> None:
        self._signature = signature
        self._given = constants
        self._put_blob = put_blob
        self.parameters = signature.parameters
        #: The constants as text; known when the first input has been checked with them.
        self.constants = "{}"

    def each(self, inputs: Any) -> Iterator[str]:
        """Each input's own arguments as text."""
        checked = validated(read(inputs), self._signature, self._given)
        if not self._given:
            yield from (encode_json(arguments, put_blob=self._put_blob, name="input") for arguments in checked)
            return
        for number, arguments in enumerate(checked):
            common = {name: arguments.pop(name) for name in self._given}
            if number == 0:
                self.constants = encode_json(common, put_blob=self._put_blob, name="constants")
            yield encode_json(arguments, put_blob=self._put_blob, name="input")


def _blob_writer(stores: Stores) -> Callable[[str, bytes], None]:
    def put_blob(sha256: str, data: bytes) -> None:
        stores.objects.put_if_absent(blob_key(sha256), data)

    return put_blob


def _keys(bundle: Bundle, constants: str, instance: InstanceType | None, described: Description) -> KeyMaker:
    path = "realtime" if instance is None else instance.name
    image = described.image if described.name == "aws" else f"{described.image} {_versions(bundle.imports)}"
    return KeyMaker(code_hash=bundle.code_hash, constants=constants, path=path, image=image)


def _versions(modules: Iterable[str]) -> str:
    """The versions of the packages that the UDF imports: a result may change with them."""
    import sys

    foreign = [name for name in modules if name not in sys.stdlib_module_names]
    if not foreign:
        return ""
    from importlib.metadata import PackageNotFoundError, version

    found = []
    for name in foreign:
        try:
            found.append(f"{name}=={version(name)}")
        except PackageNotFoundError:  # its package goes by another name, or is none
            continue
    return " ".join(found)


def _header(
    job_id: str,
    bundle: Bundle,
    options: Options,
    request: Request,
    described: Description,
    arguments: _Arguments,
    count: int,
) -> JobHeader:
    return JobHeader(
        id=job_id,
        name=options.name or bundle.entry,
        count=count,
        engine=described.name,
        owner=current().owner,
        created_at=time.time(),
        bundle_sha256=bundle.sha256,
        code_hash=bundle.code_hash,
        parameters=arguments.parameters,
        instance_type=request.instance.name if request.instance else None,
        serializer=options.serializer,
        timeout_s=_limit("timeout_s", options.timeout_s, described.realtime_timeout_s, "s", request),
        memory_mib=_memory_mib(options, request, described),
        max_workers=request.max_workers,
        n_processes_per_worker=request.n_processes_per_worker,
        max_retry=request.max_retry,
        retry_on=request.retry_on,
        cache=request.cache,
        cache_max_age_s=request.cache_max_age_s,
        constants=arguments.constants,
    )


def _memory_mib(options: Options, request: Request, described: Description) -> int | None:
    if request.instance is not None:
        return options.memory_mib or container_memory_mib(request.instance)
    limit = _limit("memory_mib", options.memory_mib, described.realtime_memory_mib, "MiB", request)
    return None if limit is None else int(limit)


def _limit(name: str, asked: float | None, limit: float, unit: str, request: Request) -> float | None:
    """A realtime run's limit, which may be lowered but not raised; a dedicated one has only what it asks for."""
    if request.instance is not None:
        return asked
    if asked is not None and asked > limit:
        raise InputError(
            f"{name}={asked:g} is more than the {limit:g} {unit} that a realtime run has.",
            next_step='ask for a machine instead: instance_type="small" has no time limit, "medium" has 64 GB.',
        )
    return limit if asked is None else asked


def _answered_from_cache(header: JobHeader, stores: Stores) -> bytearray:
    """Record a `cached` result for every run whose key the cache knows. 1 for each such run."""
    cached = bytearray(header.count)
    if not header.cache:
        return cached
    manifest = Manifest(stores.objects, header.id, header.count)
    indexes = iter(range(header.count))
    while batch := list(islice(indexes, _CACHE_BATCH)):
        keys = manifest.cache_keys(batch)
        known = stores.cache.lookup(keys, max_age_s=header.cache_max_age_s)
        if not known:
            continue
        events = []
        for index, key in zip(batch, keys, strict=True):
            if key in known:
                cached[index] = 1
                events.append(_cached(header.id, index, known[key].output))
        stores.log.append(events)
    return cached


def _cached(job_id: str, index: int, output: Output) -> Event:
    return Event.new(job_id, index, 0, EventKind.FINISHED, status=RunStatus.CACHED, output=output)
