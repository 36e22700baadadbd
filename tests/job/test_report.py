"""A job as one HTML file: everything in it, nothing asked for from elsewhere, no text of a user's that becomes HTML."""

from __future__ import annotations

import errno
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

import fanfold
from fanfold.core.models import Event, EventKind, RunError, RunStatus
from fanfold.engines.local.engine import LocalEngine
from fanfold.errors import InputError
from fanfold.job import Job
from tests.workbench.samples import Store


class Page(HTMLParser):
    """The addresses that a page asks for, its ids, links and tags."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.tags, self.addresses = set(), [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.ids.add(given.get("id"))
        self.addresses += [given[name] for name in ("src", "href", "action", "data") if name in given]
        if tag == "a":
            self.links.append(given["href"])


@fanfold.udf
def halves(x: int, name: str = "<script>alert(1)</script>"):
    print("looking at", x, "<b>")
    if x % 4 == 3:
        raise ValueError(f"{x} is <i>odd</i>")
    return x / 2


@pytest.fixture
def job():
    return fanfold.submit(halves, range(12), collect=False, stop_on_error="never").wait()


@pytest.fixture
def text(job, tmp_path):
    return job.report(tmp_path / "report.html").read_text(encoding="utf-8")


def test_it_tells_how_the_job_stands_what_each_run_gave_and_why_some_failed(job, text):
    for words in (job.id, "9 succeeded", "3 failed", "x=11", "5.0", "halves", "submitted by"):
        assert words in text, words

    causes = text.partition('id="causes"')[2].partition("</section>")[0]
    assert re.search(r"<h3>3 runs: ValueError · [^<]*test_report.py, line \d+</h3>", causes)
    assert causes.count("<li><a href=") == 3
    assert "looking at 3 &lt;b&gt;" in causes


def test_every_link_leads_somewhere_in_the_file_and_nothing_is_asked_for_from_elsewhere(text):
    page = Page(text)
    assert page.links
    assert {link[1:] for link in page.links} <= page.ids
    assert all(address.startswith("#") for address in page.addresses)
    assert not {"script", "img", "link", "iframe", "i", "b"} & set(page.tags)
    assert "url(" not in text
    assert "@import" not in text
    assert re.search(r'<mark id="code-\d+-\d+">\s*\d+ +raise ValueError', text)


def test_a_large_job_has_its_first_runs_and_all_of_its_failures(store_of_many):
    text = store_of_many.report().read_text(encoding="utf-8")
    assert "The first 2,000 of 5,000" in text
    assert text.count('<tr id="run-') == 2_000
    assert "25 runs: ValueError" in text


def test_a_report_is_a_page(job, tmp_path):
    with pytest.raises(InputError, match=r"does not end in \.html"):
        job.report(tmp_path / "report.pdf")
    with pytest.raises(InputError, match="cannot be written"):
        job.report(tmp_path / "nowhere" / "report.html")


def test_the_command_writes_it_too(job, tmp_path):
    from typer.testing import CliRunner

    from fanfold.cli.app import app

    path = tmp_path / "report.html"
    said = CliRunner().invoke(app, ["report", job.id, "-o", str(path), "--json"])
    assert json.loads(said.output) == {"path": str(path), "bytes": path.stat().st_size}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "home")


@pytest.fixture
def store_of_many(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    header = Store(tmp_path / "home").finished(5_000, failing=200)
    return Job(header, LocalEngine(tmp_path / "home"))


STEERING = "half \ud800, \u202eturned, \x1b[31mred\x1b[0m, \x00, \x85, <b>bold</b>"


def test_what_steers_or_is_no_unicode_is_written_out_and_no_line_is_longer_than_anybody_reads(store, tmp_path):
    header = store.finished(4, failing=4)
    store.says(header, 3, "10%\r20%\rdone\n" + "x" * 1_000_000 + f"\n{STEERING}\n")
    error = RunError(STEERING, STEERING, f"Traceback (most recent call last):\n{STEERING}{'y' * 1_000_000}\n")
    store.log.append([Event.new(header.id, 2, 1, EventKind.FINISHED, status=RunStatus.FAILED, error=error)])
    job = Job(header, store.engine)

    report = job.report(tmp_path / "report.html").read_text(encoding="utf-8")

    assert len(report) < 60_000
    assert "1,000,000 characters in this line" in report
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]", report)
    assert "b" not in Page(report).tags
    assert r"half \ud800, \u202eturned" in report
    assert re.search(r">done\n", report)
    assert "20%" not in report
    for shown in (job._repr_html_(), job.summary()._repr_html_()):  # in a notebook as well
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]", shown)


def test_a_report_that_finds_no_room_leaves_the_one_before(job, tmp_path, monkeypatch):
    path = job.report(tmp_path / "report.html")
    before = path.read_bytes()

    def full(self, data):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match="No space left on device"):
        job.report(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if one.suffix == ".html"] == ["report.html"]
