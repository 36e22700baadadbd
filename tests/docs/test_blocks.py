"""The blocks of the manual's pages are run as they stand, page by page, in the order in which a reader meets them.

A page of which this holds says `<!-- blocks: run -->`. In it:

- a `python` block is run; one that begins with `# name.py` is written to that file first, for commands that name it;
- an `sh` block's lines are `fanfold ...` commands, and are run;
- `print(...)  # 3` must print what the comment says;
- `<!-- prints -->` before a `text` block: it is what the block before it printed, or the message that it raised;
  `FANFOLD_UPDATE_DOCS=1` writes it anew;
- `<!-- raises: InputError -->` before a block: it must raise that;
- `<!-- not run: why -->` before a block: it is left alone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(page.stem for page in DOCS.glob("*.md") if "<!-- blocks: run -->" in page.read_text(encoding="utf-8"))

_BLOCK = re.compile(r"^(?:<!-- (?P<mark>[^\n]*) -->\n)?```(?P<kind>\w*)\n(?P<body>.*?)^```$", re.M | re.S)
_TOLD = re.compile(r"^print\((?P<what>.*)\)  # (?P<told>.*)$", re.M)


def blocks(page):
    """Kind, mark, body and line of each block of a page."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text[: found.start("body")].count("\n")
        yield {"kind": found["kind"], "mark": found["mark"] or "", "body": found["body"], "line": line}


DRIVER = r'''
import contextlib, io, json, linecache, os, re, sys, traceback, types, warnings
from pathlib import Path

def run_python(page, body, line, names):
    """Run a block at its own lines of a file that has it; what it prints."""
    told = re.findall(r"^print\(.*\)  # (.*)$", body, re.M)
    shown = []
    def show(*values):
        text = io.StringIO()
        print(*values, file=text)
        print(*values)
        shown.append(text.getvalue().strip())
    names["show_what_is_told"] = show
    body = re.sub(r"^print\((.*)\)  # .*$", r"show_what_is_told(\1)", body, flags=re.M)
    path = Path(f"block_{line}.py").absolute()
    path.write_text(body)
    names["__file__"] = str(path)
    if name := re.match(r"# ([\w/]+\.py)\n", body):
        Path(name[1]).write_text(body)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(body, str(path), "exec"), names)
    assert shown == told, f"printed {shown}, and the page says {told}"
    return printed.getvalue()

def run_commands(body):
    from fanfold.cli import main
    printed = io.StringIO()
    for command in body.replace("\\\n", " ").splitlines():
        import shlex
        words = shlex.split(command, comments=True)
        if not words:
            continue
        assert words[0] == "fanfold", f"not a fanfold command: {command}"
        sys.argv = words
        with contextlib.redirect_stdout(printed):
            try:
                main()
            except SystemExit as end:
                assert not end.code, f"{command} ended with {end.code}: {printed.getvalue()}"
    return printed.getvalue()

def run_block(page, block, names, printed):
    kind, mark, body = block["kind"], block["mark"], block["body"]
    if mark.startswith("not run"):
        return printed
    if kind == "text":
        if mark == "prints":
            block["printed"] = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines()) + "\n"
        return printed
    wanted = mark.removeprefix("raises: ") if mark.startswith("raises: ") else ""
    try:
        if kind == "python":
            return run_python(page, body, block["line"], names)
        if kind == "sh":
            return run_commands(body)
    except Exception as error:
        if type(error).__name__ != wanted:
            raise
        return str(error)
    assert not wanted, f"did not raise {wanted}"
    return printed

def main():
    failures, here = {}, Path.cwd()
    import warnings
    import fanfold
    pages = json.load(sys.stdin)
    for page, blocks in pages.items():
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        folder = here / page
        folder.mkdir()
        os.chdir(folder)
        sys.path[0] = str(folder)
        printed = ""
        for block in blocks:
            try:
                printed = run_block(page, block, module.__dict__, printed)
            except BaseException as error:
                failures[page] = f"docs/{page}.md, block at line {block['line']}\n{traceback.format_exc()}"
                break
    os.chdir(here)
    Path("outcome.json").write_text(json.dumps({"failures": failures, "pages": pages}))

main()
'''


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """What went wrong on which page, and what its blocks printed: of all pages in one process."""
    folder = tmp_path_factory.mktemp("pages")
    (folder / "driver.py").write_text(DRIVER)
    environment = {**os.environ, "FANFOLD_HOME": str(folder / "home"), "MPLBACKEND": "agg", "COLUMNS": "80"}
    environment.pop("FANFOLD_DEPLOYMENT", None)
    subprocess.run(
        [sys.executable, "driver.py"],
        cwd=folder,
        env=environment,
        input=json.dumps({page: list(blocks(page)) for page in PAGES}),
        text=True,
        check=True,
        timeout=400,
    )
    outcome = json.loads((folder / "outcome.json").read_text())
    if os.environ.get("FANFOLD_UPDATE_DOCS"):
        for page, found in outcome["pages"].items():
            write_anew(page, found)
    return outcome


def write_anew(page, found):
    """Put what was printed into a page, from its end to its beginning."""
    path = DOCS / f"{page}.md"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    for block in reversed(found):
        if "printed" in block:
            lines[block["line"] : block["line"] + block["body"].count("\n")] = [block["printed"]]
    path.write_text("".join(lines), encoding="utf-8")


def test_no_block_of_the_manual_is_neither_run_nor_said_not_to_be():
    with_code = {page.stem for page in DOCS.glob("*.md") if re.search(r"^```(python|sh)$", page.read_text(), re.M)}
    assert sorted(with_code - set(PAGES)) == []
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.search(r"```python\n.*?range\(1000\)\)\n", readme, re.S)
    assert first[0] in (DOCS / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_do_what_it_says(page, outcome):
    assert page not in outcome["failures"], outcome["failures"][page]
    for block in outcome["pages"][page]:
        assert block.get("printed", block["body"]) == block["body"], f"docs/{page}.md, line {block['line']}"
