"""Texts that Python has not kept, and where they can still be had: what was typed, given on a command line, executed.

Each is only a candidate: `codes` takes one where the very code of the function is found in it. And texts that are not
compiled as they stand: cells, and pytest's files.
"""

from __future__ import annotations

import ast
import linecache
import os
import sys
import textwrap
from binascii import b2a_base64
from collections.abc import Callable, Iterator
from functools import lru_cache
from types import CodeType, FrameType, FunctionType
from typing import TYPE_CHECKING, Any

from fanfold.core.processes import python_here
from fanfold.source.rebuild import AWAIT_AT_TOP
from fanfold.source.texts import compiled, tree_of

if TYPE_CHECKING:
    from fanfold.source.graph import Graph
    from fanfold.source.texts import Source

#: How many lines one thing that was typed may have.
_LONGEST_INPUT = 400


def candidates(code: CodeType) -> Iterator[str]:
    """Texts that may hold the code, the likeliest first."""
    if code.co_filename == "<string>":
        yield from _command_line()
    if code.co_filename == "<stdin>":
        yield from _standard_input()
        yield from _typed(code)
    yield from (text for name, text in typed_texts() if name == code.co_filename)
    yield from _cells()
    yield from _in_frames()


def texts_with(words: str) -> Iterator[tuple[str, str]]:
    """Texts that hold some words, with the names that Python gives to such."""
    for name, texts in (("<string>", _command_line()), ("<stdin>", _standard_input()), ("<cell>", _cells())):
        yield from ((name, text) for text in texts if words in text)


def typed_texts() -> Iterator[tuple[str, str]]:
    """What was typed at a prompt or into cells and Python still keeps, with the names that it gives to them."""
    kept = [(name, each) for name, each in list(linecache.cache.items()) if len(each) == 4 and each[1] is None]
    # Since 3.14 what is typed is in a cache of its own, once for each code in it.
    by_code: dict[Any, Any] = getattr(linecache, "_interactive_cache", {})
    kept += [(key[0], each) for key, each in list(by_code.items()) if len(each) == 4]
    return iter(dict.fromkeys((name, "".join(each[2])) for name, each in kept))


def file_of(namespace: dict[str, Any]) -> str | None:
    """The file of a module; None where it has none, and for the prompt of 3.13, which says the interpreter's own."""
    path = namespace.get("__file__")
    if not isinstance(path, str) or not os.path.exists(path) or os.path.basename(os.path.dirname(path)) == "_pyrepl":
        return None
    return path


def _command_line() -> Iterator[str]:
    """The text of `python -c TEXT`."""
    given = iter(sys.orig_argv[1:])
    for argument in given:
        if not argument.startswith("-") or argument in ("-", "--"):
            return
        if argument.startswith("--"):
            _ = argument == "--check-hash-based-pycs" and next(given, "")
            continue
        switch = next((letter for letter in argument[1:] if letter in "cmWX"), "")  # those that are given something
        attached = argument.partition(switch)[2] if switch else ""
        text = attached or (next(given, "") if switch else "")
        if switch == "c":
            yield from dict.fromkeys((text, textwrap.dedent(text)))  # from 3.14 on Python takes away what indents all
        if switch in ("c", "m"):
            return


def _standard_input() -> Iterator[str]:
    """All of standard input where it is a file: `python < file`, a here-document."""
    try:
        if not os.path.isfile(os.path.realpath("/dev/fd/0")) and not _is_regular(0):
            return
        with open(os.dup(0), "rb") as copy:
            size = os.fstat(copy.fileno()).st_size
            yield os.pread(copy.fileno(), size, 0).decode()
    except (OSError, UnicodeError):
        return


def _is_regular(descriptor: int) -> bool:
    import stat

    return stat.S_ISREG(os.fstat(descriptor).st_mode)


def _typed(code: CodeType) -> Iterator[str]:
    """What was typed at the prompt of a Python before 3.13, which keeps no texts; the latest first."""
    readline = sys.modules.get("readline")
    if readline is None:
        return
    count = readline.get_current_history_length()
    lines = [readline.get_history_item(n) or "" for n in range(1, count + 1)]
    for end in range(count, 0, -1):
        for start in range(end - 1, max(-1, end - _LONGEST_INPUT), -1):
            text = "\n".join(lines[start:end]) + "\n"
            if (code.co_name in text or code.co_name.startswith("<")) and _compiles(text):
                yield text


def _compiles(text: str) -> bool:
    try:
        compiled(text, "<typed>", mode="single")
    except SyntaxError:
        return False
    return True


def _cells() -> Iterator[str]:
    """What stands in IPython's cells below the line of a magic, such as `%%time`."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    for raw in reversed(shell.history_manager.input_hist_raw if shell else []):
        if raw.startswith("%%"):
            yield raw.split("\n", 1)[-1]
    for raw in reversed(shell.history_manager.input_hist_parsed if shell else []):
        if "run_cell_magic(" in raw:
            yield from _strings_of_call(raw)


def _strings_of_call(text: str) -> Iterator[str]:
    try:
        tree = tree_of(text)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "\n" in node.value:
            yield node.value


def _in_frames() -> Iterator[str]:
    """Texts of `exec("...")` that still stand in a frame's variables or code."""
    frame: FrameType | None = sys._getframe()
    seen: set[int] = set()
    while frame is not None:
        for value in [*frame.f_code.co_consts, *list(frame.f_locals.values()), *list(frame.f_globals.values())]:
            if type(value) is str and id(value) not in seen and ("def " in value or "lambda" in value):
                seen.add(id(value))
                yield value
        frame = frame.f_back


@lru_cache(maxsize=1024)
def cell_index(source: Source, flags: int, by_name: Callable[[CodeType], dict[str, Any]]) -> dict[str, Any]:
    """All code of a cell, by name, each statement by itself, as IPython compiles it.

    There Python does not see which names are imported modules, and makes calls of their functions otherwise. The paths
    are those in the whole text, which is what a worker compiles.
    """
    flags |= AWAIT_AT_TOP
    whole = by_name(compiled(source.text, source.path, flags))
    parts: dict[str, list[Any]] = {}
    for node in source.tree.body:
        alone = compiled(ast.Module([node], []), source.path, flags)
        for name, known in by_name(alone).items():
            parts.setdefault(name, []).extend(known)
    pairs = {name: zip(parts.get(name, ()), known, strict=False) for name, known in whole.items()}
    return {name: [part._replace(path=one.path) for part, one in pair] for name, pair in pairs.items()}


@lru_cache(maxsize=64)
def rewritten_index(source: Source, by_name: Callable[[CodeType], dict[str, Any]]) -> dict[str, Any]:
    """All code of a test's file, by name, whose assertions pytest has rewritten before it compiled it."""
    from _pytest.assertion.rewrite import rewrite_asserts

    tree = tree_of(source.text, source.path)
    rewrite_asserts(tree, source.text.encode())
    return by_name(compiled(tree, source.path))


# Code without any text


def as_it_is(graph: Graph, function: FunctionType) -> tuple[list[Any], str]:
    """The code of a function that has no text, as Python has compiled it: only the same Python can run it."""
    import marshal

    graph.needs[
        "Python", f"{function.__code__.co_filename}: {function.__qualname__!r}, of which Python has no text,"
    ] = python_here()
    data = marshal.dumps(function.__code__)
    return ["marshal", b2a_base64(data, newline=False).decode()], repr(_bare(function.__code__))


def _bare(code: CodeType) -> Any:
    consts = [_bare(const) if isinstance(const, CodeType) else repr(const) for const in code.co_consts]
    return code.co_code.hex(), code.co_names, code.co_varnames, code.co_freevars, consts
