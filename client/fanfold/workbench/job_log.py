"""What a job has printed, whole: its lines in a file of the server's, with an index that is searched and paged.

A job may print a million lines. Their text stands in a temporary file; what is held in memory is some 5 bytes a line,
and some 30 for each piece of output.
"""

from __future__ import annotations

import os
import re
import tempfile
import threading
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import groupby

from fanfold.contract.records import NamedTuple
from fanfold.job.plain_text import plain

_ERROR = re.compile(r"\b(?:error|exception|traceback|critical|fatal)\b|^\w*(?:Error|Exception)\b", re.IGNORECASE)
_WARNING = re.compile(r"\bwarn(?:ing)?\b|^\w*Warning\b", re.IGNORECASE)
#: What every line holds that one of the two above finds.
_SERIOUS = (b"error", b"exception", b"traceback", b"critical", b"fatal", b"warn")
#: The bytes that only steer a terminal.
_STEERING = bytes([*range(9), *range(11, 32), 127])
_STEERING_OF_8_BITS = re.compile(rb"\xc2[\x80-\x9f]")
LEVELS = ("", "warning", "error")
_ERROR_LEVEL = 2
#: Characters of a line that are shown; the search and the download have all.
_SHOWN = 10_000
#: Characters of each line that are shown also where thousands of long ones are asked for together.
_LEAST_SHOWN = 200
_CUT = " … (cut here; Download has it whole)"
_MOST_IN_4_BYTES = 1 << 32
#: Bytes of lines that are read together.
_STRETCH_BYTES = 8 << 20
#: Characters of output that are taken apart together: it takes some times their memory, and the pages wait meanwhile.
_WRITTEN_TOGETHER = 1 << 19
#: Bytes searched at a time: other threads, and with them the pages, go on between two parts.
_PART = 1 << 18
#: Seconds that counting all hits may take; the next hit is found however long it takes.
_COUNT_S = 0.3

#: Where some words stand in bytes, from a place on; -1 where they do not.
_Find = Callable[[bytes, int], int]


class LogLine(NamedTuple):
    """One line that a run printed: its place in the view, the run, its attempt (from 0), when, and how serious."""

    place: int
    run: int
    attempt: int
    at: float
    level: str
    text: str


class Hit(NamedTuple):
    """Where the next hit is (None: there is none), how many there are, and whether that count is the whole one."""

    place: int | None
    count: int  # type: ignore[assignment]
    counted_all: bool = True


class _Places:
    """The numbers that one run's lines have among all lines: mostly long stretches that follow each other."""

    def __init__(self) -> None:
        #: Of each stretch, the place of its first line among the run's lines, and its number among all.
        self._places, self._numbers = array("I"), array("I")
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, number: int, count: int) -> None:
        """So many more lines, the first of that number."""
        if not self._count or number != self[self._count - 1] + 1:
            self._places.append(self._count)
            self._numbers.append(number)
        self._count += count

    def __getitem__(self, place: int) -> int:
        if not 0 <= place < self._count:
            raise IndexError(place)
        at = bisect_right(self._places, place) - 1
        return self._numbers[at] + place - self._places[at]

    def __iter__(self) -> Iterator[int]:
        ends = [*self._places, self._count][1:]
        for place, number, end in zip(self._places, self._numbers, ends, strict=True):
            yield from range(number, number + end - place)

    def place_of(self, number: int) -> int:
        """The place of the line of that number; of another run's, that of the run's last line before it, or -1."""
        at = bisect_right(self._numbers, number) - 1
        if at < 0:
            return -1
        end = self._places[at + 1] if at + 1 < len(self._places) else self._count
        return min(self._places[at] + number - self._numbers[at], end - 1)

    def __contains__(self, number: int) -> bool:
        place = self.place_of(number)
        return place >= 0 and self[place] == number


_NO_PLACES = _Places()


class JobLog:
    """Every line, in the order in which they were read. Any thread may ask; one at a time adds."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="fanfold-log-")  # noqa: SIM115  it is open as long as this is
        self._lock = threading.Lock()
        #: Where each line starts in the file, and after the last where the next will; of 4 GB and more in 8 bytes.
        self._offsets = array("I", [0])
        self._levels = bytearray()
        #: Of each stretch of lines that came together: the number of the first, the run, its attempt, and when.
        self._firsts, self._runs, self._attempts, self._times = array("I"), array("I"), array("H"), array("d")
        self._of_run: dict[int, _Places] = {}
        #: The begun last line of each run: pieces of output meet anywhere in a line.
        self._begun: dict[tuple[int, int], tuple[float, str]] = {}

    def close(self) -> None:
        """Give the file back; nothing may be asked after that."""
        self._file.close()

    def __len__(self) -> int:
        return len(self._levels)

    def count(self, run: int | None = None) -> int:
        """How many lines there are, of all runs or of one."""
        return len(self) if run is None else len(self._of_run.get(run, _NO_PLACES))

    def add(self, pieces: Iterable[tuple[int, int, float, str]]) -> None:
        """Add pieces of output, each (run, attempt, when, text), as whole lines."""
        lines: list[tuple[int, int, float, str]] = []
        size = 0
        for run, attempt, at, piece in pieces:
            if size > _WRITTEN_TOGETHER:
                self._write(lines)
                lines, size = [], 0
            size += len(piece)
            begun_at, begun = self._begun.pop((run, attempt), (at, ""))
            *whole, rest = (begun + piece).replace("\r\n", "\n").split("\n")
            lines += [(run, attempt, begun_at if number == 0 else at, line) for number, line in enumerate(whole)]
            if rest:
                self._begun[run, attempt] = (begun_at if not whole else at, _as_on_a_terminal(rest))
        self._write(lines)

    def end(self, is_over: Iterable[int] | None = None) -> None:
        """The lines that these runs (None: all) have begun are whole: nothing more will come."""
        over = None if is_over is None else set(is_over)
        ended = [key for key in self._begun if over is None or key[0] in over]
        self._write([(*key, *self._begun.pop(key)) for key in ended])

    def begun(self, run: int) -> str:
        """The line that a run has begun, as a prompt or a progress bar; empty where there is none."""
        return "\n".join(plain(text) for (owner, _), (_, text) in list(self._begun.items()) if owner == run)

    def lines(self, start: int, stop: int, run: int | None = None) -> list[LogLine]:
        """The lines from `start` to before `stop`, counted among all lines or those of one run."""
        with self._lock:
            if run is None:
                return self._stretch(max(0, start), min(stop, len(self)))
            numbers = self._of_run.get(run, _NO_PLACES)
            wanted = [(place, numbers[place]) for place in range(max(0, start), min(stop, len(numbers)))]
            return [self._line(place, number) for place, number in wanted]

    def _stretch(self, first: int, stop: int) -> list[LogLine]:
        """Lines that stand behind each other in the file, read together."""
        if first >= stop:
            return []
        offsets = self._offsets
        begin = offsets[first]
        if offsets[stop] - begin > _STRETCH_BYTES:  # one of them is very long
            return [self._line(number, number) for number in range(first, stop)]
        data = os.pread(self._file.fileno(), offsets[stop] - begin, begin)
        parts = (data[offsets[number] - begin : offsets[number + 1] - begin - 1] for number in range(first, stop))
        return [self._as_line(number, number, part) for number, part in enumerate(parts, first)]

    def text(self, run: int | None = None) -> Iterator[bytes]:
        """All lines as a file, each behind its run and time, in parts; long ones whole."""
        numbers = None if run is None else self._of_run.get(run, _NO_PLACES)
        for start in range(0, self.count(run), 2_000):
            for line in self.lines(start, start + 2_000, run):
                number = line.place if numbers is None else numbers[line.place]
                begin, end = self._offsets[number], self._offsets[number + 1] - 1
                yield _as_text(line if end - begin <= _SHOWN else line._replace(text=self._whole(begin, end)))

    def _whole(self, begin: int, end: int) -> str:
        return os.pread(self._file.fileno(), end - begin, begin).decode("utf-8", "replace")

    def next_error(self, after: int, run: int | None = None) -> Hit:
        """The first line after place `after` that looks like an error; from the start where there is none after it."""
        if run is None:
            mark = bytes([_ERROR_LEVEL])
            at = self._levels.find(mark, after + 1)
            at = at if at >= 0 else self._levels.find(mark)
            return Hit(at if at >= 0 else None, self._levels.count(mark))
        places = [place for place, n in enumerate(self._of_run.get(run, _NO_PLACES)) if self._levels[n] == _ERROR_LEVEL]
        return Hit(next((one for one in places if one > after), places[0] if places else None), len(places))

    def next_hit(self, words: str, after: int, run: int | None = None) -> Hit:
        """The first line after place `after` that holds these words, whatever their case, and how many there are."""
        find = _finder(words)
        numbers = None if run is None else self._of_run.get(run, _NO_PLACES)
        count = len(self) if numbers is None else len(numbers)
        after = after if after < count else -1  # of a log that was longer, before the server came back
        first = after + 1 if numbers is None else (numbers[after + 1] if after + 1 < count else len(self))
        found, count, began = None, 0, time.monotonic()
        for number in self._around(find, first, numbers):
            found = number if found is None else found
            count += 1
            if count % 500 == 0 and time.monotonic() - began > _COUNT_S:
                return Hit(_place(found, numbers), count, counted_all=False)
        return Hit(None if found is None else _place(found, numbers), count)

    def _around(self, find: _Find, first: int, numbers: _Places | None) -> Iterator[int]:
        """The hits from `first` to the end, and then those before it: what comes next, and all there are, in one go."""
        yield from self._hits(find, first, len(self), numbers)
        yield from self._hits(find, 0, first, numbers)

    def _hits(self, find: _Find, first: int, stop: int, numbers: _Places | None) -> Iterator[int]:
        """The numbers of the lines from `first` to before `stop` that match, one part of the file at a time."""
        offsets = self._offsets
        while first < stop:
            last = min(stop, max(first + 1, bisect_right(offsets, offsets[first] + _PART) - 1))
            start = offsets[first]
            part = os.pread(self._file.fileno(), offsets[last] - start, start).lower()
            at = find(part, 0)
            while at >= 0:
                number = bisect_right(offsets, start + at, first, last + 1) - 1
                if numbers is None or number in numbers:
                    yield number
                at = find(part, offsets[number + 1] - start)
            first = last

    def _write(self, lines: list[tuple[int, int, float, str]]) -> None:
        if not lines:
            return
        data = _plain_bytes([line for *_, line in lines])
        ends = _line_ends(data)
        levels = _levels(data, ends)
        with self._lock:
            self._file.seek(0, os.SEEK_END)
            self._file.write(data)
            self._file.flush()  # it is read past this buffer
            self._note_stretches(lines)
            begin = self._offsets[-1]
            if begin + len(data) >= _MOST_IN_4_BYTES and self._offsets.typecode == "I":
                self._offsets = array("Q", self._offsets)
            self._offsets.extend([begin + end + 1 for end in ends])
            self._levels += levels

    def _note_stretches(self, lines: list[tuple[int, int, float, str]]) -> None:
        """Note whose the lines are that come next: those that follow each other of the same run and time together."""
        number = len(self)
        for (run, attempt, at), same in groupby(lines, key=lambda line: line[:3]):
            count = sum(1 for _ in same)
            self._firsts.append(number)
            self._runs.append(run)
            self._attempts.append(min(attempt, 65_535))
            self._times.append(at)
            self._of_run.setdefault(run, _Places()).add(number, count)
            number += count

    def _line(self, place: int, number: int) -> LogLine:
        start, end = self._offsets[number], self._offsets[number + 1] - 1
        return self._as_line(place, number, os.pread(self._file.fileno(), min(end - start, 4 * _SHOWN), start))

    def _as_line(self, place: int, number: int, data: bytes) -> LogLine:
        shown = data[: 4 * _SHOWN].decode("utf-8", "replace")
        if len(shown) > _SHOWN:
            size = self._offsets[number + 1] - 1 - self._offsets[number]
            shown = f"{shown[:_SHOWN]} … ({size:,} bytes in this line)"
        level, of = LEVELS[self._levels[number]], bisect_right(self._firsts, number) - 1
        return LogLine(place, self._runs[of], self._attempts[of], self._times[of], level, shown)


def last_of(lines: list[LogLine], characters: int) -> list[LogLine]:
    """The last of these lines, as many as have so many characters together; the last one in any case."""
    for place in range(len(lines) - 1, 0, -1):
        characters -= len(lines[place].text)
        if characters < len(lines[place - 1].text):
            return lines[place:]
    return lines


def cut(lines: list[LogLine], characters: int) -> list[LogLine]:
    """These lines with so many characters together, and some more: where they have more, the long ones are cut."""
    if sum(len(line.text) for line in lines) <= characters:
        return lines
    most = max(_LEAST_SHOWN, characters // len(lines))
    return [line if len(line.text) <= most else line._replace(text=line.text[:most] + _CUT) for line in lines]


def _finder(words: str) -> _Find:
    """Finds these words, whatever their case, in bytes whose ASCII letters are small; -1 where they are not.

    Beyond ASCII each letter is looked for as any of those that differ from it by their case alone.
    """
    if words.isascii():
        wanted = words.lower().encode()
        return lambda part, start: part.find(wanted, start)
    either = (b"|".join(sorted(re.escape(same.encode("utf-8", "replace")) for same in _same(one))) for one in words)
    pattern = re.compile(b"".join(b"(?:" + one + b")" for one in either))

    def find(part: bytes, start: int) -> int:
        found = pattern.search(part, start)
        return found.start() if found else -1

    return find


def _same(letter: str) -> set[str]:
    """The letters that differ from this one by their case alone, as small as ASCII has them."""
    return {one.lower() if one.isascii() else one for one in _cases().get(letter.casefold(), ())} | {letter.casefold()}


@cache
def _cases() -> dict[str, list[str]]:
    """All letters of each case folded, some 3,000: no table of Python's leads that way."""
    cases: dict[str, list[str]] = {}
    for letter in map(chr, range(0x80, 0x1E944)):  # the last that have a case, Adlam's, end there
        if (folded := letter.casefold()) != letter:
            cases.setdefault(folded, [folded]).append(letter)
    return cases


def _as_on_a_terminal(begun: str) -> str:
    """What stands on a terminal of a begun line: a progress bar goes back to its start for hours."""
    return begun[begun.rstrip("\r").rfind("\r") + 1 :]


def _plain_bytes(lines: list[str]) -> bytes:
    """The lines as they are kept, each with its end; most hold nothing that would steer a terminal."""
    data = "\n".join(lines).encode("utf-8", "replace")
    if len(data.translate(None, _STEERING)) != len(data) or _STEERING_OF_8_BITS.search(data):
        data = "\n".join(map(plain, lines)).encode("utf-8", "replace")
    return data + b"\n"


def _line_ends(data: bytes) -> list[int]:
    """Where each line ends."""
    ends, at = [], data.find(b"\n")
    while at >= 0:
        ends.append(at)
        at = data.find(b"\n", at + 1)
    return ends


def _levels(data: bytes, ends: list[int]) -> bytearray:
    """How serious each line is: only those are looked at closely that hold one of the words."""
    levels, lower = bytearray(len(ends)), data.lower()
    for word in _SERIOUS:
        at = lower.find(word)
        while at >= 0:
            number = bisect_left(ends, at)
            if not levels[number]:
                begin = ends[number - 1] + 1 if number else 0
                levels[number] = _level(data[begin : ends[number]].decode("utf-8", "replace"))
            at = lower.find(word, ends[number])
    return levels


def _level(line: str) -> int:
    if _ERROR.search(line):
        return _ERROR_LEVEL
    return 1 if _WARNING.search(line) else 0


def _as_text(line: LogLine) -> bytes:
    at = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(line.at))
    attempt = f", attempt {line.attempt + 1}" if line.attempt else ""
    return f"{at} [{line.run}{attempt}] {line.text}\n".encode()


def _place(number: int, numbers: _Places | None) -> int:
    return number if numbers is None else numbers.place_of(number)
