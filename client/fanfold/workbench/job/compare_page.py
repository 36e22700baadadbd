"""Two jobs beside each other, by their ids in the address."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

from fanfold.core.formatting import counted
from fanfold.errors import FanfoldError
from fanfold.job.diff import Difference
from fanfold.workbench.job.comparison import Fact
from fanfold.workbench.layout import element, field, link, text
from fanfold.workbench.results_process import ResultsProcess

_NAMED = 50


async def show_comparison(results: ResultsProcess, engine: str, query: Mapping[str, str]) -> None:
    """Build the page for one viewer. `query` is the address's: the job `before` and the one `after` it."""
    before, after = query.get("before", "").strip(), query.get("after", "").strip()
    text("Compare two jobs", "", "h1")
    # A form that the browser sends itself: what is typed before the page is connected counts as well.
    with element("form", "ff-row ff-filters").props("action=/compare method=get"):
        for name, value in (("before", before), ("after", after)):
            field(f"The job {name}", value=value, name=name, placeholder="its id", size="30")
        text("Compare", "ff-button", "button")
    if not (before and after):
        text("Give the ids of two jobs; each job's page has a button that brings its own.", "ff-card ff-empty")
        return

    try:
        facts, found = await asyncio.to_thread(results.ask, "compare", before, after, engine)
    except FanfoldError as error:
        text(str(error), "ff-card ff-empty").props("role=alert")
        return
    _build(facts, found)


def _sentences(found: Difference) -> Iterator[str]:
    """What became of the inputs that both have."""
    same = found.inputs["in_both"]
    if not same:
        yield "They have no input in common."
        return
    yield f"{counted(same, 'input')} {'is' if same == 1 else 'are'} in both."
    yield f"{len(found.repaired):,} that failed before succeeded; {len(found.broken):,} that succeeded before failed."
    yield f"Of {counted(found.compared, 'result')} of the same inputs {len(found.results):,} differ."
    if found.slower is not None:
        yield f"A run of the same input took {found.slower:.2f} times as long, in the middle."


def _build(facts: list[Fact], found: Difference) -> None:
    with (
        element("section", "ff-card").props('aria-label="Facts of both"'),
        element("table", "ff-plain"),
        element("tbody"),
    ):
        for fact in facts:
            with element("tr"):
                text(fact.label, "", "th").props("scope=row")
                for value in (fact.before, fact.after):
                    with element("td"):
                        link(value, f"/job/{value}") if fact.label == "job" else text(value, "", "span")
                text(fact.change, "ff-muted", "td")
    with element("section", "ff-card").props('aria-label="The same inputs"'):
        text("The same inputs", "", "h2")
        for sentence in _sentences(found):
            text(sentence)
        for title, runs in (
            ("Succeeded now", found.repaired),
            ("Failed now", found.broken),
            ("Another result", found.results),
        ):
            if runs:
                with element("div", "ff-row ff-small"):
                    text(f"{title}:", "", "span")
                    for run in runs[:_NAMED]:
                        link(f"run {run}", f"/job/{found.b}/run/{run}")
                    left = len(runs) - _NAMED
                    text(f"and {left:,} more" if left > 0 else "", "", "span")
    with element("section", "ff-card").props('aria-label="Code"'):
        text("What differs in the code", "", "h2")
        if found.code:
            text(found.code, "ff-pre ff-table", "pre").props('tabindex=0 role=region aria-label="Differences"')
        else:
            text("Nothing.", "ff-muted")
