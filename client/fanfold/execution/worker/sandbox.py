"""What a run finds around it in a worker, and what it must not leave behind for the next one.

Imported by workers: cheap standard library only.
"""

import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import copy_context
from typing import Any

from fanfold.contract.layout import ENV_ATTEMPT, ENV_DATA, ENV_MOUNT, ENV_RUN, ENV_SCRATCH, ENV_SOURCE
from fanfold.execution.channel import Called, Finished
from fanfold.execution.worker.interpreter import (
    PR_SET_CHILD_SUBREAPER,
    Builtins,
    InterpreterState,
    Leftovers,
    RunFolders,
    computes_only,
    native_flush,
    prctl,
    reaches_the_interpreter,
)
from fanfold.execution.worker.perform import (
    CallResult,
    JobContext,
    Small,
    failed,
    is_small,
    perform_decoded,
    spare_files,
)
from fanfold.source.load import Bundle

# The memory and CPU time one call took, measured from inside the worker for the price of a few microseconds.

_MIB = 1024 * 1024
_PAGE_MIB = os.sysconf("SC_PAGE_SIZE") / _MIB
_HUGE_PAGE_MIB = 2
#: Below this a call is over before a reading of the kernel's high-water mark (some 20 µs) pays.
_SHORT_S = 0.005
#: Below this, before any reading does: what so short a call can take shows in one of the next.
_INSTANT_S, _INSTANT_CALLS = 0.001, 64
#: From here on the pool has looked at the call while it ran (`pool.limits`).
_LOOKED_AT_S = 0.2


#: Packages that bring a GDAL, each its own; and what else keeps something of files that it has read far away
#: (`far_files`).
OF_GDAL = ("rasterio", "pyogrio", "fiona", "osgeo")
_REMEMBERING = (*OF_GDAL, "fsspec")


class CpuTime:
    """CPU seconds of this process, and of the children it has waited for."""

    def __init__(self) -> None:
        self._own_s = time.process_time()
        self._children_s = 0.0
        self._unread = 0

    def since_last(self, duration_s: float) -> float:
        """CPU seconds since the last call of this, for a call that took `duration_s`."""
        if duration_s < _INSTANT_S and self._unread < _INSTANT_CALLS:  # it will have done nothing but compute
            self._unread += 1
            self._own_s += duration_s
            return duration_s
        self._unread = 0
        before, self._own_s = self._own_s, time.process_time()
        if duration_s < _SHORT_S:  # children are counted in hundredths of a second
            return max(0.0, self._own_s - before)
        times, children_before = os.times(), self._children_s
        self._children_s = times.children_user + times.children_system
        return max(0.0, self._own_s - before) + self._children_s - children_before


class PeakMemory:
    """Peak memory between `restart` and `peak_mib`: what the kernel cannot take back, so no pages of mapped files.

    Linux keeps a high-water mark that can be reset, in which mapped files count as well: it serves for calls that are
    too short for the pool to look at while they run, as far as these had pages of their own for it. Elsewhere the peak
    of the whole process so far must do.
    """

    def __init__(self) -> None:
        self._linux = sys.platform == "linux"
        self._statm = os.open("/proc/self/statm", os.O_RDONLY) if self._linux else -1
        self._files = 0.0
        self._faults, self._huge = 0, _huge_pages() if self._linux else 0
        self._start = self._last = self._now()
        self._mark_is_high = True
        self._unread = 0

    def restart(self) -> None:
        """Begin a new call."""
        if self._linux and self._mark_is_high:
            self._mark_is_high = False
            with suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as file:
                file.write("5")  # 5: reset the peak resident set size, see proc(5)
        self._start = self._last

    def peak_mib(self, duration_s: float) -> float:
        """MiB at the peak since `restart`, for a call that took `duration_s`."""
        if duration_s < _INSTANT_S and self._unread < _INSTANT_CALLS:
            self._unread += 1
            return self._last
        self._unread = 0
        before, faults = self._last, self._faults
        now = self._last = self._now()
        if not self._linux or duration_s < _SHORT_S:
            return now
        peak = _high_water_mark_mib() - self._files
        self._mark_is_high = peak > now + 1
        if self._mark_is_high:
            peak = min(peak, before + self._new_mib(faults))
        return max(peak, now) if duration_s < _LOOKED_AT_S else now

    @property
    def last_mib(self) -> float:
        """MiB at the last look."""
        return self._last

    def left_mib(self) -> float:
        """MiB that the call has left behind."""
        return self._last - self._start

    def _new_mib(self, faults: int) -> float:
        """No more memory than this is new since there were so many page faults: a fault brings a page, or a huge one.

        One at a file brings 16 pages, which is how a file that was mapped and let go of is told from memory. Huge pages
        are counted for the whole system.
        """
        huge, self._huge = self._huge, _huge_pages()
        return (self._faults - faults) * _PAGE_MIB + (self._huge - huge) * _HUGE_PAGE_MIB

    def _now(self) -> float:
        if not self._linux:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB  # macOS counts bytes
        try:
            resident, files = os.pread(self._statm, 64, 0).split()[1:3]
        except OSError:  # the run has closed it
            return 0.0
        self._files = int(files) * _PAGE_MIB
        self._faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        return int(resident) * _PAGE_MIB - self._files


def _high_water_mark_mib() -> float:
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as file:
        for line in file:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _huge_pages() -> int:
    """How many huge pages the system has handed out since its start."""
    with suppress(OSError), open("/proc/vmstat", encoding="ascii") as file:
        for line in file:
            if line.startswith("thp_fault_alloc "):
                return int(line.split()[1])
    return 0


#: Left-over memory worth a full garbage collection before the next call.
_COLLECT_ABOVE_MIB = 64.0

#: What libraries read as they are loaded: how many threads, or processes, they may start.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "POLARS_MAX_THREADS",
    "RAYON_NUM_THREADS",
    "LOKY_MAX_CPU_COUNT",
    "SLURM_CPUS_ON_NODE",  # DuckDB reads no other: its threads are that many where nobody says `threads=`
)
#: GDAL's own is 5% of the host's memory: on one of 128 GB it is more than a run has.
_GDAL_CACHE_MB = 256


def thread_variables(threads: int) -> dict[str, str]:
    """What tells BLAS, OpenMP, DuckDB and the like how many threads they may start; loky's says how many processes."""
    return {name: str(threads) for name in THREAD_VARIABLES if not name.startswith("LOKY")}


def share_threads(threads: int) -> None:
    """Tell libraries that are loaded from now on how many threads each may start, where nothing says so yet.

    And GDAL how many of the blocks that it has decoded it may keep, as the image does.
    """
    for name in THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))
    os.environ.setdefault("GDAL_CACHEMAX", str(_GDAL_CACHE_MB))


class Sandbox:
    """Output, environment and usage of one worker, call after call.

    Output is captured at the file descriptors, so that C code and child processes are heard as well. A call that
    printed anything leaves its log file to the pool; the next call gets a new one, so what an old child still
    prints cannot reach another run's log.
    """

    def __init__(self, log_folder: str, on_children: Callable[[], None]) -> None:
        """`on_children` is called before code is loaded that may start processes."""
        self.folder = log_folder
        self._results = os.path.dirname(log_folder)
        self.log_number = -1
        self._log = -1
        self.tainted = False
        self._on_children = on_children
        self._memory = PeakMemory()
        self._next_log()
        sys.stdout = open(1, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)  # noqa: SIM115
        self._streams = sys.stdout, sys.stderr
        self._pid = os.getpid()
        self._standing = _standing(log_folder)
        self._flush_native: Callable[[], Any] | None = None
        #: Whether the UDF can change nothing but what `tidy` looks at: it imports nothing.
        self._is_plain = True
        #: Whether it can do no more than compute, though it imports something.
        self._only_computes = False
        #: Whether what the present run may have changed is to be looked at, and put back.
        self._puts_back = False
        self._bundle: Bundle | None = None
        self._folders: RunFolders | None = None
        self._interpreter: InterpreterState | None = None
        self._job: JobContext | None = None
        self._cpu = CpuTime()
        self._remember()

    def hold(self, called: Called, job: JobContext, perform: Callable[[], CallResult]) -> Finished:
        """Perform one call of a job within its own output and environment; what came of it and what it took."""
        self._enter(job, called)
        self._memory.restart()
        began = time.perf_counter()
        result = None if job.udf.is_loaded else self._load(job)
        self._puts_back = self._has_reach(called.arguments)
        if result is None:
            # A context variable, such as Decimal's precision, is the run's own.
            result = perform() if self._is_plain else copy_context().run(perform)
        if os.getpid() != self._pid:
            self._flush()
            os._exit(result.output is None)  # a child that the UDF forked and let go on: not our answer
        duration_s = time.perf_counter() - began
        cpu_s = self._cpu.since_last(duration_s)
        self._flush()
        peak_mib = self._memory.peak_mib(duration_s)
        if self._memory.left_mib() > _COLLECT_ABOVE_MIB:
            gc.collect()
        if self._puts_back:
            self._restore()
            self.tainted = self.tainted or self._leftovers.found()
        self.tainted = job.wears_out() or self.tainted or job.fresh or spare_files.are_used
        return self.finished(called, result, duration_s, cpu_s, peak_mib)

    def finished(
        self, called: Called, result: CallResult, duration_s: float, cpu_s: float, peak_mib: float
    ) -> Finished:
        """What came of a call that is over."""
        printed = self._log_number_if_used()  # by now: what it has left behind may have had something to say
        # Not by `round`, which takes three times as long.
        used = int(duration_s * 1e6) / 1e6, int(cpu_s * 1e6) / 1e6, int(peak_mib * 10) / 10
        return Finished(called.number, time.time(), *used, *result, printed, self.tainted)

    # Calls that can do no more than compute and print: nothing is to be put back after each (`worker.chunk`).

    def is_quiet(self, calls: Sequence[Called], job: JobContext) -> bool:
        """Whether these calls are such, of a UDF that is loaded."""
        known = self._bundle is not None and job.udf.is_loaded and job.knows_no_paths
        return known and not any(b'{"$' in called.arguments or self._is_open(called.arguments) for called in calls)

    @property
    def mib(self) -> float:
        """The MiB that this process had when it was last looked at."""
        return self._memory.last_mib

    def begin_quiet_calls(self, job: JobContext, first: Called) -> float:
        """Begin such calls, and say when (time.perf_counter)."""
        self._enter(job, first)
        self._memory.restart()
        self._puts_back = False
        return time.perf_counter()

    def hold_quiet_call(self, job: JobContext, given: Any, number: int) -> Small | CallResult:
        """Perform one of them."""
        if self._is_plain:
            result = perform_decoded(job, given, self._results, number)
        else:
            result = copy_context().run(perform_decoded, job, given, self._results, number)
        if os.getpid() != self._pid:
            self._flush()
            os._exit(not is_small(result) and result.output is None)
        return result

    def has_printed(self) -> bool:
        """Whether anything has been printed since the last call that has; where that cannot be told, it may have."""
        self._flush()
        try:
            return os.lseek(self._log, 0, os.SEEK_END) > 0
        except OSError:
            return True

    def measure_quiet_calls(self, duration_s: float) -> tuple[float, float]:
        """The CPU seconds that they took for each second, and the MiB at their peak."""
        cpu_s, peak_mib = self._cpu.since_last(duration_s), self._memory.peak_mib(duration_s)
        if self._memory.left_mib() > _COLLECT_ABOVE_MIB:
            gc.collect()
        self.tainted = self.tainted or spare_files.are_used
        return (1.0 if cpu_s == duration_s else cpu_s / duration_s), peak_mib

    def tidy(self) -> None:
        """Undo what the UDF has changed for all code of this process: as soon as it is over, before its result is kept.

        What cannot be undone, or may be meant by a library that stays imported, is left to a new process.
        """
        if not self.is_touched:
            return
        if not self._timer and self._puts_back:
            signal.setitimer(signal.ITIMER_REAL, 0)
        if self._builtins.restore():
            self.tainted = True
        if self._interpreter is not None and not self._interpreter.restore():
            self.tainted = True

    @property
    def is_touched(self) -> bool:
        """Whether the present run may have changed anything that others in this process use; an executor's always."""
        return self._puts_back or self._bundle is None

    def _has_reach(self, arguments: bytes) -> bool:
        """Whether a run with these arguments can change a setting of the process: a function among them may."""
        if self._is_plain and b'"$graph"' in arguments and self._bundle is not None:
            self._prepare()  # nothing before it can have changed any, and each run after it is looked at
            self._remember()
        return self._is_open(arguments)

    def _is_open(self, arguments: bytes) -> bool:
        """The same, as far as is known of the UDF by now."""
        return not self._is_plain and not (self._only_computes and b'{"$' not in arguments)

    # Loading

    def _load(self, job: JobContext) -> CallResult | None:
        """Load the job's bundle, and remember what its runs are to find; what came of it where it failed."""
        share_threads(job.threads)
        try:
            job.opening(lambda: job.udf.load(self._expect))
        except BaseException as error:  # noqa: BLE001  the user's own code
            self.tainted = True  # half of it is loaded
            return failed(error)
        if os.getpid() == self._pid:
            self._remember()
        return None

    def _expect(self, bundle: Bundle) -> None:
        """Prepare for what calls of this bundle can do, before it is loaded. Those that import nothing cost no more.

        A UDF with imports may print through C, whose buffers are flushed then; it may fork, and its orphans are
        adopted; it may write files, and it may change what the whole interpreter goes by.
        """
        self._bundle = bundle
        if reaches_the_interpreter(bundle):
            self._only_computes = computes_only(bundle)
            self._prepare()

    def _prepare(self) -> None:
        self._is_plain = False
        self._flush_native = native_flush()
        prctl(PR_SET_CHILD_SUBREAPER, 1)
        self._on_children()
        self._folders = RunFolders(self.folder)
        os.environ["TMPDIR"] = self._folders.temporary
        os.environ[ENV_SCRATCH] = self._folders.kept
        if self._job is not None and self._job.own_folder:
            self._standing = self._folders.working
            os.chdir(self._standing)

    def _remember(self) -> None:
        """Take what is there now for what each run is to find."""
        self._builtins = Builtins()
        self._leftovers = Leftovers()
        self._argv, self._path, self._path_entries = sys.argv[:], sys.path, sys.path[:]
        self._variables = os.environ
        # The mapping behind os.environ: comparing it takes 1 µs, decoding every variable of os.environ 40.
        self._environ: dict[bytes, bytes] = os.environ._data.copy()  # type: ignore[attr-defined]
        self._timer = signal.getitimer(signal.ITIMER_REAL)[0] > 0
        if self._bundle is not None and not self._is_plain:
            self._interpreter = InterpreterState(self._bundle)
        if self._folders is not None:
            self._folders.remember()

    def _enter(self, job: JobContext, called: Called) -> None:
        """Say in the environment, also for processes that the UDF starts, what run this is."""
        if job is not self._job or called.attempt > 1:  # files may have been written anew since, or have come
            _forget_far_files()
        if job is not self._job:
            self._job = job
            if job.udf.source:
                self._set(ENV_SOURCE, job.udf.source)
            self._set(ENV_RUN, job.id)
            if job.mount:
                self._set(ENV_MOUNT, job.mount)
            if job.data:
                self._set(ENV_DATA, job.data)
        if self._is_open(called.arguments) or not job.udf.is_loaded:  # else it cannot ask
            self._set(ENV_RUN, f"{job.id}/{called.index}")
            self._set(ENV_ATTEMPT, str(called.attempt))

    def _set(self, name: str, value: str) -> None:
        """Set a variable of the environment, as os.environ does, whose own checks would take twice as long."""
        key, text = os.fsencode(name), os.fsencode(value)
        if self._environ.get(key) != text:
            os.putenv(key, text)
            self._variables._data[key] = self._environ[key] = text  # type: ignore[attr-defined]

    # Output

    def _next_log(self) -> None:
        flags = os.O_CREAT | os.O_RDWR | os.O_APPEND
        try:
            log = os.open(f"{self.folder}/{self.log_number + 1}.log", flags, 0o600)
        except OSError:  # the run has left so many files open that there can be no other
            self.tainted = True
            return
        self.log_number += 1
        previous, self._log = self._log, log
        os.dup2(self._log, 1)
        os.dup2(self._log, 2)
        if previous >= 0:
            os.close(previous)

    def _flush(self) -> None:
        """Bring all output to the file, also where the UDF replaced or closed the streams."""
        ours = self._streams
        if getattr(sys, "stdout", None) is not ours[0] or getattr(sys, "stderr", None) is not ours[1]:
            for stream in (getattr(sys, "stdout", None), getattr(sys, "stderr", None)):
                if stream is not ours[0] and stream is not ours[1]:
                    with suppress(BaseException):  # the UDF's own stream, or none
                        stream.flush()  # type: ignore[union-attr]
            sys.stdout, sys.stderr = ours
        for stream in ours:
            try:
                stream.flush()
            except (OSError, ValueError):  # closed, or still full of what could not be written: the next would print it
                self.tainted = True
        if self._flush_native and self._puts_back:
            self._flush_native()

    def _log_number_if_used(self) -> int | None:
        try:
            used = os.lseek(self._log, 0, os.SEEK_END) > 0  # a third of what fstat takes
        except OSError:  # the run has closed it
            self.tainted = True
            return None
        if not used:
            if self._puts_back:
                os.dup2(self._log, 1)  # the UDF may have closed or redirected them
                os.dup2(self._log, 2)
            return None
        number = self.log_number
        self._next_log()
        return number

    # Afterwards

    def _restore(self) -> None:
        """Undo what the UDF may have changed for whatever runs next in this process."""
        os.environ = self._variables  # noqa: B003  the UDF may have put another mapping in its place
        if os.environ._data != self._environ:  # type: ignore[attr-defined]
            os.environ.clear()
            os.environ.update({os.fsdecode(name): os.fsdecode(value) for name, value in self._environ.items()})
            time.tzset()  # C keeps what it has read of TZ
        if self._interpreter is not None:
            self._interpreter.restore_context()
        if self._folders is not None and not self._folders.empty():
            self.tainted = True
        try:
            moved = os.getcwd() != self._standing
        except FileNotFoundError:  # it removed the folder it stood in
            moved = True
        if moved:
            try:
                os.chdir(self._standing)
            except OSError:  # nor can this process go on there
                self.tainted = True
        sys.argv = self._argv[:]
        sys.path = self._path
        sys.path[:] = self._path_entries


def _forget_far_files() -> None:
    if any(name in sys.modules for name in _REMEMBERING):
        from fanfold.execution.worker.far_files import forget

        forget()


def _standing(otherwise: str) -> str:
    """The folder this process stands in, or another where somebody has removed it."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        os.chdir(otherwise)
        return otherwise
