"""What there is to say of one run, beside the table of runs and on a page of its own."""

from __future__ import annotations

from fanfold.contract.records import NamedTuple
from fanfold.core.formatting import duration
from fanfold.core.models import Output
from fanfold.errors import FanfoldError
from fanfold.workbench.following import FollowedJob
from fanfold.workbench.layout import element, link, text
from fanfold.workbench.previews import Preview, is_plain, is_plain_result, look_at
from fanfold.workbench.shown_previews import show_preview


class RunDetail(NamedTuple):
    """One run in words, and its result to look at where it has one."""

    index: int  # type: ignore[assignment]
    status: str
    took_s: float | None
    arguments: str
    failure: str
    seen: Preview | None

    @property
    def title(self) -> str:
        """The run's number, how it stands and how long it took."""
        title = f"run {self.index} · {self.status.replace('_', ' ')}"
        return title if self.took_s is None else f"{title} · {duration(self.took_s)}"


def read_run(followed: FollowedJob, index: int) -> RunDetail:
    """Read one run; called in a thread, for its result may be large."""
    with followed.lock:
        job = followed.job
        one = job[index]
        error = one.error
        failure = "" if error is None else error.remote_traceback or error.message
        output, status, took_s = job.state.output(index), one.status.value, one.duration_s
    arguments, seen = look(followed, index, output)
    return RunDetail(index, status, took_s, arguments, failure, seen)


def look(followed: FollowedJob, index: int, output: Output | None) -> tuple[str, Preview | None]:
    """What `look_at` gives of a run: what needs a library to be read is read by the process that has it."""
    contents, header = followed.job.contents, followed.job.header
    if is_plain(contents.own_text(index) + header.constants) and (output is None or is_plain_result(output)):
        return look_at(contents, index, output)
    try:
        seen: tuple[str, Preview | None] = followed.results.ask("look_closely", header, index, output)
    except FanfoldError as error:  # what reads it has ended, as where memory runs out
        return contents.own_text(index), Preview(str(error))
    return seen


def show_run(detail: RunDetail, address: str = "") -> None:
    """Add a run to the page; `address` is that of its own page, where this is another."""
    below = "h3" if address else "h2"  # the page of a run has its title above
    if address:
        with element("div", "ff-row"):
            text(detail.title, "", "h2")
            link("Open this run's page", address)
    text("Input", "ff-muted ff-small ff-title", below)
    text(detail.arguments or "no arguments of its own", "ff-mono")
    if detail.failure:
        text("Why it failed", "ff-muted ff-small ff-title", below)
        text(detail.failure, "ff-pre", "pre").props("tabindex=0")
    elif detail.seen is None:
        text("No result yet.", "ff-muted")
    else:
        text("Result", "ff-muted ff-small ff-title", below)
        show_preview(detail.seen)
