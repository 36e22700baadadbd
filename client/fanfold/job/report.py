"""A job as one HTML file: for a colleague without an account, for the record. It asks for nothing from anywhere."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from fanfold.contract.records import NamedTuple
from fanfold.core.fold import JobState
from fanfold.core.formatting import as_html, counted, duration
from fanfold.core.models import BAD, RunStatus
from fanfold.core.shown import short
from fanfold.errors import FanfoldError, InputError
from fanfold.job import chart_data, history
from fanfold.job.causes import Cause, causes_of, input_line, is_file
from fanfold.job.chart_data import Spans, Timeline
from fanfold.job.job import Job
from fanfold.job.logs import LogReader
from fanfold.job.plain_text import plain
from fanfold.job.written import write_page

#: Runs that have a row, causes that are told, and lines that are shown of what a failed run printed.
_MOST_RUNS, _MOST_CAUSES, _LOG_LINES = 2_000, 50, 40
_NAMED_RUNS, _VARIANTS = 20, 5
#: Characters of a line that are shown.
_WIDEST = 2_000
_WIDTH, _HEIGHT, _LINE = 1000, 220, 10


class _Report(NamedTuple):
    """What all parts of the page draw from."""

    job: Job
    state: JobState
    causes: list[Cause]
    #: The texts as they ran, each with its path; empty where they cannot be read.
    code: list[tuple[str, str]]
    #: The last lines of the first run of each cause.
    printed: dict[int, list[str]]
    #: Which runs have a row.
    shown: int


def write_report(job: Job, path: str | os.PathLike[str] | None = None) -> Path:
    """Write the page; the path is that of the file. Raises `InputError` where it cannot be written."""
    target = Path(path) if path is not None else Path(f"{job.id}.html")
    if target.suffix.lower() not in (".html", ".htm"):
        raise InputError(
            f"A report is a page, but {target.name} does not end in .html.", next_step="give a name that ends in .html."
        )
    return write_page(target, "\n".join(_page(_read(job))))


def _read(job: Job) -> _Report:
    _ = job.status  # what is new
    causes = causes_of(job.state)[:_MOST_CAUSES]
    try:
        code = history.code(job)
    except FanfoldError:  # a job whose bundle was removed has a report all the same
        code = []
    return _Report(
        job, job.state, causes, code, _printed(job, {cause.runs[0] for cause in causes}), min(len(job), _MOST_RUNS)
    )


def _printed(job: Job, runs: set[int]) -> dict[int, list[str]]:
    """The last lines of some runs: one pass over what all have printed, of which only these lines are held."""
    pieces: dict[int, deque[str]] = {run: deque(maxlen=_LOG_LINES) for run in runs}
    for event in LogReader(job.contents, runs).news() if runs else ():
        pieces[event.index].append(str(event.data.get("text", "")))
    return {run: _last_lines("".join(found)) for run, found in pieces.items() if found}


def _last_lines(printed: str) -> list[str]:
    return [plain(line) for line in printed.replace("\r\n", "\n").removesuffix("\n").split("\n")[-_LOG_LINES:]]


def _page(report: _Report) -> Iterator[str]:
    job, state = report.job, report.state
    title = f"{as_html(job.name)} · {state.status.value}"
    yield '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    yield f"<title>{title} · Fanfold</title><style>{_STYLE}</style></head><body><header>"
    yield f'<h1>{as_html(job.name)} <span class="status {state.status.value}">{state.status.value}</span></h1>'
    yield f"<p>job <code>{as_html(job.id)}</code>, as of {_clock(time.time())}</p>"
    parts = [("how", "How it stands"), ("causes", "Failures"), ("times", "Times"), ("runs", "Runs")]
    parts += [("code", "Code"), ("history", "History")]
    shown = [(name, label) for name, label in parts if report.causes or name != "causes"]
    links = "".join(f'<li><a href="#{name}">{label}</a></li>' for name, label in shown)
    yield f'<nav aria-label="Parts"><ul>{links}</ul></nav></header><main>'
    for part in (_how_it_stands, _failures, _times, _runs, _code, _history):
        yield from part(report)
    again = f'fanfold.get_job("{job.id}")'
    yield f"</main><footer><p>Where this was made: <code>{as_html(again)}</code></p></footer></body></html>"


# How it stands.


def _how_it_stands(report: _Report) -> Iterator[str]:
    header, summary = report.state.header, report.job.summary()
    rows = [
        ("started", f"{_clock(header.created_at)} by {header.owner}"),
        ("runs on", f"{header.engine} · {header.instance_type or 'realtime'}"),
        *summary.rows(),
    ]
    yield '<section id="how"><h2>How it stands</h2>'
    yield from _bar(report.state)
    cells = "".join(f'<tr><th scope="row">{as_html(label)}</th><td>{as_html(words)}</td></tr>' for label, words in rows)
    yield f"<table><tbody>{cells}</tbody></table></section>"


def _bar(state: JobState) -> Iterator[str]:
    counts, total, at = state.counts(), max(1, state.header.count), 0.0
    parts = []
    for status, count in counts.items():
        if count and status is not RunStatus.QUEUED:
            width = _WIDTH * count / total
            parts.append(f'<rect class="{status.value}" x="{at:.2f}" width="{width:.2f}" height="14"/>')
            at += width
    words = ", ".join(f"{count:,} {status.value.replace('_', ' ')}" for status, count in counts.items() if count)
    yield f'<svg class="bar" viewBox="0 0 {_WIDTH} 14" preserveAspectRatio="none" role="img" aria-label="{words}">'
    yield f'{"".join(parts)}</svg><p class="quiet">{words}</p>'


# Why it failed.


def _failures(report: _Report) -> Iterator[str]:
    if not report.causes:
        return
    yield '<section id="causes"><h2>Failures</h2>'
    for number, cause in enumerate(report.causes, start=1):
        yield f'<article id="cause-{number}"><h3>{as_html(cause.title)}</h3>'
        yield f'<p class="message">{as_html(cause.message[:2000])}</p>'
        if cause.key.line is not None and _place_of(report, cause) is not None:
            yield f'<p><a href="#{_anchor(report, cause)}">the line in the code</a></p>'
        if len(cause.variants) > 1:
            some = [f"{count:,} × {as_html(message[:300])}" for message, count in cause.variants[:_VARIANTS]]
            left = len(cause.variants) - len(some)
            yield f'<ul class="messages"><li>{"</li><li>".join(some)}</li></ul>'
            yield f"<p>and {left:,} more messages</p>" if left else ""
        if cause.traceback:
            yield _pre(cause.traceback, f"Traceback {number}")
        yield from _inputs_of(report, cause)
        lines = report.printed.get(cause.runs[0])
        if lines:
            yield f"<h4>What run {cause.runs[0]} printed last</h4>{_pre(chr(10).join(lines), f'Output {number}')}"
        yield "</article>"
    yield "</section>"


def _inputs_of(report: _Report, cause: Cause) -> Iterator[str]:
    named = cause.runs[:_NAMED_RUNS]
    rows = [f"<li>{_run_link(report, run)}: {as_html(input_line(report.job.contents, run))}</li>" for run in named]
    left = len(cause.runs) - len(named)
    yield f'<ul class="inputs">{"".join(rows)}</ul>' + (f"<p>and {left:,} more runs</p>" if left else "")


def _run_link(report: _Report, run: int) -> str:
    return f'<a href="#run-{run}">run {run}</a>' if run < report.shown else f"run {run}"


def _place_of(report: _Report, cause: Cause) -> int | None:
    """Which of the texts the line that raised stands in."""
    line = cause.key.line
    return next((n for n, (path, _) in enumerate(report.code) if line is not None and is_file(line.file, path)), None)


def _anchor(report: _Report, cause: Cause) -> str:
    line = cause.key.line
    return f"code-{_place_of(report, cause)}-{line.number if line is not None else 0}"


# What it took.


def _times(report: _Report) -> Iterator[str]:
    state = report.state
    every = chart_data.spans(state, state.now())
    yield '<section id="times"><h2>Times</h2>'
    if not len(every.runs):
        yield "<p>No run was performed here.</p></section>"
        return
    drawn = chart_data.timeline(state, every)
    yield f"<h3>Runs over time</h3>{_timeline(drawn)}"
    kind = "how many ran side by side" if drawn.slices else "one bar a run"
    yield f'<p class="quiet">{kind}; from the submit to {duration(drawn.end_s)} after it</p>'
    bins = chart_data.histogram(chart_data.durations(state))
    if bins:
        yield f"<h3>Time of a run</h3>{_histogram(bins)}"
        yield f'<p class="quiet">from {duration(bins[0][0])} to {duration(bins[-1][1])}, on a logarithmic scale</p>'
    yield from _longest(report, every)
    yield "</section>"


def _timeline(drawn: Timeline) -> str:
    scale = _WIDTH / (drawn.end_s or 1.0)
    if drawn.slices:
        most = max((sum(counts.values()) for _, counts in drawn.slices), default=1.0) or 1.0
        shapes = [
            _rect(status, start * scale, _HEIGHT * (1 - top / most), drawn.slice_s * scale, _HEIGHT * count / most)
            for start, counts in drawn.slices
            for status, count, top in _stacked(counts)
        ]
        return _picture(shapes, _HEIGHT, "Runs over time")
    height = min(float(_LINE), _HEIGHT / max(1, drawn.lines) if drawn.lines > _HEIGHT / _LINE else _LINE)
    shapes = [
        _rect(status, start * scale, line * height, max(1.0, (end - start) * scale), height * 0.86)
        for line, start, end, status, *_ in drawn.bars
    ]
    return _picture(shapes, height * max(1, drawn.lines), "Runs over time")


def _stacked(counts: dict[str, float]) -> Iterator[tuple[str, float, float]]:
    top = 0.0
    for status, count in counts.items():
        top += count
        yield status, count, top


def _histogram(bins: list[tuple[float, float, int]]) -> str:
    most, width = max(count for *_, count in bins), _WIDTH / max(8, len(bins))
    shapes = [
        _rect("running", n * width + 1, _HEIGHT * (1 - count / most), width - 2, _HEIGHT * count / most)
        for n, (*_, count) in enumerate(bins)
    ]
    return _picture(shapes, _HEIGHT, "Time of a run")


def _rect(kind: str, x: float, y: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def _picture(shapes: list[str], height: float, label: str) -> str:
    box = f"0 0 {_WIDTH} {height:.0f}"
    return f'<svg viewBox="{box}" preserveAspectRatio="none" role="img" aria-label="{label}">{"".join(shapes)}</svg>'


def _longest(report: _Report, every: Spans) -> Iterator[str]:
    longest = every.chosen((every.starts_s - every.ends_s).argsort(kind="stable")[:10])
    rows = (
        f"<tr><td>{_run_link(report, span.index)}</td><td>{duration(span.end_s - span.start_s)}</td>"
        f"<td>{as_html(input_line(report.job.contents, span.index))}</td></tr>"
        for span in longest.each()
    )
    yield "<h3>The longest runs</h3>" + _table(("run", "time", "input"), rows, "The longest runs")


# Every run, the code and the history.


def _runs(report: _Report) -> Iterator[str]:
    causes = {run: n for n, cause in enumerate(report.causes, start=1) for run in cause.runs}
    count = len(report.job)
    yield f'<section id="runs"><h2>{counted(count, "run").capitalize()}</h2>'
    if report.shown < count:
        yield f"<p>The first {report.shown:,} of {count:,}; failures of all runs are above.</p>"
    titles = ("run", "input", "status", "time", "memory", "attempt", "result")
    yield _table(titles, (_run_row(report, run, causes) for run in range(report.shown)), "Runs") + "</section>"


def _run_row(report: _Report, run: int, causes: dict[int, int]) -> str:
    state = report.state
    status, usage = state.status_of(run), state.usage(run)
    took = "" if usage is None else duration(usage.duration_s)
    memory = "" if usage is None else f"{usage.peak_memory_mib:,.0f} MiB"
    words = status.value.replace("_", " ")
    said = f'<a href="#cause-{causes[run]}">{words}</a>' if run in causes else words
    return (
        f'<tr id="run-{run}"><td class="number">{run}</td><td>{as_html(input_line(report.job.contents, run))}</td>'
        f'<td class="{status.value}">{said}</td><td class="number">{took}</td><td class="number">{memory}</td>'
        f'<td class="number">{state.attempt_of(run) + 1}</td><td>{as_html(_result(report, run, status))}</td></tr>'
    )


def _result(report: _Report, run: int, status: RunStatus) -> str:
    """A small result in short; of others how they are kept. What was pickled is not read: that would run code."""
    output = report.state.output(run)
    if output is None:
        error = report.state.error(run)
        return f"{error.type}: {error.message}"[:200] if error is not None and status in BAD else ""
    kept = f"{output.codec}, {output.size:,} bytes"
    if output.inline is None or not output.codec.startswith("json"):
        return kept
    try:
        return str(short(report.job.contents.value(run, output)))
    except FanfoldError:
        return kept


def _code(report: _Report) -> Iterator[str]:
    marked = {_anchor(report, cause) for cause in report.causes}
    hashes = ", ".join(f"{count:,} × {code[:16]}" for code, count in report.state.code_hashes().items())
    yield f'<section id="code"><h2>Code</h2><p>code hash <code>{as_html(hashes)}</code></p>'
    for number, (path, text) in enumerate(report.code):
        lines = []
        for line in text.split("\n"):
            anchor = f"code-{number}-{line[:5].strip()}"
            is_marked = anchor in marked
            lines.append(f'<mark id="{anchor}">{as_html(line)}</mark>' if is_marked else as_html(line))
        yield f"<h3>{as_html(path)}</h3>"
        yield f'<pre tabindex="0" role="region" aria-label="{as_html(path)}">{chr(10).join(lines)}</pre>'
    yield "</section>" if report.code else "<p>The code cannot be read any more.</p></section>"


def _history(report: _Report) -> Iterator[str]:
    rows = (f"<tr><td>{_clock(at)}</td><td>{as_html(what)}</td></tr>" for at, what in history.moments(report.state))
    yield f'<section id="history"><h2>History</h2>{_table(("when", "what"), rows, "History")}</section>'


def _table(titles: Iterable[str], rows: Iterable[str], label: str) -> str:
    head = "".join(f'<th scope="col">{title}</th>' for title in titles)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="wide" tabindex="0" role="region" aria-label="{label}">{table}</div>'


def _pre(text: str, label: str) -> str:
    lines = "\n".join(_cut(line) for line in text.split("\n"))
    return f'<pre tabindex="0" role="region" aria-label="{label}">{as_html(lines)}</pre>'


def _cut(line: str) -> str:
    """A line as far as a reader would follow it: one may have megabytes, in which a browser would find nothing else."""
    return line if len(line) <= _WIDEST else f"{line[:_WIDEST]} … ({len(line):,} characters in this line)"


def _clock(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S %Z", time.localtime(at))


_STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --quiet: #57606a; --back: #ffffff; --card: #f6f8fa; --line: #d0d7de;
  --link: #0550ae; --good: #1a7f37; --bad: #b3261e; --busy: #0969da; --mark: #fff3bf; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --quiet: #9da7b1; --back: #0d1117; --card: #161b22;
  --line: #30363d; --link: #79b8ff; --good: #4ac26b; --bad: #ff8a80; --busy: #58a6ff; --mark: #4d3b00; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 24px; max-width: 1160px; background: var(--back); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 24px; margin: 0; } h2 { font-size: 18px; margin: 32px 0 8px; }
h3 { font-size: 15px; margin: 16px 0 6px; } h4 { font-size: 14px; margin: 12px 0 4px; } p { margin: 6px 0; }
a { color: var(--link); } .quiet { color: var(--quiet); }
nav ul { display: flex; gap: 16px; flex-wrap: wrap; list-style: none; padding: 0; margin: 8px 0; }
table { border-collapse: collapse; width: 100%; } th { font-weight: 600; }
th, td { text-align: left; padding: 4px 10px 4px 0; vertical-align: top; overflow-wrap: anywhere;
  border-bottom: 1px solid var(--line); }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; max-height: 70vh; overflow-y: auto; }
article { border: 1px solid var(--line); border-radius: 8px; padding: 4px 16px 12px; margin: 12px 0; }
pre { background: var(--card); border-radius: 6px; padding: 10px; overflow: auto; max-height: 60vh; }
code, pre, .message, .messages, .inputs { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
mark { background: var(--mark); color: inherit; } :target { outline: 2px solid var(--busy); }
svg { width: 100%; background: var(--card); border-radius: 4px; display: block; }
svg:not(.bar) { height: auto; max-height: 260px; } svg.bar { height: 14px; }
.status { font-size: 15px; font-weight: 600; }
.Completed, td.succeeded, td.cached { color: var(--good); }
.Failed, td.failed, td.failed a, td.timed_out, td.out_of_memory, td.lost { color: var(--bad); }
rect { fill: var(--bad); } rect.succeeded, rect.cached { fill: var(--good); } rect.running { fill: var(--busy); }
rect.cancelled { fill: var(--quiet); }
@media print { .wide, pre { max-height: none; overflow: visible; } }
"""
