"""`make scale`: the tables of benchmarks/RESULTS-SCALE.md, and the picture in docs/images."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.row import Row, page
from benchmarks.scale.model import WAYS, Outcome, Work, ideal_s, simulate
from fanfold.submission.limits import DEFAULT

ROOT = Path(__file__).parents[2]
_RESULTS, _PICTURE = ROOT / "benchmarks" / "RESULTS-SCALE.md", ROOT / "docs" / "images" / "scale.png"
_COUNTS = (10, 100, 1_000, 10_000)
#: Simulated when everything is: a million runs take minutes, and only by the ways that such a job would go.
_LARGE, _LARGEST = 100_000, 1_000_000
_WAYS_OF_A_MILLION = ("Fanfold, Distributed", "Fanfold, machines", "asynchronous calls")
_RUNS_S = (1.0, 35.0)
_SEEDS = 40
_OURS, _WIDE = "Fanfold, Express", "Fanfold, Distributed"


def _ways(count: int) -> list[str]:
    """Express is for up to 1,000 runs; above, a Map Run takes its place. Of a million, those that are worth a look."""
    ways = _WAYS_OF_A_MILLION if count >= _LARGEST else WAYS
    return [way for way in ways if way != _OURS or count <= 1_000]


def _work(count: int, run_s: float, result_bytes: int = 1_024) -> Work:
    return Work(count, run_s, result_bytes, clones=10 if count > 1_000 else 1, machines=max(1, min(100, count // 16)))


def targets() -> Iterator[Row]:
    """The targets, each with what the model says."""
    cold = [simulate(_OURS, Work(1_000, 1.0), seed=seed) for seed in range(_SEEDS)]
    firsts = sorted(one.first_s for one in cold)
    median, worst = statistics.median(firsts), firsts[-1]
    name = "1,000 cold functions, runs of 1 s: first result, median of 40"
    yield _row(name, median, 1.5 + 1.0, "1.5 s beside the run")
    yield _row("the same, the slowest of 40", worst, 4.0 + 1.0, "4 s beside the run")
    yield _row("the same: all done", max(one.done_s for one in cold), 6.0, "run + 5 s")
    warm = simulate(_OURS, Work(1_000, 1.0, warm=1_000))
    yield _row("1,000 warm functions, runs of 1 s: all done", warm.done_s, 3.0, "run + 2 s")
    wide = simulate(_WIDE, _work(10_000, 1.0))
    yield _row("10,000 runs, 10 clones: all have started", wide.started_s, 12.0, "12 s")
    for run_s, most in ((1.0, 2.5), (35.0, 0.2)):
        one = simulate(_WIDE, _work(10_000, run_s))
        share = 100 * one.overhead_usd / one.compute_usd
        yield _row(f"orchestration of 10,000 runs of {run_s:g} s, in % of compute", share, most, f"{most} %", unit="%")


def largest(count: int = 1_000_000) -> Row:
    """A million runs of 35 s, beside what compute alone would take."""
    work = _work(count, 35.0)
    over = 100 * (simulate(_WIDE, work).done_s / ideal_s(work) - 1)
    return _row(f"{count:,} runs of 35 s: time above the compute-bound limit", over, 5.0, "5 %", unit="%")


def _row(work: str, value: float, most: float, target: str, unit: str = "s") -> Row:
    return Row(work, f"{value:.2f} {unit}", "", "", f"<= {target}", value <= most)


def comparison(run_s: float, result_bytes: int, counts: tuple[int, ...] = _COUNTS) -> str:
    """A table of all ways: seconds to the first and the last result, dollars, and what holds each up."""
    lines = [
        f"## Runs of {run_s:g} s, results of {result_bytes:,} bytes",
        "",
        "| runs | way | first result | all done | compute | beside it | waits for |",
        "| ---: | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for count in counts:
        outcomes = [simulate(way, _work(count, run_s, result_bytes)) for way in _ways(count)]
        lines += [_line(count, one) for one in outcomes]
    return "\n".join([*lines, ""])


def _line(count: int, one: Outcome) -> str:
    return (
        f"| {count:,} | {one.way} | {one.first_s:.1f} s | {one.done_s:.1f} s | ${one.compute_usd:,.4f}"
        f" | ${one.overhead_usd:,.4f} | {one.bottleneck} |"
    )


def draw(run_s: float = 1.0) -> None:
    """Time above compute and dollars beside compute, by the number of runs."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (time_axis, usd_axis) = plt.subplots(1, 2, figsize=(13, 4.2), layout="constrained")
    for way in WAYS:
        counts = [count for count in (*_COUNTS, 3_000, 30_000) if way in _ways(count)]
        works = [_work(count, run_s) for count in sorted(counts)]
        outcomes = [simulate(way, work) for work in works]
        style = {"marker": "o", "lw": 2.5 if way.startswith("Fanfold") else 1.2, "label": way}
        time_axis.plot(
            sorted(counts), [one.done_s - ideal_s(work) for one, work in zip(outcomes, works, strict=True)], **style
        )
        usd_axis.plot(sorted(counts), [100 * one.overhead_usd / one.compute_usd for one in outcomes], **style)
    for axis, title in ((time_axis, "seconds above compute"), (usd_axis, "dollars beside compute, in % of it")):
        axis.set(xscale="log", yscale="log", xlabel=f"runs of {run_s:g} s", title=title)
        axis.grid(alpha=0.3)
    figure.legend(*usd_axis.get_legend_handles_labels(), loc="outside right center", fontsize=8)
    figure.savefig(_PICTURE, dpi=110)


def main() -> None:
    """Simulate everything, print it, and write it down. `--short` leaves out the million, and writes nothing down."""
    rows, whole = list(targets()), "--short" not in sys.argv
    if whole:
        rows.append(largest())
    how = (
        "A simulation of what AWS's quotas and our estimates allow (`client/fanfold/submission/limits.py`), not a"
        f" measurement: {DEFAULT.concurrency:,} functions at once, cold starts of {DEFAULT.cold_s:g} s in the median."
    )
    text = page("What scale takes, by the model", "make scale", how, rows)
    counts = (*_COUNTS, _LARGE, _LARGEST) if whole else _COUNTS
    tables = [comparison(run_s, 1_024, counts) for run_s in _RUNS_S] + [comparison(35.0, 10_000_000, (100, 1_000))]
    text = "\n".join([text, *tables])
    sys.stdout.write(text)
    if whole:
        _RESULTS.write_text(text, encoding="utf-8")
        draw()


if __name__ == "__main__":
    main()
