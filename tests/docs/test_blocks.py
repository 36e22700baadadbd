"""The blocks of the manual's pages are run as they stand, page by page, in the order in which a reader meets them.

A page of which this holds says `<!-- blocks: run -->`. In it:

- a `python` block is run; one that begins with `# name.py` is written to that file first, for commands that name it;
- an `sh` block's lines are `fanfold ...` commands, and are run;
- `print(...)  # 3` must print what the comment says;
- `<!-- prints -->` before a `text` block: it is what the block before it printed, or the message that it raised;
  `FANFOLD_UPDATE_DOCS=1` writes it anew;
- `<!-- session -->` before a `text` block: its lines that begin with `$ ` are commands, and print what follows them,
  but for ids, numbers and hashes, which differ each time; a line `...` stands for any lines;
- `<!-- raises: InputError -->` before a block: it must raise that;
- `<!-- not run: why -->` before a block: it is left alone.

Each block of each page is one of these, and none is told by its indent alone.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

#: The first of these waits for all pages: that is given more time than a test has.
pytestmark = pytest.mark.timeout(1000)
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
import contextlib, io, json, linecache, os, re, subprocess, sys, traceback, types, warnings
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

def run_commands(body, fails=False):
    from fanfold.cli import main
    printed = io.StringIO()
    for command in body.replace("\\\n", " ").splitlines():
        import shlex
        words = shlex.split(command, comments=True)
        if not words:
            continue
        assert words[0] == "fanfold", f"not a fanfold command: {command}"
        sys.argv = words
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed if fails else sys.stderr):
            try:
                main()
            except SystemExit as end:
                assert fails or not end.code, f"{command} ended with {end.code}: {printed.getvalue()}"
    return printed.getvalue()

def run_session(body):
    """Run the commands of a session; the session as it went, or `body` where that is the same but for what varies."""
    went = []
    for line in re.findall(r"^\$ (.*)$", body, re.M):
        if line.startswith("fanfold "):
            printed = run_commands(line, fails=True)
        else:
            path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
            command = ["sh", "-c", f"exec 2>&1; {line}"]
            printed = subprocess.run(command, text=True, capture_output=True, env={**os.environ, "PATH": path}).stdout
        shown = printed.replace(f"{os.getcwd()}/", "/home/me/").strip("\n").splitlines()
        went += [f"$ {line}", *(each.rstrip() for each in shown)]
    told = re.escape(what_lasts(body)).replace(re.escape("\n...\n"), r"\n(?:.*\n)*?")
    went = "\n".join(went) + "\n"
    return body if re.fullmatch(told, what_lasts(went)) else went

def what_lasts(text):
    """A session without what differs each time it is held."""
    text = re.sub(r"\d{8}-\d{6}-[a-z]+-[0-9a-f]{8}", "JOB", text)
    text = re.sub(r"\b(?=[a-z]*\d)[0-9a-f]{7,}\b", "HASH", text)
    text = re.sub(r"\d[\d,.:]*(?: ?(?:µs|ms|s|min|h)\b)?( ago)?", "N", text)
    return re.sub(r"-{3,}|─+|[ \t]+", " ", text)

def run_block(page, block, names, printed):
    kind, mark, body = block["kind"], block["mark"], block["body"]
    if mark.startswith("not run"):
        return printed
    if kind == "text":
        if mark == "session":
            block["printed"] = run_session(body)
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
        timeout=900,
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
    loose = []
    for page in sorted(each.stem for each in DOCS.glob("*.md")):
        for block in blocks(page):
            run = page in PAGES and (block["kind"] in ("python", "sh") or block["mark"] in ("prints", "session"))
            said = block["mark"].startswith("not run: ") or block["kind"] in ("json", "toml")
            if page != "cli" and not run and not said:  # tests/cli/test_reference.py holds that page
                loose.append(f"docs/{page}.md:{block['line']}")
        prose = re.sub(r"^```.*?^```$", "", (DOCS / f"{page}.md").read_text(encoding="utf-8"), flags=re.M | re.S)
        loose += [f"docs/{page}.md, indented: {line}" for line in re.findall(r"\n\n {4}(\S.*)", prose)]
    assert loose == []
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first = re.search(r"```python\n.*?range\(1000\)\)\n", readme, re.S)
    assert first[0] in (DOCS / "index.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES)
def test_the_blocks_of_a_page_do_what_it_says(page, outcome):
    assert page not in outcome["failures"], outcome["failures"][page]
    for block in outcome["pages"][page]:
        assert block.get("printed", block["body"]) == block["body"], f"docs/{page}.md, line {block['line']}"
