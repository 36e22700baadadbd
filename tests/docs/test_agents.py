"""What coding agents read: `docs/llms.txt` lists the manual, and the tasks that are tried use what is taught."""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

import yaml

from tests.cloud import skill_tasks

DOCS = Path(__file__).parents[2] / "docs"
SKILL = (DOCS / "skill.md").read_text(encoding="utf-8")


def listed(nav):
    for entry in nav:
        for title, below in entry.items():
            if isinstance(below, str):
                yield title, below
            else:
                yield from listed(below)


def first_sentence(page: str) -> str:
    """What a page begins with."""
    text = re.sub(r"^---\n.*?\n---\n", "", (DOCS / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    paragraphs = [part for part in text.split("\n\n") if not re.match(r"$|#|<!--|\||\*The details", part.strip())]
    words = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", " ".join(paragraphs[0].split())).replace("*", "")
    return re.split(r"(?<=[.:])\s", words)[0].rstrip(":.") + "."


def llms() -> str:
    """The text of the list."""
    mkdocs = re.sub(r"^hooks:.*$", "", (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8"), flags=re.MULTILINE)
    pages = [(title, page) for title, page in listed(yaml.safe_load(mkdocs)["nav"]) if (DOCS / page).is_file()]
    lines = [f"- [{title}]({page}): {first_sentence(page)}" for title, page in pages]
    about = (
        "> Run a Python function over many inputs in parallel: on this machine, on Lambda, or on big machines in AWS."
    )
    return "\n".join(["# Fanfold", "", about, "", "Begin with [the skill](skill.md).", "", "## Pages", "", *lines, ""])


def test_llms_txt_lists_pages_of_the_manual():
    if os.environ.get("FANFOLD_UPDATE_DOCS"):
        (DOCS / "llms.txt").write_text(llms(), encoding="utf-8")
    pages = re.compile(r"^- \[.*?\]\((.*?)\): ", re.MULTILINE)
    there = pages.findall((DOCS / "llms.txt").read_text(encoding="utf-8"))
    assert len(there) > 50
    assert set(there) <= set(pages.findall(llms()))


def test_thirty_tasks_use_only_what_the_skill_teaches():
    assert len(skill_tasks.TASKS) == 30
    tree = ast.parse(Path(skill_tasks.__file__).read_text(encoding="utf-8"))
    used: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("fanfold", "job"):
            used.add(f"{node.value.id}.{node.attr}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and "fanfold" in ast.unparse(node.func):
            used |= {f"{keyword.arg}=" for keyword in node.keywords if keyword.arg not in (None, "x", "by", "name")}
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "shell":
            used |= {each.value for each in node.args if isinstance(each, ast.Constant) and each.value.startswith("-")}
            used.add(f"fanfold {ast.literal_eval(node.args[0])}")
    assert len(used) > 40
    assert [name for name in sorted(used) if name not in SKILL] == []
