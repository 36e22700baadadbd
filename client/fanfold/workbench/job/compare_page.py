"""Two jobs beside each other, by their ids in the address."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlencode

from nicegui import ui

from fanfold.api.submit import get_job
from fanfold.errors import FanfoldError
from fanfold.job.compare import Comparison, compare
from fanfold.workbench.layout import button, element, field, link, text

_NAMED = 50


async def show_comparison(engine: str, query: Mapping[str, str]) -> None:
    """Build the page for one viewer. `query` is the address's: the job `before` and the one `after` it."""
    before, after = query.get("before", "").strip(), query.get("after", "").strip()
    chosen = {"before": before, "after": after}
    text("Compare two jobs", "", "h1")
    with element("div", "ff-row ff-filters"):
        for name, value in tuple(chosen.items()):
            field(f"The job {name}", value=value, on_change=partial(chosen.__setitem__, name), placeholder="its id")
        button("Compare", lambda: ui.navigate.to(f"/compare?{urlencode(chosen)}"))
    if not (before and after):
        text("Give the ids of two jobs; each job's page has a button that brings its own.", "ff-card ff-empty")
        return

    def read() -> Comparison:
        return compare(get_job(before, engine=engine), get_job(after, engine=engine))

    try:
        found = await asyncio.to_thread(read)
    except FanfoldError as error:
        text(str(error), "ff-card ff-empty").props("role=alert")
        return
    _build(found, after)


def _build(found: Comparison, after: str) -> None:
    with (
        element("section", "ff-card").props('aria-label="Facts of both"'),
        element("table", "ff-plain"),
        element("tbody"),
    ):
        for fact in found.facts:
            with element("tr"):
                text(fact.label, "", "th").props("scope=row")
                for value in (fact.before, fact.after):
                    with element("td"):
                        link(value, f"/job/{value}") if fact.label == "job" else text(value, "", "span")
                text(fact.change, "ff-muted", "td")
    with element("section", "ff-card").props('aria-label="The same inputs"'):
        text("The same inputs", "", "h2")
        for sentence in found.sentences():
            text(sentence)
        for title, runs in (("Succeeded now", found.repaired), ("Failed now", found.broken)):
            if runs:
                with element("div", "ff-row ff-small"):
                    text(f"{title}:", "", "span")
                    for run in runs[:_NAMED]:
                        link(f"run {run}", f"/job/{after}/run/{run}")
                    left = len(runs) - _NAMED
                    text(f"and {left:,} more" if left > 0 else "", "", "span")
    with element("section", "ff-card").props('aria-label="Code"'):
        text("What differs in the code", "", "h2")
        if found.code:
            text(found.code, "ff-pre ff-table", "pre").props('tabindex=0 role=region aria-label="Differences"')
        else:
            text("Nothing that can be read.", "ff-muted")
