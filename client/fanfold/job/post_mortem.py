"""A failed run, called again in this process with its own code and arguments: where it fails, and on what values."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from reprlib import Repr
from types import TracebackType
from typing import TYPE_CHECKING, Any

from fanfold.contract.records import NamedTuple
from fanfold.core.models import BAD, RunError, RunStatus
from fanfold.core.options import check_flags
from fanfold.errors import InputError
from fanfold.job.rerun import Rerun, check_survivable, environment_of
from fanfold.source.load import is_loaded_source, unload

if TYPE_CHECKING:
    from fanfold.job import Job

#: Characters of one value that are shown; values of one frame that are shown.
_VALUE_CHARACTERS, _VALUES = 500, 60
_OWN_CODE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class FailedFrame(NamedTuple):
    """One frame of the traceback: its line, and what its names stood for, as text.

    `own` where the code is the UDF's or of its project, and not a library's.
    """

    file: str
    line: int
    function: str
    code: str
    own: bool
    values: dict[str, str]


class PostMortem:
    """What came of a failed run that was called again here: `frames` down to the failure, or `value` where it passed.

    `recorded` is why it failed where it ran. Values are shortened, and secrets among them masked.
    """

    def __init__(self, job_id: str, index: int, recorded: RunError, *, value: Any = None) -> None:
        self.job_id = job_id
        self.index = index
        self.recorded = recorded
        self.value = value
        self._mask = Mask()
        self.error: BaseException | None = None
        self.error_type = self.message = ""
        self.frames: tuple[FailedFrame, ...] = ()

    @property
    def recorded_text(self) -> str:
        """Why it failed where it ran, in a line or a few."""
        return f"{self.recorded.type}: {self._mask.text(self.recorded.message)}"

    @property
    def same(self) -> bool:
        """True where it failed here with the exception that it failed with there."""
        return self.error is not None and self.error_type == self.recorded.type

    @property
    def failing(self) -> FailedFrame | None:
        """The last frame of the user's own code, or the last of all; None where it did not fail."""
        frames = [frame for frame in self.frames if frame.own] or self.frames
        return frames[-1] if frames else None

    def pdb(self) -> None:
        """Open the debugger where it failed. What it shows is neither shortened nor masked."""
        import pdb

        if self.error is not None and self.error.__traceback__ is not None:
            pdb.post_mortem(_innermost(self.error.__traceback__))

    def _fail(self, error: BaseException) -> None:
        kind, mask = type(error), self._mask
        self.error = error
        self.error_type = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
        steps = list(_steps(error.__traceback__))
        for step in steps:
            mask.learn(step.tb_frame.f_locals)
        self.frames = tuple(_frame(step, mask) for step in steps)
        self.message = mask.text(_message(error))

    def __repr__(self) -> str:
        lines = [f"Run {self.index} of job {self.job_id} failed:", f"  {self.recorded_text}"]
        if self.error is None:
            lines.append(f"Called again here it does not fail: it gives {_Shortened().repr(self.value)}")
            lines.append("Its environment differs then: packages, files, or the time.")
            return "\n".join(lines)
        how = "the same way" if self.same else "another way"
        lines += [f"Called again here it fails {how}:", ""]
        for frame in self.frames:
            lines += [f'  File "{frame.file}", line {frame.line}, in {frame.function}', f"    {frame.code}"]
        lines.append(f"{self.error_type}: {self.message}")
        if self.failing is not None:
            lines.append(f"Values in {self.failing.function}, line {self.failing.line}:")
            lines += [f"  {name} = {text}" for name, text in self.failing.values.items()]
        return "\n".join(lines)

    __str__ = __repr__


def debug_run(job: Job, index: int, *, pdb: bool | None = None) -> PostMortem:
    """Call a failed run again, in this process. Raises `InputError` where it has not failed or would end the process.

    `pdb` None opens the debugger on a terminal only.
    """
    check_flags(pdb=pdb is not None and pdb)
    recorded = _recorded(job, index)
    found = PostMortem(job.id, index, recorded)
    try:
        with environment_of(job, index):
            call = Rerun(job, index, found._mask.add)
            try:
                found.value = call()
            except KeyboardInterrupt:
                if recorded.type != "KeyboardInterrupt":
                    raise
                found._fail(KeyboardInterrupt())
            except BaseException as error:  # noqa: BLE001  the user's own code
                found._fail(error)
        if found.error is not None and (_at_terminal() if pdb is None else pdb):
            sys.stderr.write(f"{found}\n")
            found.pdb()
    finally:
        unload()
    return found


def _recorded(job: Job, index: int) -> RunError:
    """Why the run failed. Raises `InputError` where calling it again here tells nothing, or does harm."""
    status, error = job.state.status_of(index), job.state.error(index)
    shown = status.value.replace("_", " ")
    if status not in BAD or status is RunStatus.CANCELLED or error is None:
        raise InputError(
            f"Run {index} of job {job.id} has not failed: it is {shown}.",
            next_step=f"`job.errors()` has those that failed; `fanfold.run(udf, **job[{index}].input)` runs this one.",
        )
    check_survivable(job, index, error)
    return error


def _at_terminal() -> bool:
    return all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout))


# What stands in the frames, as text that may be shown to others.


def _steps(traceback: TracebackType | None) -> Iterator[TracebackType]:
    """The steps of a traceback that are not Fanfold's own."""
    while traceback is not None:
        if not traceback.tb_frame.f_code.co_filename.startswith(_OWN_CODE):
            yield traceback
        traceback = traceback.tb_next


def _innermost(traceback: TracebackType) -> TracebackType:
    """From where the debugger starts: the user's own last step, for it begins at a traceback's end."""
    own = [step for step in _steps(traceback) if is_loaded_source(step.tb_frame.f_code.co_filename)]
    if own:
        own[-1].tb_next = None
    return own[0] if own else traceback


def _frame(step: TracebackType, mask: Mask) -> FailedFrame:
    import linecache

    code, shortened = step.tb_frame.f_code, _Shortened()
    values = {}
    for name, value in list(step.tb_frame.f_locals.items())[:_VALUES]:
        values[name] = _MASKED if mask.hides(name, value) else mask.text(shortened.repr(value))
    line = linecache.getline(code.co_filename, step.tb_lineno).strip()
    own = is_loaded_source(code.co_filename)
    return FailedFrame(code.co_filename, step.tb_lineno, code.co_name, mask.text(line), own, values)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException as second:  # noqa: BLE001  the user's own __str__
        return f"<its message could not be read: {type(second).__name__}>"


class _Shortened(Repr):
    """Values as text of a bounded length, however large they are and whatever their own `repr` does."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxother = 4, _VALUE_CHARACTERS, _VALUE_CHARACTERS
        self.maxlist = self.maxtuple = self.maxdict = self.maxset = self.maxfrozenset = 20

    def repr1(self, x: Any, level: int) -> str:
        """The value's text, its own `repr` or why that cannot be had."""
        if isinstance(x, (bytes, bytearray)) and len(x) > _VALUE_CHARACTERS:
            return f"{bytes(x[:40])!r}... ({len(x):,} bytes)"
        try:
            text = super().repr1(x, level)
        except Exception as error:  # noqa: BLE001  the user's own __repr__
            return f"<{type(x).__name__} whose repr raises {type(error).__name__}>"
        return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}... ({len(text):,} characters)"


_MASKED = "<masked>"
_CONFIDENTIAL = r"passw|passphrase|secret|token|api_?key|access_?key|private_?key|credential|authorization|cookie"
_NAMES_A_SECRET = re.compile(_CONFIDENTIAL, re.IGNORECASE)
_SECRET_TEXTS = (
    re.compile(rf"(?i)((?:{_CONFIDENTIAL})\w*['\"]?\s*[:=]\s*)(?:b?'[^']*'|b?\"[^\"]*\"|[^\s,;)}}]+)"),
    re.compile(r"(?i)(\bbearer\s+)\S+"),
    re.compile(r"(://[^/\s:@]*:)[^@\s/]+(?=@)"),
    re.compile(r"()\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
)
#: Anything shorter stands in too much other text to be masked wherever it is found.
_SHORTEST_SECRET = 6


class Mask:
    """Hides secrets: what is called so, what the environment calls so, and both wherever else they stand."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self.learn(os.environ)

    def add(self, secrets: Iterable[str]) -> None:
        """Note values that are secrets, whatever they are called."""
        self._secrets.update(secrets)

    def learn(self, names: Any) -> None:
        """Note the values that are called secrets among these, and one mapping further down."""
        for name, value in list(names.items()):
            if isinstance(value, dict):
                self._note_all(value)
            self._note(name, value)

    def _note_all(self, values: dict[Any, Any]) -> None:
        for name, value in list(values.items()):
            self._note(name, value)

    def _note(self, name: Any, value: Any) -> None:
        if not (isinstance(name, str) and _NAMES_A_SECRET.search(name)):
            return
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
        if isinstance(text, str) and len(text) >= _SHORTEST_SECRET:
            self._secrets.add(text)

    def hides(self, name: str, value: Any) -> bool:
        """Whether a value is hidden for its name; a number that counts tokens is not."""
        return bool(_NAMES_A_SECRET.search(name)) and not isinstance(value, (int, float, type(None)))

    def text(self, text: str) -> str:
        """The text without the secrets in it."""
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, _MASKED)
        for pattern in _SECRET_TEXTS:
            text = pattern.sub(rf"\g<1>{_MASKED}", text)
        return text
