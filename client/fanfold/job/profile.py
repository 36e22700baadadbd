"""Where the time and the memory of a run go: the run, called again here under a profiler."""

from __future__ import annotations

import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING, Any

from fanfold.contract.records import NamedTuple
from fanfold.core.formatting import as_html, duration
from fanfold.core.options import check_flags
from fanfold.errors import MissingPackage
from fanfold.job.post_mortem import Mask
from fanfold.job.rerun import Rerun, check_survivable, environment_of
from fanfold.job.written import path_here, write_page
from fanfold.source.load import is_loaded_source, unload

if TYPE_CHECKING:
    from fanfold.job import Job

#: Seconds between two samples.
_INTERVAL_S = 0.001
#: Lines that are shown as text.
_SHOWN = 15
_INSTALL = "pip install 'fanfold[profile]'"

#: Where code stands: a file, a line, and its function.
_Spot = tuple[str, int, str]


class ProfiledLine(NamedTuple):
    """A line of the UDF or its project: the seconds spent in it and below it, and the MiB it held at the peak."""

    file: str
    line: int
    function: str
    code: str
    seconds: float
    mib: float | None = None


class Profile:
    """What a run takes when it is called again here: `lines`, those that take longest first.

    `seconds` is the whole call, `peak_mib` what it allocated at most (None unless memory was asked for), and `error`
    what it raised, as text. A line's seconds include those of what it calls, libraries too.
    """

    def __init__(self, job_id: str, index: int) -> None:
        self.job_id = job_id
        self.index = index
        self.seconds = 0.0
        self.peak_mib: float | None = None
        self.error = ""
        self.lines: tuple[ProfiledLine, ...] = ()
        self._page = ""

    def save(self, path: str | Path) -> Path:
        """Write the whole call tree as a page of its own, to be opened in a browser. Raises `InputError`."""
        return write_page(path_here(path), self._page)

    @property
    def _title(self) -> str:
        peak = "" if self.peak_mib is None else f", with {self.peak_mib:,.1f} MiB at the peak"
        return f"Run {self.index} of job {self.job_id}, called again here, took {duration(self.seconds)}{peak}."

    def _row(self, line: ProfiledLine) -> list[str]:
        share = f"{line.seconds / self.seconds:.0%}" if self.seconds else ""
        memory = [] if self.peak_mib is None else [f"{line.mib or 0:,.1f} MiB"]
        return [f"{line.seconds:.3f} s", share, *memory, f"{Path(line.file).name}:{line.line}", line.code]

    def __repr__(self) -> str:
        rows = [self._row(line) for line in self.lines[:_SHOWN]]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [self._title, *([f"It raised {self.error}"] if self.error else [])]
        for row in rows:
            numbers = [text.rjust(width) for text, width in zip(row[:-2], widths, strict=False)]
            lines.append("  ".join(["", *numbers, row[-2].ljust(widths[-2]), row[-1]]).rstrip())
        if not rows and not self.error:
            lines.append("  No line of your own code took so long that it was seen.")
        if len(self.lines) > _SHOWN:
            lines.append(f"  and {len(self.lines) - _SHOWN} more lines: see `.lines`")
        return "\n".join(lines)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        rows = "".join(
            "<tr>" + "".join(f"<td style='text-align:{align}'>{as_html(text)}</td>" for text, align in cells) + "</tr>"
            for cells in map(_aligned, map(self._row, self.lines[:_SHOWN]))
        )
        return f"<p>{as_html(self._title)}</p><table>{rows}</table>"


def _aligned(row: list[str]) -> list[tuple[str, str]]:
    return [(text, "left" if position >= len(row) - 2 else "right") for position, text in enumerate(row)]


def profile_run(job: Job, index: int, *, memory: bool = False) -> Profile:
    """Call a run again, in this process, under a profiler; with `memory` once more, under a memory profiler.

    Raises `InputError` where it would end the process, and `MissingPackage`.
    """
    check_flags(memory=memory)
    check_survivable(job, index, job.state.error(index))
    found, mask = Profile(job.id, index), Mask()
    measure_time, measure_memory = _timed(found), _weighed(found) if memory else None
    try:
        with environment_of(job, index):
            call = Rerun(job, index, mask.add)
            seconds: dict[_Spot, float] = {}
            held: dict[_Spot, float] = {}
            found.error = _ended(call.load)  # imports are a worker's, once, and no part of the run
            if not found.error:
                seconds = measure_time(call)
                held = {} if measure_memory is None else measure_memory(call)
        found.lines = tuple(_lines(seconds, held, mask, memory=memory))
    finally:
        unload()
    found.error = mask.text(found.error)
    return found


def _lines(
    seconds: dict[_Spot, float], held: dict[_Spot, float], mask: Mask, *, memory: bool
) -> Iterator[ProfiledLine]:
    import linecache

    for spot in sorted({**held, **seconds}, key=lambda spot: (-seconds.get(spot, 0.0), -held.get(spot, 0.0), spot)):
        file, line, function = spot
        code = mask.text(linecache.getline(file, line).strip())
        yield ProfiledLine(file, line, function, code, seconds.get(spot, 0.0), held.get(spot, 0.0) if memory else None)


def _ended(call: Callable[[], Any]) -> str:
    """Make the call; what it raised, as text."""
    try:
        call()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  the user's own code
        return f"{type(error).__name__}: {error}"
    return ""


def _timed(found: Profile) -> Callable[[Callable[[], Any]], dict[_Spot, float]]:
    """What makes a call, notes how long it takes, and gives the seconds of each line. Raises `MissingPackage`."""
    try:
        from pyinstrument import Profiler
        from pyinstrument.renderers import HTMLRenderer
    except ImportError as error:
        raise MissingPackage("profile() needs pyinstrument, which is not installed.", next_step=_INSTALL) from error

    def measure(call: Callable[[], Any]) -> dict[_Spot, float]:
        profiler, sampler = Profiler(interval=_INTERVAL_S, async_mode="disabled"), _Sampler()
        with sampler, profiler:
            began = time.perf_counter()
            found.error = _ended(call)
            found.seconds = time.perf_counter() - began
        session = profiler.last_session
        found._page = "" if session is None else HTMLRenderer().render(session)
        return sampler.seconds

    return measure


class _Sampler:
    """Looks from a thread of its own at which lines the code within stands, and adds up the seconds of each.

    pyinstrument looks as functions begin and end: of a loop that calls nothing it sees the line after it alone.
    """

    def __init__(self) -> None:
        self.seconds: dict[_Spot, float] = defaultdict(float)
        self._watched = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, name="fanfold-profile", daemon=True)

    def __enter__(self) -> None:
        self._switch_s = sys.getswitchinterval()
        sys.setswitchinterval(_INTERVAL_S)  # else Python code is interrupted every 5 ms alone
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        sys.setswitchinterval(self._switch_s)

    def _look(self) -> None:
        before = time.perf_counter()
        while not self._over.wait(_INTERVAL_S):
            frame, now = sys._current_frames().get(self._watched), time.perf_counter()
            for spot in _own_spots(frame):
                self.seconds[spot] += now - before
            before = now


def _own_spots(frame: FrameType | None) -> set[_Spot]:
    """The user's own lines of a stack, down to the call, each once however deep it calls itself."""
    spots = set()
    while frame is not None and frame.f_code is not _ended.__code__:
        code = frame.f_code
        if is_loaded_source(code.co_filename):
            spots.add((code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back
    return spots


def _weighed(found: Profile) -> Callable[[Callable[[], Any]], dict[_Spot, float]]:
    """What makes a call, notes its peak, and gives the MiB that each line held then. Raises `MissingPackage`."""
    try:
        import memray
    except ImportError as error:
        raise MissingPackage(
            "profile(memory=True) needs memray, which is not installed.", next_step=_INSTALL
        ) from error

    def measure(call: Callable[[], Any]) -> dict[_Spot, float]:
        with TemporaryDirectory() as folder:
            records = Path(folder) / "records"
            with memray.Tracker(records):
                found.error = _ended(call)
            with memray.FileReader(records) as reader:
                found.peak_mib = reader.metadata.peak_memory / 2**20
                held: dict[_Spot, float] = defaultdict(float)
                for record in reader.get_high_watermark_allocation_records(merge_threads=True):
                    spot = next((s for s in map(_spot, record.stack_trace()) if is_loaded_source(s[0])), None)
                    if spot is not None:
                        held[spot] += record.size / 2**20
        return held

    return measure


def _spot(step: tuple[str, str, int]) -> _Spot:
    function, file, line = step
    return file, line, function
