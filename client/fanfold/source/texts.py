"""Texts and their trees: what a file, a notebook's cell or a prompt says, statement by statement."""

from __future__ import annotations

import ast
import os
import re
import sys
import time
import tokenize
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from types import CodeType, MappingProxyType
from typing import Any, TypeVar

from fanfold.contract.records import NamedTuple
from fanfold.core.models import sha256
from fanfold.source.load import SourceFile

_Made = TypeVar("_Made")

#: Names of what finds others by text: `source.reflection` looks at code that has one of them.
ASKING_BY_TEXT = frozenset(
    "globals __globals__ f_globals getmodule modules import_module __import__ __main__ eval exec evaluate query sql"
    " execute from_formula dmatrix dmatrices ols gls wls glm logit probit poisson mixedlm gee quantreg rlm".split()
)


class UseSite(NamedTuple):
    """Where something is used: in a definition of a file."""

    path: str
    node: ast.AST
    owner: str

    @property
    def line(self) -> int:
        """The first line of the definition."""
        return getattr(self.node, "lineno", 1)

    def line_of(self, name: str) -> int:
        """The first line of the definition in which `name` stands."""
        lines = [n.lineno for n in ast.walk(self.node) if isinstance(n, ast.Name) and n.id == name]
        return min(lines, default=getattr(self.node, "lineno", 1))


def shown_path(path: str) -> str:
    """A text's name as its reader knows it: `Cell In[3]` of a notebook's cell, else its path."""
    notebook = sys.modules.get("IPython.core.getipython")
    shell: Any = notebook.get_ipython() if notebook is not None else None
    try:
        return " ".join(shell.compile.format_code_name(path) or (path,))
    except AttributeError:  # no notebook, or an old one
        return path


def may_be_edited(path: str, name: str) -> bool:
    """Whether a function's file was written after this process had begun: before, no edit came after it was loaded.

    What Python makes of annotations, from 3.14 on, stands in no file.
    """
    return name != "__annotate__" and os.stat(path).st_mtime > _began()


@lru_cache(maxsize=1)
def _began() -> float:
    """When this process began, in seconds since 1970; 0 where the system does not say."""
    try:
        with open("/proc/self/stat", encoding="ascii", errors="replace") as file:
            ticks = int(file.read().rpartition(")")[2].split()[19])
        return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return 0.0


# What statements say of names: which they bind, read, annotate with, or change.


def definition_names(node: ast.stmt, without: Iterable[ast.expr] = ()) -> set[str]:
    """The names that are read already when the statement is executed: decorators, bases, defaults, annotations.

    `without` are decorators and defaults that do not count.
    """
    left_out = set(map(id, without))
    decorators = [each for each in getattr(node, "decorator_list", ()) if id(each) not in left_out]
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        spec = node.args
        every = [*spec.posonlyargs, *spec.args, *spec.kwonlyargs, *filter(None, (spec.vararg, spec.kwarg))]
        defaults = (each for each in (*spec.defaults, *spec.kw_defaults) if id(each) not in left_out)
        parts: list[ast.AST | None] = [*decorators, *defaults, node.returns]
        return names_in([*parts, *(arg.annotation for arg in every)])
    if isinstance(node, ast.ClassDef):
        outer = names_in([*decorators, *node.bases, *(keyword.value for keyword in node.keywords)])
        return outer.union(*(definition_names(statement) for statement in node.body))
    return names_in([node])


def names_in(nodes: Iterable[ast.AST | None]) -> set[str]:
    """Every name read anywhere in the nodes, whatever its scope."""
    found = (n for node in nodes if node is not None for n in ast.walk(node))
    return {n.id for n in found if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def every_annotation(node: ast.AST) -> Iterator[ast.expr]:
    """Every annotation in the node."""
    for n in ast.walk(node):
        for part in ("annotation", "returns"):
            annotation = getattr(n, part, None)
            if isinstance(annotation, ast.expr):
                yield annotation


def annotation_names(node: ast.AST, *, unevaluated: bool) -> set[str]:
    """The names in annotations that are strings; in all of them where `unevaluated` (`from __future__`)."""
    found: set[str] = set()
    for annotation in every_annotation(node):
        strings = (n.value for n in ast.walk(annotation) if isinstance(n, ast.Constant) and isinstance(n.value, str))
        found |= names_in(map(_expression, strings))
        if unevaluated:
            found |= names_in([annotation])
    return found


def _expression(text: str) -> Any:
    try:
        return tree_of(text.strip(), mode="eval")
    except SyntaxError:  # Annotated[int, "any text"], Literal["a b"]
        return None


def dotted(node: ast.AST) -> tuple[str, ...] | None:
    """`a.b.c` as ("a", "b", "c"); None for anything else."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute):
        head = dotted(node.value)
        return None if head is None else (*head, node.attr)
    return None


def bindings(places: Iterable[Place]) -> dict[str, list[Place]]:
    """The statements that give each name its value, in order; a star import stands under `*`."""
    found: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        for name in bound_names(place.node):
            found[name].append(place)
    return found


def bound_names(node: ast.stmt) -> list[str]:
    """The names that one statement binds, those that the statements within it bind left out."""
    if isinstance(node, Definition):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [bound_name(node, alias) for alias in node.names]
    if isinstance(node, ast.Assign):
        # `table[key] = value` reads `table`; it does not bind it.
        names = (n for target in node.targets for n in ast.walk(target) if isinstance(n, ast.Name))
        return [n.id for n in names if isinstance(n.ctx, ast.Store)]
    if isinstance(node, ast.AnnAssign) and node.value is not None and isinstance(node.target, ast.Name):
        return [node.target.id]
    name = getattr(node, "name", None)  # `type Alias = ...`, from 3.12 on
    return [name.id] if isinstance(name, ast.Name) else []


def bound_name(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> str:
    """The name that one part of an import statement binds."""
    if alias.asname:
        return alias.asname
    return alias.name.partition(".")[0] if isinstance(node, ast.Import) else alias.name


def identifiers(node: ast.AST) -> Iterator[str]:
    """Every name and attribute that code reads, and every name that it imports."""
    for n in ast.walk(node):
        if isinstance(n, ast.alias):
            yield n.name
        elif isinstance(n, (ast.Name, ast.Attribute)) and isinstance(n.ctx, ast.Load):
            yield n.id if isinstance(n, ast.Name) else n.attr


# A text, its tree, and where statements stand in it.

#: Nodes that have lines of their own and hold statements: statements, and a `try`'s handlers.
Block = ast.stmt | ast.ExceptHandler
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


class Source:
    """One text and its tree, both to be left as they are."""

    def __init__(self, path: str, text: str, tree: ast.Module) -> None:
        self.path, self.text, self.tree = path, text, tree

    @property
    def lines(self) -> list[str]:
        """The lines as Python counts them: split at newlines alone, not at form feeds."""
        return self.text.split("\n")

    @property
    def futures(self) -> list[ast.ImportFrom]:
        """The `from __future__` imports."""
        return [node for node in self.tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]

    @property
    def postpones_annotations(self) -> bool:
        """Whether the text says `from __future__ import annotations`."""
        return any(alias.name == "annotations" for node in self.futures for alias in node.names)


class Place:
    """A statement, with the statements it stands in, outermost first."""

    def __init__(self, source: Source, node: ast.stmt, ancestors: tuple[Block, ...] = ()) -> None:
        self.source, self.node, self.ancestors = source, node, ancestors


def tree_of(text: str, path: str = "<unknown>", mode: str = "exec") -> Any:
    """The tree of a text. Raises `SyntaxError`, whatever Python cannot read in it."""
    return _read(lambda: ast.parse(text, path, mode))


def compiled(what: str | ast.Module | ast.Expression, path: str, flags: int = 0, mode: str = "exec") -> CodeType:
    """The code of a text or a tree. Raises `SyntaxError`, whatever Python cannot read in it."""
    code: CodeType = _read(lambda: compile(what, path, mode, flags=flags, dont_inherit=True))
    return code


def _read(make: Callable[[], _Made]) -> _Made:
    """What Python makes of a text.

    Python 3.11 has one count for the trees that all threads make, and may find it wrong where two make one at once:
    then it is made again (https://github.com/python/cpython/issues/106905).
    """
    for _ in range(100):
        try:
            return make()
        except SystemError:
            continue
        except SyntaxError:
            raise
        except (ValueError, RecursionError, MemoryError) as error:  # a null in it; nested too deeply
            raise SyntaxError(str(error) or "it is nested too deeply") from error
    raise SyntaxError("Python has miscounted its parts, again and again")


@lru_cache(maxsize=1024)
def parse(path: str, text: str) -> Source:
    """The text with its tree; the same object for the same text. Raises `SyntaxError`."""
    return Source(path, text, tree_of(text, path))


def read(path: str) -> str:
    """The text of a Python file, in the encoding that it declares; also of one within a zip that is imported from."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except NotADirectoryError:
        for archive, importer in list(sys.path_importer_cache.items()):
            if type(importer).__name__ == "zipimporter" and path.startswith(archive + os.sep):
                from importlib.util import decode_source

                return decode_source(importer.get_data(path))  # type: ignore[union-attr]
        raise


def first_line(node: ast.stmt) -> int:
    """The statement's first line, decorators included."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min((d.lineno for d in decorators), default=node.lineno)


def everywhere(source: Source) -> Iterator[Place]:
    """Every statement of a text, at any depth."""
    return _within(source, source.tree, (), into_scopes=True)


def top_level(source: Source) -> Iterator[Place]:
    """Every statement that runs in the module's own namespace, those under `if` or `try` included."""
    return _within(source, source.tree, (), into_scopes=False)


def inside(place: Place) -> Iterator[Place]:
    """Every statement of a definition's own scope, itself left out."""
    return _within(place.source, place.node, (*place.ancestors, place.node), into_scopes=False)


def _within(source: Source, parent: ast.AST, ancestors: tuple[Block, ...], *, into_scopes: bool) -> Iterator[Place]:
    for child in ast.iter_child_nodes(parent):
        if isinstance(child, ast.stmt):
            yield Place(source, child, ancestors)
            if into_scopes or not isinstance(child, Definition):
                yield from _within(source, child, (*ancestors, child), into_scopes=into_scopes)
        elif isinstance(child, ast.ExceptHandler):
            yield from _within(source, child, (*ancestors, child), into_scopes=into_scopes)
        elif isinstance(child, ast.match_case):
            yield from _within(source, child, ancestors, into_scopes=into_scopes)


# The code hash: what source means, whatever its layout, its comments and the Python that reads it.

#: Where a name is read or written is told by its place; the others are notes of the parser's.
_SKIPPED = frozenset({"ctx", "kind", "type_comment", "type_ignores"})

#: Raised when the same source would hash differently, so that no old entry of a cache is taken for a new one.
_VERSION = "fanfold-code/1"


def code_hash(parts: Iterable[tuple[str, ...]]) -> str:
    """The hash of a set of parts, in whatever order they come: 64 hex digits."""
    digest = sha256(_VERSION.encode())
    for part in sorted(set(parts)):
        digest.update(_packed([text.encode("utf-8", "surrogatepass") for text in part]))
    return digest.hexdigest()


def tree_hash(node: ast.AST, without: Iterable[ast.expr] = ()) -> str:
    """The hash of a syntax tree, with the decorators in `without` left out."""
    left_out = frozenset(map(id, without))
    digest = sha256()
    # A stack of our own: a long chain of `+` is nested deeper than Python can recurse.
    pending: list[Any] = [node]
    while pending:
        item = pending.pop()
        if isinstance(item, bytes):
            digest.update(item)
        else:
            pending += reversed(list(_opened(item, left_out)))
    return digest.hexdigest()


def _packed(texts: list[bytes]) -> bytes:
    """Texts with their lengths, so that no two lists of them look alike."""
    return b"%d:" % len(texts) + b"".join(b"%d:%s" % (len(text), text) for text in texts)


def _opened(item: Any, left_out: frozenset[int]) -> Iterator[Any]:
    """A node, a list or a constant as bytes, and what in it is yet to be opened."""
    if isinstance(item, ast.AST):
        yield b"(" + type(item).__name__.encode()
        for field, value in _fields(item):
            if field == "decorator_list":
                value = [each for each in value if id(each) not in left_out]  # noqa: PLW2901
            if field not in _SKIPPED and value is not None and value != []:
                yield b" " + field.encode() + b"="
                yield value if isinstance(value, (ast.AST, list)) else _constant(value)
        yield b")"
    else:
        yield b"["
        yield from (each if isinstance(each, ast.AST) else _constant(each) for each in item)
        yield b"]"


def _fields(node: ast.AST) -> Iterator[tuple[str, Any]]:
    if isinstance(node, ast.Constant):
        # Here alone None and nothing mean different things.
        yield "value", _Literal(node.value)
    elif isinstance(node, ast.JoinedStr):
        yield "values", _joined(node.values)
    elif isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        for field, value in ast.iter_fields(node):
            yield field, _with_clean_docstring(value) if field == "body" else value
    else:
        yield from ast.iter_fields(node)


class _Literal:
    """A constant's value, told apart from an absent field."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _constant(value: Any) -> bytes:
    if isinstance(value, _Literal):
        value = value.value
    if isinstance(value, str):
        data = value.encode("utf-8", "surrogatepass")
    elif isinstance(value, bytes):
        data = value
    else:  # Python refuses to print very long integers in decimal
        data = (hex(value) if type(value) is int else repr(value)).encode()
    return _packed([type(value).__name__.encode(), data])


def _joined(values: list[ast.expr]) -> list[ast.expr]:
    """The parts of an f-string with neighbouring texts as one: how they are split differs between versions."""
    parts: list[ast.expr] = []
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            if parts and isinstance(parts[-1], ast.Constant):
                value = ast.Constant(parts.pop().value + value.value)  # type: ignore[attr-defined]  # noqa: PLW2901
            if not value.value:
                continue
        parts.append(value)
    return parts


def _with_clean_docstring(body: list[ast.stmt]) -> list[ast.stmt]:
    first = body[0] if body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return [ast.Expr(ast.Constant(clean(first.value.value))), *body[1:]]
    return body


def docstring(code: CodeType) -> str | None:
    """The docstring that a function's code has."""
    if sys.version_info >= (3, 14) and not code.co_flags & 0x4000000:  # CO_HAS_DOCSTRING
        return None
    first = code.co_consts[0] if code.co_consts else None
    return first if isinstance(first, str) and not code.co_name.startswith("<") else None


def clean(docstring: str) -> str:
    """What `inspect.cleandoc` did before 3.13, so that all versions agree."""
    lines = docstring.expandtabs().split("\n")
    margins = [len(line) - len(line.lstrip()) for line in lines[1:] if line.strip()]
    margin = min(margins, default=0)
    return "\n".join([lines[0].lstrip(), *(line[margin:] for line in lines[1:])]).strip("\n")


# The text that travels: the statements that functions stand in, at their own lines, and blank lines for the
# rest.

#: What stands in the place of expressions.
Instead = Mapping[ast.expr, str]
_NOTHING: Instead = MappingProxyType({})


class Kept:
    """Which statements of which texts travel."""

    def __init__(self) -> None:
        self._numbers: dict[Source, int] = {}
        self._ranges: dict[Source, set[tuple[int, int]]] = defaultdict(set)
        self._module: dict[Source, str] = {}

    def add(self, source: Source, node: ast.AST) -> int:
        """Keep the statement of the top level that a node stands in; the number of its text."""
        starts, ranges = _statements(source)
        self._ranges[source].add(ranges[bisect_right(starts, node.lineno) - 1])  # type: ignore[attr-defined]
        return self._numbers.setdefault(source, len(self._numbers))

    def belongs_to(self, source: Source, module: str) -> None:
        """Say of which module a text is."""
        self._module.setdefault(source, module)

    def sources(self) -> list[Source]:
        """The texts of which something travels."""
        return list(self._numbers)

    def words(self) -> set[str]:
        """What stands in the strings of the statements that travel, word by word, but for docstrings."""
        return set().union(*(_words(source, frozenset(self._ranges[source])) for source in self._numbers))

    def files(self) -> list[SourceFile]:
        """The texts, by number."""
        files = []
        for source in self._numbers:
            text = _text(source, self._ranges[source])
            files.append(SourceFile(self._module.get(source, "__main__"), shown_path(source.path), text, "entry"))
        return files


@lru_cache(maxsize=1024)
def _statements(source: Source) -> tuple[list[int], list[tuple[int, int]]]:
    """First and last line of each statement of the top level; those that share a line are one."""
    ranges: list[tuple[int, int]] = []
    for node in source.tree.body:
        first, last = first_line(node), node.end_lineno or node.lineno
        first = _at_sign(source.lines, first) if getattr(node, "decorator_list", None) else first
        if ranges and first <= ranges[-1][1]:
            ranges[-1] = (ranges[-1][0], max(last, ranges[-1][1]))
        else:
            ranges.append((first, last))
    return [first for first, _ in ranges], ranges


@lru_cache(maxsize=1024)
def _words(source: Source, ranges: frozenset[tuple[int, int]]) -> frozenset[str]:
    words: set[str] = set()
    for statement in source.tree.body:
        if not any(first <= statement.lineno <= last for first, last in ranges):
            continue
        parts = list(ast.walk(statement))
        describing = {id(part.value) for part in parts if isinstance(part, ast.Expr)}
        for part in parts:
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in describing:
                words.update(re.findall(r"\w+", part.value))
    return frozenset(words)


def _text(source: Source, ranges: set[tuple[int, int]]) -> str:
    lines = source.lines
    last = max(last for _, last in ranges)
    kept = {n for first, last in ranges for n in range(first, last + 1)}
    return "\n".join(lines[n - 1] if n in kept else "" for n in range(1, last + 1)) + "\n"


def whole_text(source: Source, left_out: Mapping[Place, Iterable[ast.expr]], given: Instead = _NOTHING) -> str:
    """The whole text, with some decorators of some definitions left blank, and what is given instead of expressions."""
    lines = source.lines
    for n, cuts in _cuts(given).items():
        lines[n - 1] = _cut(lines[n - 1], cuts)
    for place, decorators in left_out.items():
        for n in decorator_lines(lines, place.node, decorators):
            lines[n - 1] = ""
    return "\n".join(lines)


def decorator_lines(lines: list[str], node: ast.stmt, decorators: Iterable[ast.expr]) -> set[int]:
    """All lines from each decorator's `@` up to the next one, or to the `def`."""
    found: set[int] = set()
    for decorator in decorators:
        later = [d.lineno for d in getattr(node, "decorator_list", []) if d.lineno > decorator.lineno]
        end = _at_sign(lines, min(later)) if later else node.lineno
        found.update(range(_at_sign(lines, decorator.lineno), end))
    return found


def _at_sign(lines: list[str], n: int) -> int:
    while not lines[n - 1].lstrip().startswith("@"):
        n -= 1
    return n


class _Cut(NamedTuple):
    """A part of a line, in bytes, and what stands there instead; no end where it goes to the end of the line."""

    start: int
    end: int | None
    text: str


def _cuts(given: Instead) -> dict[int, list[_Cut]]:
    """By line, what to cut. All lines stay: an expression over several leaves a pair of brackets over as many."""
    cuts: dict[int, list[_Cut]] = defaultdict(list)
    for node, text in given.items():
        first, last = node.lineno, node.end_lineno or node.lineno
        if first == last:
            cuts[first].append(_Cut(node.col_offset, node.end_col_offset, text))
            continue
        cuts[first].append(_Cut(node.col_offset, None, f"({text}"))
        for n in range(first + 1, last):
            cuts[n].append(_Cut(0, None, ""))
        cuts[last].append(_Cut(0, node.end_col_offset, ")"))
    return cuts


def _cut(line: str, cuts: Iterable[_Cut], start: int = 0, end: int | None = None) -> str:
    """The part of a line from byte `start` to `end`, with what is cut replaced."""
    data, at, parts = line.encode(), start, []
    for cut in sorted(cuts):
        if cut.start >= at:
            parts += [data[at : cut.start].decode(), cut.text]
            at = len(data) if cut.end is None else cut.end
    return "".join([*parts, data[at:end].decode() if end is None or end > at else ""])


# Which commit of git a file's folder has checked out, from git's own files: starting git takes 5 ms.


def commit_of(path: str) -> str:
    """The commit that is checked out where `path` is, or "" where that cannot be told."""
    if not os.path.isabs(path):
        return ""
    folder = os.path.dirname(path)
    while not os.path.exists(os.path.join(folder, ".git")):
        above = os.path.dirname(folder)
        if above == folder:
            return ""
        folder = above
    try:
        return _checked_out(os.path.join(folder, ".git"))
    except (OSError, UnicodeDecodeError):
        return ""


def _checked_out(git: str) -> str:
    if os.path.isfile(git):  # of a worktree or a submodule: where its folder is
        git = os.path.join(os.path.dirname(git), _line_of(git).removeprefix("gitdir: "))
    head = _line_of(os.path.join(git, "HEAD"))
    if not head.startswith("ref: "):
        return head
    name, shared = head.removeprefix("ref: "), os.path.join(git, "commondir")
    common = os.path.join(git, _line_of(shared)) if os.path.exists(shared) else git
    loose = os.path.join(common, name)
    if os.path.exists(loose):
        return _line_of(loose)
    with open(os.path.join(common, "packed-refs"), encoding="utf-8") as packed:
        return next((line[:40] for line in packed if line.rstrip("\n").endswith(f" {name}")), "")


def _line_of(path: str) -> str:
    with open(path, encoding="utf-8") as file:
        return file.readline().strip()
