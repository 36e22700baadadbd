"""What is measured, against whom, and what it must reach."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from tempfile import TemporaryDirectory

from benchmarks.measure import Measured, best, middle, once, ratio_of_pairs, rounds
from benchmarks.packages import cold_environments
from benchmarks.row import Row


def thousand_noop() -> list[Row]:
    """1,000 no-op runs against a process pool that keeps nothing, and against Lithops per run."""
    work = "1,000 no-op runs, all durable"
    pool = ("ProcessPoolExecutor(2)", ["process_pool_noop.py", "1000"])
    rows, found = _whole(work, ["fanfold_noop.py", "1000"], pool, pairs=9, most=(0.6, 0.8))
    lithops = rounds({"lithops": ["lithops_noop.py", "10"]}, 1)["lithops"]
    per_run = _s(lithops) / 10 / (_s(found) / 1000)
    told = f"Lithops localhost {_s(lithops) * 100:.0f} ms"
    each = Row(f"{work}, per run", f"{_s(found):.3f} ms", told, f"{per_run:,.0f} x faster", ">= 500 x", per_run >= 500)
    return [*rows, each]


def ten_thousand_noop() -> list[Row]:
    """10,000 no-op runs against joblib; and the caller's memory as the number of runs grows tenfold."""
    loky = ("joblib loky(2)", ["joblib_noop.py", "10000"])
    rows, found = _whole("10,000 no-op runs", ["fanfold_noop.py", "10000"], loky, pairs=7, most=(0.7, 0.8))
    small = rounds({"ours": ["fanfold_noop.py", "1000"]}, 1)["ours"]
    growth = best(found.peak_mib) - best(small.peak_mib)
    flat = Row(
        "the caller's peak memory, 10,000 runs",
        f"{best(found.peak_mib):.0f} MiB",
        f"1,000 runs {best(small.peak_mib):.0f} MiB",
        f"+{growth:.0f} MiB",
        "flat (< 20 MiB more)",
        growth < 20,
    )
    return [*rows, flat]


def two_workers() -> list[Row]:
    """The same 10,000 runs with as many workers as there are, asked for by number."""
    peer = ("without it", ["fanfold_noop.py", "10000"])
    rows, _ = _whole("the same with max_workers=2", [*peer[1], "max_workers=2"], peer, pairs=7, most=(1.05, 1.05))
    return rows


def two_machines_full() -> list[Row]:
    """Two programs of two workers each at once, beside four busy loops: what a shared machine is like."""
    ours = ["two_at_once.py", "fanfold_noop.py", "10000"]
    peer = ["two_at_once.py", "joblib_noop.py", "10000"]
    found = rounds({"ours": ours, "loky": peer}, 5)
    work = "10,000 no-op runs twice at once, beside four busy loops"
    return [_pairs(work, found["ours"].seconds, found["loky"].seconds, 1.0, "joblib loky(2) likewise")]


def collected() -> list[Row]:
    """Frames that are collected while other runs go on, against those that are when all have ended."""
    peer = ("submit(collect=False), wait, collect", ["fanfold_collected.py", "60", "after"])
    rows, _ = _whole("60 frames of 0.5 MB, collected while runs go on", peer[1][:2], peer, pairs=7, most=(0.9, None))
    return rows


def matmul() -> list[Row]:
    """Products of matrices, whose threads are the library's own."""
    peer = ("joblib loky(2)", ["matmul.py", "loky"])
    rows, _ = _whole("16 matmul runs, two workers", ["matmul.py", "fanfold"], peer, pairs=5, most=(1.0, None))
    return rows


def short_calls() -> list[Row]:
    """The joblib backend, and Executor one call after the other, against what they take the place of."""
    calls, turns = ["short_calls.py", "2000"], ["short_calls.py", "2000"]
    loky, pool = ("joblib loky(2)", [*calls, "loky"]), ("ProcessPoolExecutor(2)", [*turns, "pool"])
    by_joblib, _ = _whole("2,000 calls by the joblib backend", [*calls, "fanfold"], loky, pairs=5, most=(2.0, None))
    in_turn, _ = _whole("2,000 times Executor.submit().result()", [*turns, "executor"], pool, pairs=5, most=(3.0, None))
    return [*by_joblib, *in_turn]


def _whole(
    work: str, ours: list[str], peer: tuple[str, list[str]], *, pairs: int, most: tuple[float, float | None]
) -> tuple[list[Row], Measured]:
    """Wall, CPU of all processes and the caller's peak memory of whole processes, as medians of pairs; and ours."""
    name, theirs = peer
    found = rounds({"ours": ours, "peer": theirs}, pairs, with_cpu=True)
    one, other = found["ours"], found["peer"]
    peak = f"; peak {best(one.peak_mib):.0f} MiB to its {best(other.peak_mib):.0f}"
    rows = [_pairs(work, one.process_s, other.process_s, most[0], name + peak)]
    if most[1] is not None:
        rows.append(_pairs(f"{work}, CPU of all processes", one.cpu_s, other.cpu_s, most[1], name))
    return rows, one


def ten_thousand_cached() -> list[Row]:
    """10,000 inputs that are all in the cache, against joblib.Memory reading the same."""
    with TemporaryDirectory() as folder:
        commands = {"ours": ["fanfold_noop.py", "10000", "cached"], "memory": ["joblib_memory.py", "10000", folder]}
        found = rounds(commands, 6)  # the first round of each computes
    ours, memory = found["ours"].process_s[1:], found["memory"].process_s[1:]
    return [_pairs("10,000 inputs, all in the cache", ours, memory, 0.2, "joblib.Memory")]


def frames() -> list[Row]:
    """Results that are DataFrames against a process pool that keeps nothing: wall and CPU, as medians of pairs."""
    rows: list[Row] = []
    for work, count, length, pairs, wall_most, cpu_most in (
        ("100 results of a 0.5 MB DataFrame", 100, 6_250, 7, 1.0, 1.0),
        ("10 results of a 48 MB DataFrame", 10, 600_000, 5, 0.8, 1.0),
    ):
        given = [str(count), str(length)]
        commands = {"ours": ["fanfold_frames.py", *given], "pool": ["process_pool_frames.py", *given]}
        found = rounds(commands, pairs, with_cpu=True)
        rows.append(_pairs(work, found["ours"].seconds, found["pool"].seconds, wall_most))
        rows.append(_pairs(f"{work}, CPU of all processes", found["ours"].cpu_s, found["pool"].cpu_s, cpu_most))
    return rows


def _pairs(
    work: str, ours: list[float], pool: list[float], at_most: float, name: str = "ProcessPoolExecutor(2)"
) -> Row:
    ratio = ratio_of_pairs(ours, pool)
    told = f"{ratio:.2f} x, the middle of {len(ours)} pairs"
    name, _, more = name.partition("; ")
    peer = f"{name} {middle(pool):.3f} s{'; ' if more else ''}{more}"
    return Row(work, f"{middle(ours):.3f} s", peer, told, f"<= {at_most} x", ratio <= at_most)


def starting() -> list[Row]:
    """One run in a whole process, and the import alone, against importing boto3."""
    commands = {
        "one": ["fanfold_noop.py", "1"],
        "import": ["-c", "import fanfold"],
        "boto3": ["-c", "import boto3"],
        "python": ["-c", "pass"],
    }
    found = rounds(commands, 9)
    one, ours, boto3, python = (best(found[name].process_s) for name in commands)
    return [
        _ratio("submit one run and .results(), whole process", one, "import boto3, whole process", boto3, at_most=1.5),
        _ratio("import fanfold, without the interpreter", ours - python, "import boto3", boto3 - python, at_most=0.5),
    ]


def million() -> list[Row]:
    """A million inputs from a generator."""
    ours = rounds({"ours": ["fanfold_million.py"]}, 1)["ours"]
    peak = best(ours.peak_mib)
    return [
        Row(
            "1,000,000 inputs from a generator, submitted and run",
            f"{peak:.0f} MiB",
            f"({_s(ours):.0f} s)",
            "",
            "< 300 MiB",
            peak < 300,
        )
    ]


def durability() -> list[Row]:
    """What it costs that finished runs outlive a power cut, in pairs of jobs that follow one another."""
    commands = {name: ["fanfold_short_runs.py", "1000", name] for name in ("disk", "process")}
    found = rounds(commands, 7)
    disk, process = found["disk"].seconds, found["process"].seconds
    more = middle([ours / without for ours, without in zip(disk, process, strict=True)]) - 1
    return [
        Row(
            "1,000 runs of 10 ms with FANFOLD_DURABILITY=disk",
            f"{middle(disk):.2f} s",
            f"FANFOLD_DURABILITY=process {middle(process):.2f} s",
            f"{more:+.1%}, the middle of 7 pairs",
            "< 10% more",
            more < 0.1,
        )
    ]


def page() -> list[Row]:
    """The Workbench's page in a real browser, which is started for this case alone."""
    from benchmarks.page import page_rows

    return page_rows()


def local_cloud() -> list[Row]:
    """1,000 small runs through the emulated AWS, and the client's part of that: its time, and its share of all CPU."""
    with TemporaryDirectory() as home:
        said, _ = once(["cloud_thousand.py"], home)
    of_wall = said["client_s"] / said["seconds"]
    of_cpu = said["client_s"] / (said["client_s"] + said["emulator_s"])
    took, client, cloud = said["seconds"], f"client {said['client_s']:.2f} s", f"the cloud's {said['emulator_s']:.1f} s"
    work = "1,000 runs through the local cloud's Distributed Map"
    return [
        Row(work, f"{took:.1f} s", "", "", "< 30 s", took < 30),
        Row(f"{work}, the client's time", client, f"in all {took:.1f} s", f"{of_wall:.1%}", "< 10%", of_wall < 0.1),
        Row(f"{work}, the client's CPU", client, cloud, f"{of_cpu:.1%}", "< 10%", of_cpu < 0.1),
    ]


CASES: dict[str, Callable[[], Iterable[Row]]] = {
    "thousand_noop": thousand_noop,
    "ten_thousand_noop": ten_thousand_noop,
    "two_workers": two_workers,
    "two_machines_full": two_machines_full,
    "ten_thousand_cached": ten_thousand_cached,
    "frames": frames,
    "collected": collected,
    "matmul": matmul,
    "short_calls": short_calls,
    "starting": starting,
    "million": million,
    "durability": durability,
    "page": page,
    "local_cloud": local_cloud,
    "packages": cold_environments,
}


def _s(measured: Measured) -> float:
    return best(measured.seconds)


def _ratio(work: str, ours: float, peer_name: str, peer: float, *, at_most: float) -> Row:
    ratio = ours / peer
    return Row(
        work, f"{ours:.3f} s", f"{peer_name} {peer:.3f} s", f"{ratio:.2f} x", f"<= {at_most} x", ratio <= at_most
    )
