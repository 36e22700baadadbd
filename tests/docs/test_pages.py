"""The manual as a whole: links and names that lead somewhere; in troubleshooting each error and what it really says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from fanfold import errors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def all_errors(kind=errors.FanfoldError):
    return {kind.__name__}.union(
        *(all_errors(sub) for sub in kind.__subclasses__() if sub.__module__ == errors.__name__)
    )


def texts_of_the_client():
    """All that string literals of the client say, the parts of one f-string with `…` between them."""
    for path in (ROOT / "client").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def test_troubleshooting_has_each_error_once():
    headings = re.findall(r"^### (\w+)$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.M)
    assert sorted(headings) == sorted(all_errors())


def test_troubleshooting_quotes_messages_that_there_are():
    said = "\n".join(texts_of_the_client())
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `([^`]+)` \|", page.replace("`Read-only", "Read-only"), re.M)
    assert len(quoted) >= 40
    parts = {part.strip() for text in quoted for part in text.split("…") if part.strip(" .")}
    assert sorted(part for part in parts if part not in said) == []


def test_the_navigation_names_pages_that_there_are():
    named = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    pages = {page.name for page in DOCS.glob("*.md")}
    assert named - pages == {"decisions/index.md", "changelog.md"}  # which docs/hooks.py makes


def test_links_and_pictures_of_the_manual_lead_somewhere():
    pages = [ROOT / "README.md", *(page for page in DOCS.glob("*.md") if "<!-- blocks: run -->" in page.read_text())]
    missing = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
        if "://" not in link and link != "changelog.md" and not (page.parent / link).exists()
    ]
    assert missing == []


def test_the_reference_names_what_is_public_and_nothing_else():
    import fanfold

    page = (DOCS / "reference.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^::: fanfold\.(\w+)$", page, re.M)) - {"errors"}
    assert len(named) > 30
    assert named <= set(fanfold.__all__)
