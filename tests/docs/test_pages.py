"""The manual as a whole: links and names that lead somewhere; in troubleshooting each error and what it really says."""

from __future__ import annotations

import re
from pathlib import Path

from fanfold import errors

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def all_errors(kind=errors.FanfoldError):
    return {kind.__name__}.union(
        *(all_errors(sub) for sub in kind.__subclasses__() if sub.__module__ == errors.__name__)
    )


def text_of_the_client():
    """The client's source, in which a text that goes over several lines is one."""
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "client").rglob("*.py"))
    return re.sub(r"[\"']\n\s*f?[\"']", "", source)


def test_troubleshooting_has_each_error_once():
    headings = re.findall(r"^### (\w+)$", (DOCS / "troubleshooting.md").read_text(encoding="utf-8"), re.M)
    assert sorted(headings) == sorted(all_errors())


def test_troubleshooting_quotes_messages_that_there_are():
    said = text_of_the_client()
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = re.findall(r"^\| `([^`]+)` \|", page.replace("`Read-only", "Read-only"), re.M)
    assert len(quoted) >= 40
    parts = {part.strip() for text in quoted for part in text.split("…") if part.strip(" .")}
    assert sorted(part for part in parts if part not in said) == []


def test_the_navigation_names_pages_that_there_are():
    named = set(re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.M))
    pages = {page.name for page in DOCS.glob("*.md")}
    assert named ^ pages == {"decisions/index.md", "changelog.md"}  # which docs/hooks.py makes


def test_a_page_of_details_says_so_and_leads_to_the_page_of_its_subject():
    starts = [page.read_text(encoding="utf-8").split("\n\n", 3)[1:3] for page in DOCS.glob("*.md")]
    details = [text for start in starts for text in start if text.startswith("*The details of [")]
    assert len(details) >= 12
    for text in details:
        page, _, anchor = re.search(r"\]\(([^)]+)\)", text)[1].partition("#")
        headings = re.findall(r"^#+ (.+)$", (DOCS / page).read_text(encoding="utf-8"), re.M)
        assert not anchor or anchor in [re.sub(r"[^\w -]", "", each.lower()).replace(" ", "-") for each in headings]


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
