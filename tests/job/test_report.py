"""A job as one HTML file: everything in it, nothing asked for from elsewhere, no text of a user's that becomes HTML."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import pytest

import fanfold
from fanfold.errors import InputError


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
def store_of_many(tmp_path, monkeypatch):
    from fanfold.engines.local.engine import LocalEngine
    from fanfold.job import Job
    from tests.workbench.samples import Store

    monkeypatch.chdir(tmp_path)
    header = Store(tmp_path / "home").finished(5_000, failing=200)
    return Job(header, LocalEngine(tmp_path / "home"))
