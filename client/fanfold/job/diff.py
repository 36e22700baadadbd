"""What differs between two jobs: code, inputs, surroundings, results and times."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff
from typing import TYPE_CHECKING, Any

from fanfold.core.formatting import counted, duration
from fanfold.job.summary import median
from fanfold.source.load import Bundle
from fanfold.stores.keys import bundle_key

if TYPE_CHECKING:
    from fanfold.job import Job

#: Options of a header that say how a job is run.
_OPTIONS = (
    *("engine", "instance_type", "timeout_s", "memory_mib", "max_workers", "n_processes_per_worker", "max_retry"),
    *("retry_on", "backoff_s", "batch_size", "serializer", "fresh", "cache", "architecture", "tags"),
)
_DIFF_LINES = 200
#: Inputs that stand in the text by their numbers.
_SHOWN = 10


@dataclass(frozen=True, slots=True, repr=False)
class Difference:
    """What differs from job `a` to job `b`. Runs are compared that have the same arguments.

    `results` has, of these, the numbers in `b` of runs whose results differ, by bytes.
    """

    a: str
    b: str
    same_code: bool
    code: str
    inputs: dict[str, int]
    surroundings: dict[str, tuple[Any, Any]]
    compared: int
    results: list[int]
    median_s: tuple[float | None, float | None]

    @property
    def same(self) -> bool:
        """True where code, inputs, surroundings and results are the same; times never are."""
        alike = self.same_code and not self.surroundings and not self.results
        return alike and not self.inputs["only_in_a"] and not self.inputs["only_in_b"]

    def __str__(self) -> str:
        given, (before, after) = self.inputs, self.median_s
        lines = [f"{self.a} -> {self.b}: {'the same' if self.same else 'they differ'}"]
        lines.append(f"  code      {'the same' if self.same_code else 'differs'}")
        lines.append(
            f"  inputs    {given['in_both']:,} in both, {given['only_in_a']:,} only in the first,"
            f" {given['only_in_b']:,} only in the second"
        )
        lines += [f"  {name:<9} {old!r} -> {new!r}" for name, (old, new) in self.surroundings.items()]
        lines.append(f"  results   {self._about_results()}")
        if before is not None and after is not None:
            lines.append(f"  times     median {duration(before)} -> {duration(after)}")
        return "\n".join([*lines, *(("", self.code) if self.code else ())])

    __repr__ = __str__

    def _about_results(self) -> str:
        compared = f"of {counted(self.compared, 'result')} of the same inputs"
        if not self.results:
            return f"all the same, {compared}"
        shown = ", ".join(map(str, self.results[:_SHOWN])) + (", ..." if len(self.results) > _SHOWN else "")
        return f"{len(self.results):,} differ, {compared}: in the second, runs {shown}"


def find_difference(a: Job, b: Job) -> Difference:
    """What differs from job `a` to job `b`. Raises `ResultDamaged` where the code of one is gone."""
    before, after = _by_arguments(a), _by_arguments(b)
    both = [text for text in after if text in before]
    pairs = [(a.state.output(before[text]), b.state.output(after[text]), after[text]) for text in both]
    known = [(old.sha256 == new.sha256, index) for old, new, index in pairs if old is not None and new is not None]
    old_code, new_code = (_texts(job) for job in (a, b))
    return Difference(
        a=a.id,
        b=b.id,
        same_code=_code_hash(a) == _code_hash(b),
        code=_code_diff(old_code, new_code),
        inputs={"in_both": len(both), "only_in_a": len(before) - len(both), "only_in_b": len(after) - len(both)},
        surroundings=_surroundings(a, b),
        compared=len(known),
        results=[index for same, index in known if not same],
        median_s=(_median_s(a), _median_s(b)),
    )


def _by_arguments(job: Job) -> dict[str, int]:
    """The number of a run by its arguments as they are stored, constants included."""
    job.tracker.look()
    constants = job.header.constants
    return {f"{job.contents.own_text(index)} {constants}": index for index in range(len(job))}


def _code_hash(job: Job) -> str:
    return (job.header.code_hash, *job.header.fixed_hashes)[-1]


def _texts(job: Job) -> dict[str, str]:
    objects = job.tracker.engine.stores.objects
    bundle = Bundle.from_bytes(objects.get(bundle_key(job.header.current_bundle_sha256)))
    return {source.path: source.text for source in bundle.sources}


def _code_diff(before: dict[str, str], after: dict[str, str]) -> str:
    lines: list[str] = []
    for path in dict.fromkeys((*before, *after)):
        old, new = before.get(path, ""), after.get(path, "")
        if old != new:
            lines += unified_diff(
                old.splitlines(), new.splitlines(), f"{path} in the first", f"{path} in the second", lineterm="", n=1
            )
    more = [f"... {len(lines) - _DIFF_LINES:,} lines more"] if len(lines) > _DIFF_LINES else []
    return "\n".join([*lines[:_DIFF_LINES], *more])


def _surroundings(a: Job, b: Job) -> dict[str, tuple[Any, Any]]:
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
