"""From a UDF and its inputs to a job that can be started: check everything, write it down, look into the cache."""

from __future__ import annotations

import linecache
import os
import sys
import time
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fanfold.codec import encode_json
from fanfold.contract.instances import INSTANCE_TYPES, InstanceType, run_memory_mib
from fanfold.contract.layout import ENV_RUN
from fanfold.contract.records import NamedTuple
from fanfold.core.cache_key import ABSENT_TAG, KeyMaker, versions
from fanfold.core.models import (
    PATH_TAG,
    PATH_TAG_WITHIN,
    CacheEntry,
    JobHeader,
    PathRules,
    RunRef,
    new_job_id,
)
from fanfold.core.options import Options, Request, places, secret_variable, unwrapped
from fanfold.engines.base import (
    Description,
    Engine,
    Find,
    JobSealing,
    answer_from_cache,
    engine_for,
    may_read_cache,
    note_submitted_here,
)
from fanfold.errors import ConfigurationError, InputError, NestedSubmitError, StoreError
from fanfold.inputs import Signature, decode_arguments, scalar_sender, sender, validated
from fanfold.job.results import make_room_now_and_then
from fanfold.job.waiting import name_job
from fanfold.settings import Logger, current
from fanfold.source.capture import Captured
from fanfold.source.environ import say_what_stays
from fanfold.source.load import Bundle
from fanfold.source.texts import commit_of
from fanfold.stores.keys import BlobWriter, blob_key, bundle_key
from fanfold.stores.packing import Manifest, ManifestWriter

if TYPE_CHECKING:
    from fanfold.engines.reuse import CacheReader
    from fanfold.environments.package_set import PackageSet
    from fanfold.submission.far_inputs import FarInputs

_log = Logger(__name__)


# What every call needs first: it is not made from within a run, it has an engine, and it asks for something.

_ALIASES = ("small", "medium", "large")
#: What to do with a job that is written down and could not be started.
_START_REFUSED = '`fanfold.get_job("{job}").wait()` starts it. Submitting again might run it twice.'
_START_IT = '`fanfold.get_job("{job}").wait()` starts it within 3 minutes. Submitting again might run it twice.'


def inside_run() -> bool:
    """True within a run, and in the processes that it starts."""
    return ENV_RUN in os.environ


def refuse_inside_run(what: str) -> None:
    """Raises `NestedSubmitError` within a run: runs that wait for runs hold their workers and never end."""
    if inside_run():
        raise NestedSubmitError(
            f"`{what}` was called from within a run ({os.environ[ENV_RUN]}).",
            next_step="call the UDF as a plain function there, or submit from outside with more inputs.",
        )


def resolve_call(
    udf: Any, *, engine: str | None, instance_type: str | None, quiet: bool = False, **asked: Any
) -> tuple[Engine, Request]:
    """The engine for a call, and what it asks of it. Raises `InputError`, or `ConfigurationError` for the engine.

    Says on stderr which machine serves an instance type where that is not the one of its name, unless `quiet`.
    """
    (_, options), (engine, instance_type) = unwrapped(udf), places(engine, instance_type)
    chosen = engine_for(engine or options.engine)
    described = chosen.describe(options.image or "")
    machine = described.check_image(instance_type or options.instance_type, quiet=quiet)
    request = Request.of(options, offered=described.instance_types, instance_type_name=machine, **asked)
    described.check(request)
    if not quiet:
        _say_which_machine(request, chosen)
    return chosen, request


def _say_which_machine(request: Request, engine: Engine) -> None:
    """Say on stderr what serves an instance type where that is not the machine of its name."""
    machine = request.instance
    if machine is None:
        return
    host = machine.host
    if not engine.describe().has_machines:
        sys.stderr.write(
            f"fanfold: {machine.name} is served by this machine; on AWS by {host.name}"
            f" ({host.vcpus} vCPU, {host.memory_gib:g} GiB).\n"
        )
    elif machine.served_by_another and machine.name not in _ALIASES:
        sys.stderr.write(
            f"fanfold: {machine.name} is served by {host.name} ({host.vcpus} vCPU, {host.memory_gib:g} GiB).\n"
        )


#: A key as bytes: a million of them take 32 MB, and need not be read back from where they were written.
_KEY_BYTES = 32


class Submission(NamedTuple):
    """A job that has been written down and not started.

    `seen_to` has 1 for each run that came from the cache or that an earlier job performs; `follows`: there are such.
    `may_be_frames`: whether its results may be what the UDF makes by pandas.
    """

    header: JobHeader
    engine: Engine
    seen_to: bytearray
    follows: bool = False
    may_be_frames: bool = False

    def runs(self) -> Iterator[RunRef]:
        """The runs that are to be started."""
        return (RunRef(index) for index, seen_to in enumerate(self.seen_to) if not seen_to)

    def start(self) -> None:
        """Start the runs, of a ramp those of its first stage; and look out for what earlier jobs perform.

        What keeps it from that names the job, which is written down by now: submitted again it might run twice.
        """
        header = self.header
        try:
            if header.stages:
                from fanfold.engines.steward import begin_ramp

                begin_ramp(self.engine, header)
            else:
                self.engine.start(header, self.runs())
            if self.follows or header.stages or header.ladder:
                self.engine.follow(header)
        except (ConfigurationError, StoreError) as error:
            then = _START_REFUSED if error.refused else _START_IT
            raise name_job(error, header.id, then, "has not started as a whole") from error.__cause__


class Draft:
    """A UDF that has been captured for an engine, and can say what each of its inputs is: its text and its cache keys.

    Raises `CaptureError`, or `InputError` for constants that the UDF does not take.
    """

    def __init__(self, fn: Any, engine: Engine, constants: dict[str, Any], *, job_id: str = "", kept: str = "") -> None:
        function, self.options = unwrapped(fn)
        self.engine = engine
        self.described = engine.describe(self.options.image or "")
        self.sealing = JobSealing(engine.stores, job_id or new_job_id(), kept)
        put_blob = BlobWriter(engine.stores.objects)
        self._said: set[str] = set()
        self._captured = Captured(function, put_blob, self.sealing)
        self.bundle = self._captured.bundle
        if self.options.secrets:
            engine.stores.secrets.check(self.options.secrets)
        if self.bundle.left_statements or '["variable",' in self.bundle.graph:
            say_what_stays(self.bundle, self.options, map(secret_variable, self.options.secrets), self.described)
        self.packages = self._packages_of(function)
        self.check_imports()
        signature = Signature.of(function)
        self.name = self.options.name or self.bundle.entry
        self.parameters, self.plain_defaults = signature.parameters, signature.plain_defaults
        if self.options.serializer == "auto":
            signature.check_returns()
        self._depends_text = ""
        (paths_or_texts, returns_path), check_paths = signature.paths, self.options.check_paths
        self.path_rules = PathRules((), (returns_path or None) if check_paths is None else check_paths)
        if self.options.depends_on:
            from fanfold.submission.depends import resolve

            named, self._depends_text = resolve(self.options.depends_on, self.parameters, signature.defaults)
            self.path_rules = self.path_rules._replace(parameters=named)
        self._signature = signature
        self._given = constants
        #: Functions and classes of the user's own that arguments refer to, by what stands for them there.
        self._things: dict[str, Any] = {}
        #: Runs that are to have the result of another job's run, which has none.
        self.without_input: list[int] = []
        paths = self.path_rules.parameters, paths_or_texts
        self._send = sender(put_blob, self._carried, self.sealing, objects=engine.stores.objects, paths_in=paths)
        #: What all runs have in common, as text; known when the first input has been checked with it.
        self.constants = "" if constants else "{}"

    def arguments(self, inputs: Any) -> Iterator[str]:
        """Each input's own arguments as text, one by one, checked. Raises `InputError`."""
        if hasattr(type(inputs), "for_parameters"):  # an earlier job's runs, in groups
            inputs = inputs.for_parameters(self.parameters, self._given)
        scalar = scalar_sender(self._signature, self._given)
        for index, own in enumerate(validated(inputs, self._signature, self._given, self._own, scalar)):
            if ABSENT_TAG in own:
                self.without_input.append(index)
            yield own

    def read(self, text: str) -> dict[str, Any]:
        """What one of this draft's texts holds, in this process: functions and classes are those that were given."""
        objects = self.engine.stores.objects
        return decode_arguments(
            text,
            get_blob=lambda sha256: objects.get(blob_key(sha256)),
            from_source=lambda tree: self._things[encode_json(tree)],
            key=self.sealing.key,
        )

    def _own(self, arguments: dict[str, Any]) -> str:
        """A run's own arguments as text; what it shares with the others is kept, once."""
        if self._given:
            common = {name: arguments.pop(name) for name in self._given}
            if not self.constants:
                self.constants = self._send(common)
        return self._send(arguments)

    @property
    def may_give_frames(self) -> bool:
        """Whether the UDF imports pandas, and says of its results nothing else than that they are made by it."""
        returns = self._signature.returns
        made_by = None if returns is None else str(getattr(returns, "__module__", "")).partition(".")[0]
        return "pandas" in self.bundle.imports and made_by in (None, "pandas", "geopandas")

    def check_imports(self) -> None:
        """Raises `CaptureError` for what is not where the runs are, or of another version, and is not brought along."""
        brought = () if self.packages is None else self.packages.modules
        if self.described.packages:
            from fanfold.submission.implied import check_implied
            from fanfold.submission.needs import check_imports

            check_imports(self.bundle.imports, self.described, brought)
            check_implied(self.bundle, self.described, brought, self._said)
        if self.bundle.needs or self.described.python:
            from fanfold.submission.needs import check_bundle

            check_bundle(self.bundle, self.described, brought)

    def complete_bundle(self, *, on_machine: bool) -> Bundle:
        """What travels, with all that arguments refer to, and the packages that are brought along.

        Raises `InputError` where these do not fit the disk that a run has.
        """
        if self.packages is None:
            return self.bundle
        described = self.described
        room_mib = described.machine_disk_mib if on_machine else described.realtime_disk_mib
        self.packages.check_room(room_mib, "disk_size_gb" if on_machine else "realtime_disk_mib")
        return self.bundle._replace(environment=self.packages.lock_text)

    def keys(self, instance: InstanceType | None) -> KeyMaker:
        """What makes the cache keys of this UDF's runs on a path; once the first input has been checked."""
        path = "realtime" if instance is None else instance.name
        image = self.described.image
        if self.described.uses_own_packages:
            image = f"{image} {versions(self.bundle.imports)}"
        if self.packages is not None and self.packages.identity:
            image = f"{image} {self.packages.identity}"
        if self.options.secrets or self.options.env:  # of a secret its name: what it is now is nobody's business
            image = f"{image} secrets:{self.options.secrets!r} env:{self.options.env!r}"
        if self.options.serializer != "auto":  # what was pickled must not reach a job that does not unpickle
            image = f"{image} {self.options.serializer}"
        if self._depends_text:
            image = f"{image}\n{self._depends_text}"
        return KeyMaker(code_hash=self.bundle.code_hash, constants=self.constants, path=path, image=image)

    def far_inputs(self) -> FarInputs | None:
        """What looks at the first inputs where runs are elsewhere; None where they are on this machine."""
        if self.described.uses_own_packages:
            return None
        from fanfold.submission.far_inputs import FarInputs

        brought = () if self.packages is None else self.packages.modules
        return FarInputs(self.bundle, self.described, brought, self.plain_defaults)

    def cache_reader(self) -> CacheReader:
        """What looks this UDF's runs up in the cache; once the first input has been checked."""
        from fanfold.engines.reuse import CacheReader

        here = self.described.uses_own_packages
        return CacheReader(self.engine.stores, self.path_rules, self.constants, here=here, code=self.paths)

    @property
    def paths(self) -> str:
        """The paths that the UDF's code holds, as a text of arguments."""
        if PATH_TAG_WITHIN not in self.bundle.graph:
            return "{}"
        from fanfold.codec.paths import code_paths

        return code_paths(self.bundle.graph)

    def _carried(self, thing: Any) -> Any:
        """How a class or function of the user's own goes with an argument: as what the UDF brings along of it."""
        tree = self._captured.reference(thing)
        self.bundle = self._captured.bundle
        self._things[encode_json(tree)] = thing
        return tree

    def _packages_of(self, function: Any) -> PackageSet | None:
        """The packages that the UDF brings along; None where it does not ask for any."""
        lines = linecache.getlines(getattr(getattr(function, "__code__", None), "co_filename", ""))
        if self.options.packages is None and not any(line.startswith("# /// script") for line in lines):
            return None
        from fanfold.submission.implied import implied_here
        from fanfold.submission.packages import packages_of  # it brings all that fetches and builds

        imports = [*self.bundle.imports, *implied_here(self.bundle, self.described)]
        return packages_of(function, self.options.packages, self.engine, self.described, imports)


class Written(NamedTuple):
    """What has been checked and stored of a job that nobody knows of yet: its inputs' cache keys, one after the other.

    `named`: whether some of the arguments name files.
    """

    header: JobHeader
    draft: Draft
    keys: bytearray
    named: bool


def write_down(
    fn: Any, inputs: Any, engine: Engine, request: Request, constants: dict[str, Any], *, job_id: str
) -> Written:
    """Check a UDF and all its inputs, and store both. Raises `CaptureError` and `InputError`."""
    stores = engine.stores
    draft = Draft(fn, engine, constants, job_id=job_id, kept=request.sealed_with)
    _expect_runs(draft, request)
    with ManifestWriter(stores.scratch, job_id) as manifest:
        maker, keys, named, far = None, bytearray(), False, draft.far_inputs()
        for own in draft.arguments(inputs):
            maker = maker or draft.keys(request.instance)
            key, named = maker.digest(own), named or PATH_TAG in own
            if far is not None:
                far.look(manifest.count, own, draft.constants)
            manifest.add(own, key)
            keys += key
        bundle = draft.complete_bundle(on_machine=request.instance is not None)
        header = _header(job_id, draft, bundle, request, manifest.count)
        if maker is not None:
            header = header._replace(flight=maker.flight if header.cache else "", image=maker.image)
        manifest.store(stores.objects)
    draft.check_imports()  # what arguments refer to has imports of its own
    if request.instance is None and not draft.described.has_shared_memory:
        from fanfold.submission.shared_memory import warn_of_shared_memory

        warn_of_shared_memory(bundle)
    stores.objects.put_if_absent(bundle_key(bundle.sha256), bundle.to_bytes())
    return Written(header, draft, keys, named)


def _expect_runs(draft: Draft, request: Request) -> None:
    """Have what workers come from import what the UDF imports, while its inputs are written down."""
    has_own_place = draft.packages is not None or draft.options.env or draft.options.secrets or request.rate
    if request.instance is None and not has_own_place:
        draft.engine.get_ready(dedicated=False, bundle=draft.bundle, most=request.max_workers, cached=request.cache)


class OwnJob:
    """The job of a call that nobody else holds: from when it is written down, a Ctrl-C in the call is meant for it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.header: JobHeader | None = None

    def __enter__(self) -> OwnJob:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if isinstance(error, KeyboardInterrupt) and self.header is not None:
            from fanfold.job.interrupts import cancel_for_interrupt

            raise cancel_for_interrupt(self.header, self._engine, error) from None


def prepare(
    fn: Any, inputs: Any, engine: Engine, request: Request, constants: dict[str, Any], own: OwnJob | None = None
) -> Submission:
    """Check a UDF and all its inputs, write the job down, and answer from the cache what it knows.

    Nothing has been started. Raises `CaptureError` and `InputError` before anything is written that others see.
    """
    stores, job_id = engine.stores, new_job_id(engine.stores.log.now())
    header, draft, keys, named = write_down(fn, inputs, engine, request, constants, job_id=job_id)
    if own is not None:
        own.header = header
    note_submitted_here(header.id)  # first: who comes after a crash must know of it
    stores.log.put_job(header)
    if not draft.described.jobs_expire:
        make_room_now_and_then(engine)
    earlier = stores.cache.join_flight(header.flight, header.id) if header.flight else []  # before the cache is asked
    named = named or bool(draft.path_rules.parameters) or PATH_TAG in draft.constants or PATH_TAG in draft.paths
    texts = Manifest(stores.objects, job_id, header.count) if named else None
    submission = _looked_up(header, draft, keys, texts, earlier)
    _log.info(
        *("job %s of %s: %d inputs, %d of them to run, on %s", header.id, header.name, header.count),
        *(header.count - sum(submission.seen_to), header.instance_type or header.engine),
    )
    return submission._replace(may_be_frames=draft.may_give_frames)


def _looked_up(
    header: JobHeader, draft: Draft, keys: bytearray, texts: Manifest | None, earlier: list[str]
) -> Submission:
    """The job, with what the cache knows of it and whether other jobs are computing some of the rest.

    `texts` are the runs' arguments where some name files: nobody is waited for who may have met them as they were.
    """
    engine = draft.engine
    seen_to = _answer_from_cache(header, draft, keys, texts)
    if draft.without_input:
        from fanfold.submission.refusing import refuse_runs

        refuse_runs(header, engine.stores, draft.without_input, seen_to)
    if all(seen_to) or texts is not None or not earlier or not _may_follow(header, engine):
        return Submission(header, engine, seen_to)
    from fanfold.engines.following import record_leaders  # most jobs have nobody to follow

    open_runs = (index for index in range(header.count) if not seen_to[index])
    wanted = [(index, _key_of(index, keys)) for index in open_runs]
    followed = record_leaders(engine.stores, header, wanted, earlier)
    for index in followed:
        seen_to[index] = 1
    return Submission(header, engine, seen_to, bool(followed))


def _header(job_id: str, draft: Draft, bundle: Bundle, request: Request, count: int) -> JobHeader:
    options, described = draft.options, draft.described
    commits = (commit_of(source.path) for source in bundle.sources if source.kind == "entry")
    header = JobHeader(
        id=job_id,
        name=draft.name,
        count=count,
        engine=described.name,
        owner=current().owner,
        created_at=time.time(),
        bundle_sha256=bundle.sha256,
        code_hash=bundle.code_hash,
        parameters=draft.parameters,
        instance_type=request.instance.name if request.instance else None,
        usd_per_hour=_usd_per_hour(request, described),
        serializer=options.serializer,
        fresh=options.fresh,
        timeout_s=limit_timeout_s(options, request, described),
        memory_mib=limit_memory_mib(options, request, described),
        commit=next(commits, ""),
        constants=draft.constants,
        architecture=described.architecture,
        costs_money=described.costs_money,
        depends_on=draft.path_rules.parameters,
        defaults=encode_json(draft.plain_defaults) if draft.plain_defaults else "{}",
        check_paths=draft.path_rules.check_results,
        secrets=tuple(options.secrets),
        env=tuple((options.env or {}).items()),
        sealed_with=draft.sealing.kept,
        image_name=described.image_name,
    )
    return _as_asked(header, request)


def _as_asked(header: JobHeader, request: Request) -> JobHeader:
    """The header with how the call wants runs spread, paced, tried again, and cached."""
    return header._replace(
        max_workers=request.max_workers,
        n_processes_per_worker=request.n_processes_per_worker,
        batch_size=request.batch_size,
        rate=request.rate,
        budget_usd=request.budget_usd,
        notify=request.notify,
        hedge=request.hedge,
        stages=request.stages,
        ladder=request.ladder,
        max_retry=request.max_retry,
        retry_on=request.retry_on,
        backoff_s=request.backoff_s,
        jitter=request.jitter,
        stop_on_error=request.stop_on_error,
        cache=request.cache,
        cache_max_age_s=request.cache_max_age_s,
        tags=request.tags,
    )


def _usd_per_hour(request: Request, described: Description) -> float | None:
    """What an hour of a dedicated job's machine costs by the prices of now. Raises `ConfigurationError`."""
    if request.instance is None:
        return None
    from fanfold.core.pricing import prices

    return request.instance.host.price(prices(), spot=described.spot)


def limit_timeout_s(options: Options, request: Request, described: Description) -> float | None:
    """How long each run may take. Raises `InputError` for more than there is."""
    return _limit("timeout_s", options.timeout_s, described.realtime_timeout_s, "s", request)


def limit_memory_mib(options: Options, request: Request, described: Description) -> int | None:
    """How much memory each run may take. Raises `InputError` for more than there is."""
    if request.instance is not None:
        return _machine_memory_mib(options.memory_mib, request.instance, request.n_processes_per_worker)
    limit = _limit("memory_mib", options.memory_mib, described.realtime_memory_mib, "MiB", request)
    return None if limit is None else int(limit)


def _machine_memory_mib(asked: int | None, instance: InstanceType, side_by_side: int) -> int:
    """What each run on a machine may use: its share, or less where less is asked for."""
    has = run_memory_mib(instance, side_by_side)
    if asked is not None and asked > has:
        raise InputError(
            f"memory_mib={asked:g} is more than the {has:,} MiB that a run on {instance.name} has"
            f"{f', one of {side_by_side} side by side' if side_by_side > 1 else ''}.",
            next_step="leave it out, run fewer side by side (n_processes_per_worker=1), or ask for a larger machine.",
        )
    return asked or has


def _limit(name: str, asked: float | None, limit: float, unit: str, request: Request) -> float | None:
    """A realtime run's limit, which may be lowered but not raised; a dedicated one has only what it asks for."""
    if request.instance is not None:
        return asked
    if asked is not None and asked > limit:
        raise InputError(
            f"{name}={asked:g} is more than the {limit:g} {unit} that a realtime run has.",
            next_step=_machine_without(name, asked),
        )
    return limit if asked is None else asked


def _machine_without(limit: str, asked: float) -> str:
    """Which machine to ask for in place of the realtime path, whose `limit` is lower than what is asked for."""
    if limit == "timeout_s":
        return 'ask for a machine, where runs have the time that they ask for: instance_type="small".'
    sizes = {one.name: run_memory_mib(one, 1) for one in INSTANCE_TYPES.values()}
    for name in ("small", "medium", "large", *sorted(sizes, key=lambda one: sizes[one])):
        if sizes[name] >= asked:
            return f'ask for a machine: on instance_type="{name}" a run has {sizes[name]:,} MiB.'
    return f"ask for less: the largest machine has {max(sizes.values()):,} MiB."


def _answer_from_cache(header: JobHeader, draft: Draft, keys: bytearray, texts: Manifest | None) -> bytearray:
    """Record a `cached` result for every run whose key the cache knows. 1 for each such run.

    `texts` are the runs' arguments, where some name files.
    """
    if not header.cache or not header.cache_max_age_s or not may_read_cache(header):
        return bytearray(header.count)
    find = _finder(header, draft, texts)
    return answer_from_cache(header, draft.engine.stores.log, lambda index: _key_of(index, keys), find)


def _key_of(index: int, keys: bytearray) -> str:
    return keys[_KEY_BYTES * index : _KEY_BYTES * (index + 1)].hex()


def _may_follow(header: JobHeader, engine: Engine) -> bool:
    """Whether the job may wait for what an earlier one computes."""
    outlives_this = engine.detached or header.instance_type is not None
    can_wait = engine.describe().runs_follow_anywhere or not outlives_this
    return can_wait and header.cache_max_age_s > 0 and may_read_cache(header)


def _finder(header: JobHeader, draft: Draft, texts: Manifest | None) -> Find:
    """What finds results that may serve again, of some runs and by their keys."""
    max_age_s, cache = header.cache_max_age_s, draft.engine.stores.cache
    if texts is not None:
        reader = draft.cache_reader()
        return lambda runs, keys: reader.lookup(keys, list(map(texts.arguments, runs)), max_age_s=max_age_s)

    def find(_: range, keys: list[str]) -> dict[str, CacheEntry]:
        known = cache.lookup(keys, max_age_s=max_age_s)
        return draft.cache_reader().without_changed(known) if known else known

    return find
