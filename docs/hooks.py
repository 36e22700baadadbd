"""What the site adds to the pages: the changelog, a list of the decisions, links from docs/ to the repository."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
REPOSITORY = "https://github.com/fanfold/fanfold/blob/main/"


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that stand elsewhere, or are a list of others."""
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").replace("](docs/", "](")
    changes = changes.replace("](examples/", f"]({REPOSITORY}examples/")
    files.append(File.generated(config, "changelog.md", content=changes))
    lines = ["# Decisions", "", "What was decided, what else there was, and why.", ""]
    for page in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        title = page.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        lines.append(f"- [{title}]({page.name})")
    files.append(File.generated(config, "decisions/index.md", content="\n".join(lines) + "\n"))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Links to files beside docs/ lead to the repository: they are no pages."""
    up = "../" * (page.file.src_uri.count("/") + 1)
    return re.sub(rf"\]\({re.escape(up)}([^)]+)\)", rf"]({REPOSITORY}\1)", markdown)


def on_post_build(config: Any, **_: Any) -> None:
    """Refuse a site that would ask another host for a script, a style, a font or a picture."""
    tags = r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?https?:|<link[^>]*stylesheet[^>]*https?:"
    asks = re.compile(tags + r"|url\([\"']?https?:|data-md-component=\"source\"")
    paths = [path for path in Path(config.site_dir).rglob("*") if path.suffix in {".html", ".css"}]
    found = [path.name for path in paths if asks.search(path.read_text(encoding="utf-8"))]
    if found:
        raise PluginError(f"These pages ask another host for something: {', '.join(found)}.")
