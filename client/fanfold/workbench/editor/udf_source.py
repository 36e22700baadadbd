"""The UDFs of a file as its text tells of them: it is parsed and never executed, for looking must start nothing.

What a text does not tell (an instance type that is computed, say) is found out by the process that runs it.
"""

from __future__ import annotations

import ast
import difflib
import os
import re
import threading
from codecs import BOM_UTF8
from collections.abc import Iterator, Sequence
from hashlib import sha256
from io import FileIO
from pathlib import Path
from typing import Any

from fanfold.contract.records import NamedTuple
from fanfold.errors import InputError
from fanfold.source.texts import tree_of
from fanfold.workbench.editor.fields import Field, field_of

# The UDF files of a folder: which there are, and their text.

_MOST_FILES = 500
#: Folders that hold other people's code.
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "venv"}


def files_in(folder: Path) -> list[str]:
    """The Python files in a folder and below it, as paths from there, a folder's own before those below."""
    found: list[str] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(one for one in folders if not _is_skipped(one))  # and so never walked
        inside = Path(parent).relative_to(folder)
        found += [(inside / one).as_posix() for one in sorted(files) if one.endswith(".py") and not one.startswith(".")]
        if len(found) >= _MOST_FILES:
            break
    return found[:_MOST_FILES]


def _is_skipped(name: str) -> bool:
    return name.startswith(".") or name in _SKIPPED


class UdfFile:
    """A file and the text it had when it was last read or written here."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.path = folder / name
        if not self._is_one_of_the_list():  # no way out of the folder
            raise InputError(f"There is no file {name} in {folder}.", next_step="choose one of the list.")
        #: A look that comes while it is written must not see half of it.
        self._lock = threading.Lock()
        self._stamp = self._stamp_now()
        #: What the file begins with and how its lines end, where that is not as in the editor.
        self._begin, self._ends = b"", "\n"
        self.text = self._read()

    def save(self, text: str) -> bool:
        """Write another text; False where it is the same.

        Raises `InputError` where the file has changed meanwhile, or cannot be written: then it is as it was.
        """
        with self._lock:
            if self._read() != self.text:
                raise InputError(f"{self.name} has been changed elsewhere.", next_step="choose which text to keep.")
            if text == self.text:
                return False
            self._write(text)
            self.text = text
            self._stamp = self._stamp_now()
            return True

    def is_gone(self) -> bool:
        """Whether there is no such file any more."""
        return not self.path.exists()

    def write_anew(self, text: str) -> None:
        """Make the file again, which is gone, with this text. Raises `InputError` where that cannot be."""
        with self._lock:
            try:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self.path.open("xb").close()
            except OSError as error:
                reason = error.strerror or error
                raise InputError(
                    f"{self.name} cannot be written anew: {reason}.", next_step="look at the file's folder."
                ) from error
            self._write(text)
            self.text = text
            self._stamp = self._stamp_now()

    def _write(self, text: str) -> None:
        try:
            data = self._begin + text.replace("\n", self._ends).encode("utf-8")
        except UnicodeEncodeError as error:
            line = text.count("\n", 0, error.start) + 1
            raise InputError(
                f"{self.name} has half of a character in line {line}.", next_step="write that character anew."
            ) from None
        try:
            _replace(self.path, data)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(
                f"{self.name} cannot be saved: {reason}.", next_step="look at the file's folder."
            ) from error

    def changed_on_disk(self) -> str | None:
        """The text that the disk holds, where it is another than `text`; None where it is the same.

        Raises `InputError` where it cannot be read.
        """
        with self._lock:
            stamp = self._stamp_now()
            if stamp == self._stamp:
                return None
            disk = self._read()
            if disk != self.text:
                return disk
            self._stamp = stamp
            return None

    def _stamp_now(self) -> tuple[int, int, int]:
        """What tells cheaply that a file may have changed: an editor may keep its size, git its time."""
        try:
            found = self.path.stat()
        except OSError as error:
            raise _unreadable(self.name, error) from error
        return found.st_mtime_ns, found.st_size, found.st_ino

    def is_same(self, other: UdfFile) -> bool:
        """Whether both are of one file, and it had the same text."""
        return (self.name, self.text) == (other.name, other.text)

    def _is_one_of_the_list(self) -> bool:
        parts = Path(self.name).parts
        inside = not Path(self.name).is_absolute() and not any(map(_is_skipped, parts))  # ".." is skipped as well
        return inside and self.path.suffix == ".py" and self.path.is_file()

    def _read(self) -> str:
        try:
            data = self.path.read_bytes()
            text = as_in_the_editor(data)
        except (OSError, UnicodeError) as error:
            raise _unreadable(self.name, error) from error
        self._begin = BOM_UTF8 if data.startswith(BOM_UTF8) else b""
        self._ends = "\r\n" if b"\r\n" in data and data.count(b"\r\n") == data.count(b"\n") else "\n"
        return text


def as_in_the_editor(data: bytes, errors: str = "strict") -> str:
    """The text of a file: its lines end in one way, and the mark that Windows puts before it is none of its characters.

    Raises `UnicodeError` for other bytes than UTF-8's, unless `errors` says otherwise.
    """
    return data.decode("utf-8-sig", errors).replace("\r\n", "\n")


def _replace(path: Path, data: bytes) -> None:
    """Put another content into a file, which stays the same one; where that fails, as on a full disk, the old one."""
    with path.open("r+b", buffering=0) as file:
        before = file.read()
        try:
            _write_over(file, data)
        except OSError:
            _write_over(file, before)  # the room that it had is still its own
            raise


def _write_over(file: FileIO, data: bytes) -> None:
    file.seek(0)
    left = memoryview(data)
    while left:
        left = left[file.write(left) :]
    file.truncate()


def digest(text: str) -> str:
    """What names a text: a draft says by it which text it was typed over, an order which text is to run."""
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def difference(disk: str, mine: str) -> str:
    """What differs, as `diff -u` writes it, as far as it can be read at a glance."""
    lines = list(difflib.unified_diff(disk.splitlines(), mine.splitlines(), "on disk", "here", lineterm="", n=2))
    return "\n".join([*lines[:200], *([f"… {len(lines) - 200:,} more lines"] if len(lines) > 200 else [])])


def _unreadable(name: str, error: Exception) -> InputError:
    if isinstance(error, UnicodeDecodeError):
        return InputError(f"{name} cannot be read: it is not written in UTF-8.", next_step="save it as UTF-8.")
    reason = getattr(error, "strerror", None) or error
    return InputError(f"{name} cannot be read: {reason}.", next_step="look at the file.")


def new_file(folder: Path, name: str) -> str:
    """Make a file with an example of a UDF, and return its name. Raises `InputError` where that cannot be."""
    name = name.strip() if name.strip().endswith(".py") else f"{name.strip()}.py"
    parts = Path(name).parts
    if name == ".py" or Path(name).is_absolute() or any(map(_is_skipped, parts)):
        raise InputError(f"{name} cannot be the name of a file here.", next_step="give a name such as flights.py.")
    path = folder / name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _make(path, _NEW)
    except FileExistsError:
        raise InputError(f"{name} exists already.", next_step="choose it from the list.") from None
    except OSError as error:
        reason = error.strerror or error
        raise InputError(
            f"{name} cannot be made: {reason}.", next_step="look at the folder, or give another name."
        ) from error
    return name


def _make(path: Path, text: str) -> None:
    """Write a file that is not there yet, or none: where the disk has no room, half of it would be in the way."""
    with path.open("x", encoding="utf-8") as file:
        try:
            file.write(text)
            file.flush()
        except OSError:
            path.unlink(missing_ok=True)
            raise


_NEW = """import fanfold


@fanfold.udf
def hello(name: str = "world"):
    return f"hello {name}"
"""
_NAMED_LINE = re.compile(r"not Python, line (\d+)")


def error_line(words: str, file: str) -> int:
    """The last line of this file that an error's words name; 0 where they name none."""
    found = _NAMED_LINE.findall(words) or re.findall(rf'File "(?:[^"\n]*/)?{re.escape(file)}", line (\d+)', words)
    return int(found[-1]) if file and found else 0


Function = ast.FunctionDef | ast.AsyncFunctionDef


class FoundUdf(NamedTuple):
    """A UDF's name, its parameters as fields of a form, and the machine it asks for (None: realtime, or computed)."""

    name: str
    fields: tuple[Field, ...]
    instance_type: str | None
    #: Whether it is a function without @fanfold.udf, which runs with the options that the decorator has by itself.
    is_plain: bool = False


def offered_in(text: str, file: str) -> dict[str, FoundUdf]:
    """What of a text can be run: its UDFs, or where it has none its plain functions. Raises `InputError`."""
    read = _UdfsOfText(_tree_of(text, file))
    return read.found or read.plain


def udfs_in(text: str, file: str) -> dict[str, FoundUdf]:
    """The UDFs that a text defines in its own namespace, by name. Raises `InputError` where it is not Python."""
    return _UdfsOfText(_tree_of(text, file)).found


def _tree_of(text: str, file: str) -> ast.Module:
    tree: ast.Module
    try:
        tree = tree_of(text, file)
    except SyntaxError as error:
        line = f", line {error.lineno}" if error.lineno else ""
        raise InputError(f"{file} is not Python{line}: {error.msg}.", next_step="fix it, then run again.") from None
    return tree


class _UdfsOfText:
    """One pass through a module's statements, in their order: a later name takes the place of an earlier one."""

    def __init__(self, tree: ast.Module) -> None:
        self.found: dict[str, FoundUdf] = {}
        #: Functions that nothing decorates, but for those of a name that begins with an underscore.
        self.plain: dict[str, FoundUdf] = {}
        self._functions: dict[str, Function] = {}
        #: What the text says of names: classes, and values that stand there as such.
        self._known: dict[str, Any] = {}
        self._packages: set[str] = set()
        self._decorators: set[str] = set()
        for statement in _own_statements(tree.body):
            self._read(statement)

    def _read(self, node: ast.stmt) -> None:
        if isinstance(node, ast.Import):
            self._packages |= {alias.asname or alias.name for alias in node.names if alias.name == "fanfold"}
        elif isinstance(node, ast.ImportFrom) and node.module == "fanfold":
            self._decorators |= {alias.asname or alias.name for alias in node.names if alias.name == "udf"}
        elif isinstance(node, ast.ClassDef):
            self._known[node.name] = node
        elif isinstance(node, Function):
            self._functions[node.name] = node
            options = [asked for each in node.decorator_list if (asked := self._asked(each)) is not None]
            self._put(node.name, node, options[0] if options else None)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for name in (target.id for target in targets if isinstance(target, ast.Name)):
                self._assign(name, node.value)

    def _put(self, name: str, function: Function, options: dict[str, ast.expr] | None) -> None:
        self.found.pop(name, None)
        self.plain.pop(name, None)
        is_plain = options is None and not function.decorator_list and not name.startswith("_")
        if options is None and not is_plain:
            return
        spec = function.args
        fields = [field_of(arg, default, self._known) for arg, default in _parameters(spec)]
        before = len(spec.posonlyargs) + len(spec.args)
        for arg, kind, place in ((spec.kwarg, "mapping", len(fields)), (spec.vararg, "rest", before)):
            if arg is not None:
                one = field_of(arg, None, self._known)
                fields.insert(place, one._replace(kind=kind, required=False, options=(), takes_none=False))
        machine = self._text((options or {}).get("instance_type"))
        (self.plain if is_plain else self.found)[name] = FoundUdf(name, tuple(fields), machine, is_plain)

    def _assign(self, name: str, value: ast.expr) -> None:
        """`heavy = fanfold.udf(f, ...)`, `heavy = fanfold.udf(...)(f)`, `heavy = light.with_options(...)`, a value."""
        self._known[name] = value
        self.found.pop(name, None)
        self.plain.pop(name, None)
        if not isinstance(value, ast.Call):
            return
        base = _attribute_of(value.func, "with_options")
        if base in self.found:
            machine = self._text(_named(value).get("instance_type")) or self.found[base].instance_type
            self.found[name] = self.found[base]._replace(name=name, instance_type=machine)
        elif value.args and isinstance(value.args[0], ast.Name) and value.args[0].id in self._functions:
            decorator = value.func if isinstance(value.func, ast.Call) else value
            self._put(name, self._functions[value.args[0].id], self._asked(decorator))

    def _asked(self, decorator: ast.expr) -> dict[str, ast.expr] | None:
        """The options that a decorator gives where it is `fanfold.udf`, by whatever name; else None."""
        called = decorator.func if isinstance(decorator, ast.Call) else decorator
        own = isinstance(called, ast.Name) and called.id in self._decorators
        if not own and _attribute_of(called, "udf") not in self._packages:
            return None
        return _named(decorator) if isinstance(decorator, ast.Call) else {}

    def _text(self, node: ast.expr | None) -> str | None:
        if isinstance(node, ast.Name):
            node = self._known.get(node.id)
        return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _own_statements(body: Sequence[ast.AST]) -> Iterator[ast.stmt]:
    """The statements that run in the module's own namespace, those under `if`, `try` and `with` included."""
    for node in body:
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            below = (ast.stmt, ast.ExceptHandler, ast.match_case)
            yield from _own_statements([child for child in ast.iter_child_nodes(node) if isinstance(child, below)])


def _parameters(spec: ast.arguments) -> Iterator[tuple[ast.arg, ast.expr | None]]:
    """Each named parameter with its default; None where it has none."""
    positional = [*spec.posonlyargs, *spec.args]
    missing: list[ast.expr | None] = [None] * (len(positional) - len(spec.defaults))
    yield from zip(positional, [*missing, *spec.defaults], strict=True)
    yield from zip(spec.kwonlyargs, spec.kw_defaults, strict=True)


def _named(call: ast.Call) -> dict[str, ast.expr]:
    return {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}


def _attribute_of(node: ast.expr, name: str) -> str:
    """`f` for `f.name`; empty for anything else."""
    fits = isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.value, ast.Name)
    return node.value.id if fits else ""  # type: ignore[attr-defined]
