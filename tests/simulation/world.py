"""One seeded scheduler and a virtual clock: every process of a schedule is a greenlet, and one runs at a time.

What calls AWS or sleeps is put aside until its time comes; which comes first, how long each call takes, and who dies
between which two calls is drawn from the schedule's seed. So a schedule is its seed, and runs again from it.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from greenlet import getcurrent, greenlet

#: Where the virtual clock begins (seconds since 1970), and for how long a schedule may go on.
START_S, LASTS_S = 1_800_000_000.0, 4 * 3600.0
_MOST_TURNS = 60_000
_REAL = SimpleNamespace(time=time.time, monotonic=time.monotonic, sleep=time.sleep)


class Died(BaseException):
    """The process is no more: nothing of it goes on."""


class Stuck(AssertionError):
    """Something waits for ever."""


class Weather:
    """How rough the services are in one schedule, as drawn from its seed: most are calm in most ways."""

    def __init__(self, random_: random.Random) -> None:
        def some(most: float) -> float:
            return random_.random() * most if random_.random() < 0.5 else 0.0

        self.slow = some(0.2)
        self.lost_answers = some(0.05)
        self.outages = some(0.02)
        self.deaths = some(0.4)
        self.interruptions = some(0.3)
        self.twice = some(0.2)
        self.stale = some(0.5)
        self.skew_s = some(20.0)
        self.freezes = some(0.3)
        self.cut_off = some(0.3)


class Process:
    """What dies as one: a client, a function's environment, a machine. It dies before its call number `dies_at`."""

    def __init__(self, name: str, *, dies_at: int | None = None, skew_s: float = 0.0, began: float = 0.0) -> None:
        self.name = name
        self.began = began
        self.skew_s = skew_s
        self.calls = 0
        self.dies_at = dies_at
        self.dead = False
        #: From when until when nothing of it goes on; and when no call of it gets anywhere.
        self.frozen = self.cut_off = (0.0, 0.0)


class World:
    """The scheduler. `note` keeps what happened, for a schedule that is looked at."""

    def __init__(self, seed: int, *, notes_calls: bool = False) -> None:
        """`notes_calls`: keep each call of AWS as well, which is much."""
        self.seed = seed
        self.notes_calls = notes_calls
        self.random = random.Random(seed)
        self.weather = Weather(self.random)
        self.now = START_S
        self.notes: list[str] = []
        self._queue: list[tuple[float, float, int, greenlet, Process]] = []
        self._count = 0
        self._hub = getcurrent()
        self._go_on = self._hub.switch
        self._current = Process("the scheduler")
        self._thread = threading.get_ident()

    # --- for processes -----------------------------------------------------------------------------------------------

    def spawn(self, process: Process, act: Callable[[], Any], *, after_s: float = 0.0) -> None:
        """Let `act` go on beside all others, as a part of `process`."""

        def whole() -> None:
            try:
                if not process.dead:
                    act()
            except Died:
                return

        self._put_aside(greenlet(whole, self._hub), process, after_s)

    def process(self, name: str, *, mortal: bool = True) -> Process:
        """A new process, which dies somewhere if it is to."""
        dies = mortal and self.chance(self.weather.deaths)
        skew_s = self.random.uniform(-1, 1) * self.weather.skew_s
        made = Process(name, dies_at=self.random.randint(1, 30) if dies else None, skew_s=skew_s, began=self.now)
        if mortal:
            made.frozen = self._some_time(self.weather.freezes)
            made.cut_off = self._some_time(self.weather.cut_off)
        return made

    def _some_time(self, share: float) -> tuple[float, float]:
        """From when until when something is so that is so for a while in so many of all cases."""
        if not self.chance(share):
            return 0.0, 0.0
        begins = self.now + self.random.uniform(0.0, 30.0)
        return begins, begins + self.random.uniform(1.0, 90.0)

    def sleep(self, seconds: float) -> None:
        """Put the current process aside for so long."""
        process = self._current
        if process.dead:
            raise Died
        self._put_aside(getcurrent(), process, seconds if seconds > 0.0 else 0.0)
        self._go_on()
        if process.dead:
            raise Died

    def call(self) -> None:
        """Note that the current process is about to call a service, which may be the moment of its death."""
        process = self._current
        process.calls += 1
        if process.dead or process.calls == process.dies_at:
            self.end(process, "dies")
        self.sleep(self._latency_s())

    def is_cut_off(self) -> bool:
        """Whether the current process's network is away; takes as long as it takes to be sure of that."""
        since, until = self._current.cut_off
        if not since <= self.now < until:
            return False
        self.sleep(self.random.uniform(1.0, 10.0))
        return True

    def end(self, process: Process, how: str = "ends") -> None:
        """End a process with all that goes on in it; raises `Died` where it is the current one."""
        self.note(f"{process.name} {how}")
        process.dead = True
        if process is self._current:
            raise Died

    def chance(self, share: float) -> bool:
        """True in so many of all cases."""
        return share > 0 and self.random.random() < share

    def note(self, text: str) -> None:
        """Something happened."""
        self.notes.append(f"{self.now - START_S:9.3f} {text}")

    # --- the scheduler -----------------------------------------------------------------------------------------------

    def run(self, until: Callable[[], bool]) -> None:
        """Let everything go on until `until` holds. Raises `Stuck` where it never does."""
        turns, queue = 0, self._queue
        while not until():
            turns += 1
            if not queue or self.now > START_S + LASTS_S or turns > _MOST_TURNS:
                raise Stuck(f"after {self.now - START_S:.0f} s and {turns} turns it still waits")
            self.now, _, _, one, process = heapq.heappop(queue)
            since, until_s = process.frozen
            if since <= self.now < until_s:
                self._put_aside(one, process, until_s - self.now)
                continue
            self._current = process
            one.switch()

    def close(self) -> None:
        """End whatever still goes on."""
        while self._queue:
            *_, one, process = heapq.heappop(self._queue)
            process.dead, self._current = True, process
            if one:
                one.throw(Died)

    def _put_aside(self, one: greenlet, process: Process, seconds: float) -> None:
        self._count += 1
        heapq.heappush(self._queue, (self.now + seconds, self.random.random(), self._count, one, process))

    def _latency_s(self) -> float:
        if self.chance(self.weather.slow):
            return self.random.uniform(0.1, 4.0)
        return self.random.uniform(0.001, 0.05)

    @contextmanager
    def clock(self) -> Iterator[None]:
        """Within, Python's time is this world's; other threads keep theirs."""

        def ours(virtual: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
            def tell(*given: Any) -> Any:
                return (virtual if threading.get_ident() == self._thread else real)(*given)

            return tell

        time.time = ours(lambda: self.now + self._current.skew_s, _REAL.time)
        time.monotonic = ours(lambda: self.now, _REAL.monotonic)
        time.sleep = ours(self.sleep, _REAL.sleep)
        try:
            yield
        finally:
            time.time, time.monotonic, time.sleep = _REAL.time, _REAL.monotonic, _REAL.sleep


class Flag:
    """A `threading.Event` of this world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._is_set = False

    def set(self) -> None:
        """Set it."""
        self._is_set = True

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def wait(self, timeout: float) -> bool:
        """Wait until it is set; False after `timeout` seconds."""
        ends = self._world.now + timeout
        while not self._is_set and self._world.now < ends:
            self._world.sleep(min(5.0, max(0.001, ends - self._world.now)))
        return self._is_set


class Turn:
    """A `threading.Lock` of this world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._taken = False

    def __enter__(self) -> None:
        while self._taken:
            self._world.sleep(0.05)
        self._taken = True

    def __exit__(self, *_: object) -> None:
        self._taken = False


class Part:
    """A `threading.Thread` of this world: what goes on beside the rest of a process, and dies with it."""

    def __init__(self, world: World, process: Process, act: Callable[[], Any]) -> None:
        self._world, self._process, self._act = world, process, act

    def start(self) -> None:
        """Let it go on."""
        self._world.spawn(self._process, self._act)

    def is_alive(self) -> bool:
        """Whether its process lives: who has ended is asked for no more."""
        return not self._process.dead
