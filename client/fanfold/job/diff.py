"""What differs between two jobs: code, inputs, environment, results and times."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from fanfold.codec.registry import HIDDEN
from fanfold.core.cache_key import key_text
from fanfold.core.formatting import counted, duration
from fanfold.core.models import BAD, GOOD, RunStatus
from fanfold.errors import FanfoldError
from fanfold.job.summary import median
from fanfold.source.load import Bundle
from fanfold.stores.keys import bundle_key

if TYPE_CHECKING:
    from fanfold.job import Job

#: Options of a header that say how a job is run.
_OPTIONS = (
    *("engine", "instance_type", "timeout_s", "memory_mib", "max_workers", "n_processes_per_worker", "max_retry"),
    *("retry_on", "backoff_s", "rate", "batch_size", "serializer", "fresh", "cache", "architecture", "tags"),
)
_DIFF_LINES = 200
#: Inputs that stand in the text by their numbers.
_SHOWN = 10


@dataclass(frozen=True, slots=True, repr=False)
class Difference:
    """What differs from job `a` to job `b`. Runs are compared that have the same input.

    A parameter that some run of either job was given by itself is part of the input, with its constant or its default
    in the other job. All other constants and defaults stand in `environment` where they differ.

    Runs are numbered as in `b`: `results` are those whose results differ, by bytes; `repaired` failed in `a` and
    succeeded in `b`, and `broken` the other way round. `slower` says how many times as long the runs of `b` took, in
    the middle, of inputs that succeeded in both.
    """

    a: str
    b: str
    same_code: bool
    code: str
    inputs: dict[str, int]
    environment: dict[str, tuple[Any, Any]]
    compared: int
    results: list[int]
    repaired: list[int]
    broken: list[int]
    slower: float | None
    median_s: tuple[float | None, float | None]

    @property
    def same(self) -> bool:
        """True where code, inputs, environment and results are the same; times never are."""
        alike = self.same_code and not (self.environment or self.results or self.repaired or self.broken)
        return alike and not self.inputs["only_in_a"] and not self.inputs["only_in_b"]

    def __str__(self) -> str:
        given, (before, after) = self.inputs, self.median_s
        lines = [f"{self.a} -> {self.b}: {'the same' if self.same else 'they differ'}"]
        lines.append(f"  code      {'the same' if self.same_code else 'differs'}")
        lines.append(
            f"  inputs    {given['in_both']:,} in both, {given['only_in_a']:,} only in the first,"
            f" {given['only_in_b']:,} only in the second"
        )
        lines += [f"  {name:<9} {old!r} -> {new!r}" for name, (old, new) in self.environment.items()]
        lines.append(f"  results   {self._about_results()}")
        for runs, words in ((self.repaired, "succeeded now"), (self.broken, "failed now")):
            lines += [f"  {words}: {numbered_runs(runs)}"] if runs else []
        if before is not None and after is not None:
            lines.append(f"  times     median {duration(before)} -> {duration(after)}")
        return "\n".join([*lines, *(("", self.code) if self.code else ())])

    __repr__ = __str__

    def _about_results(self) -> str:
        compared = f"of {counted(self.compared, 'result')} of the same inputs"
        if not self.results:
            return f"all the same, {compared}"
        return f"{len(self.results):,} differ, {compared}: in the second, {numbered_runs(self.results)}"


def numbered_runs(runs: list[int]) -> str:
    """The first of some runs by their numbers."""
    return (
        f"run{'s' if len(runs) > 1 else ''} {', '.join(map(str, runs[:_SHOWN]))}{', ...' if len(runs) > _SHOWN else ''}"
    )


def matched_runs(a: Job, b: Job) -> list[tuple[int, int]]:
    """The runs of the same input, each as (run of the first, run of the second)."""
    return list(_Inputs(a, b).pairs())


def find_difference(a: Job, b: Job) -> Difference:
    """What differs from job `a` to job `b`; both are read anew."""
    _ = a.status, b.status
    matched = _Inputs(a, b)
    pairs = list(matched.pairs())
    outputs = [(a.state.output(old), b.state.output(new), new) for old, new in pairs]
    known = [(old.sha256 == new.sha256, index) for old, new, index in outputs if old is not None and new is not None]
    fates = [(a.state.status_of(old), b.state.status_of(new), new) for old, new in pairs]
    return Difference(
        a=a.id,
        b=b.id,
        same_code=_code_hash(a) == _code_hash(b),
        code=_code_diff(a, b),
        inputs={"in_both": len(pairs), "only_in_a": len(a) - len(pairs), "only_in_b": len(b) - len(pairs)},
        environment={**_environment(a, b), **matched.elsewhere()},
        compared=len(known),
        results=[index for same, index in known if not same],
        repaired=[index for old, new, index in fates if old in BAD and new in GOOD],
        broken=[index for old, new, index in fates if old in GOOD and new in BAD],
        slower=_slower(a, b, pairs),
        median_s=(_median_s(a), _median_s(b)),
    )


def _slower(a: Job, b: Job, pairs: list[tuple[int, int]]) -> float | None:
    """How many times as long the second job's runs took, in the middle, where both were performed."""
    ratios = []
    for old, new in pairs:
        if a.state.status_of(old) is b.state.status_of(new) is RunStatus.SUCCEEDED:
            took, takes = a.state.duration_s(old), b.state.duration_s(new)
            if took and takes:
                ratios.append(takes / took)
    return median(ratios) if ratios else None


def _shown(value: Any) -> Any:
    """An argument as it was written down, without what stands for a secret in it."""
    return HIDDEN if '"$sealed"' in json.dumps(value) else value


class _Inputs:
    """The inputs of two jobs as they were written down, and which of them are the same.

    They are compared as JSON, which nothing is rebuilt from: not what an input is, but whether two are the same, is
    asked here.
    """

    def __init__(self, a: Job, b: Job) -> None:
        self._own = [
            [json.loads(key_text(job.contents.own_text(index))) for index in range(len(job))] for job in (a, b)
        ]
        self._common = [
            {**json.loads(job.header.defaults), **json.loads(key_text(job.header.constants))} for job in (a, b)
        ]
        #: Parameters that some run of either job was given by itself.
        self._varying = {name for of_job in self._own for arguments in of_job for name in arguments}

    def pairs(self) -> Iterator[tuple[int, int]]:
        """The runs of the same input, each as (run of the first, run of the second); an input given twice has two."""
        known: defaultdict[str, list[int]] = defaultdict(list)
        for index, text in enumerate(self._texts(0)):
            known[text].append(index)
        for runs in known.values():
            runs.reverse()
        for index, text in enumerate(self._texts(1)):
            if known.get(text):
                yield known[text].pop(), index

    def elsewhere(self) -> dict[str, tuple[Any, Any]]:
        """The constants and defaults that are part of no input, where they differ: from and to."""
        old, new = self._common
        names = [name for name in dict.fromkeys((*old, *new)) if name not in self._varying]
        differing = [name for name in names if old.get(name) != new.get(name)]
        return {f"argument {name}": (_shown(old.get(name)), _shown(new.get(name))) for name in differing}

    def _texts(self, job: int) -> Iterator[str]:
        common = {name: value for name, value in self._common[job].items() if name in self._varying}
        for arguments in self._own[job]:
            yield json.dumps({**common, **arguments}, sort_keys=True)


def _code_hash(job: Job) -> str:
    return (job.header.code_hash, *job.header.fixed_hashes)[-1]


def _texts(job: Job) -> dict[str, str]:
    objects = job.tracker.engine.stores.objects
    bundle = Bundle.from_bytes(objects.get(bundle_key(job.header.current_bundle_sha256)))
    return {source.path: source.text for source in bundle.sources}


def _code_diff(a: Job, b: Job) -> str:
    """What differs in the code, as `diff -u` writes it; where code is gone, that is said in its place."""
    try:
        before, after = _texts(a), _texts(b)
    except FanfoldError as error:  # a bundle that was removed; all else of the jobs can be compared
        return f"cannot be compared: {error.message}"
    lines: list[str] = []
    for path in dict.fromkeys((*before, *after)):
        old, new = before.get(path, ""), after.get(path, "")
        if old != new:
            lines += unified_diff(
                old.splitlines(), new.splitlines(), f"{path} in the first", f"{path} in the second", lineterm="", n=1
            )
    more = [f"... {len(lines) - _DIFF_LINES:,} lines more"] if len(lines) > _DIFF_LINES else []
    return "\n".join([*lines[:_DIFF_LINES], *more])


def _environment(a: Job, b: Job) -> dict[str, tuple[Any, Any]]:
    """The options, the commit, the image and each package that differ, from and to."""
    found: dict[str, tuple[Any, Any]] = {}
    for name in (*_OPTIONS, "commit"):
        old, new = getattr(a.header, name), getattr(b.header, name)
        if old != new:
            found[name] = (old, new)
    before, after = _packages(a), _packages(b)
    for name in dict.fromkeys((*before, *after)):
        if before.get(name) != after.get(name):
            found[name] = (before.get(name), after.get(name))
    return found


def _packages(job: Job) -> dict[str, str]:
    """Each package's version by its name, and the image by that name."""
    image, *packages = job.header.image.split(" ")
    named = (package.partition("==") for package in packages)
    return {"image": image, **{name: version for name, _, version in named}}


def _median_s(job: Job) -> float | None:
    took = job.state.measured_s()
    return median(took) if took else None
