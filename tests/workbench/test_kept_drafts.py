"""Drafts in the home: private, limited, and never in the way; and the port that the server has from the beginning."""

from __future__ import annotations

import json
import os
import socket

import pytest

from fanfold.errors import ConfigurationError, InputError
from fanfold.workbench.editor import drafts as module
from fanfold.workbench.editor.drafts import Drafts
from fanfold.workbench.remembered import Remembered
from fanfold.workbench.server import listen, remember_port


def about(name="/udfs/a.py#one", at=1.0, base="b"):
    return {"id": name, "at": at, "base": base}


def test_a_draft_is_found_by_its_file_and_by_the_text_that_it_was_typed_over(tmp_path):
    drafts = Drafts(tmp_path)
    drafts.keep(about(), b'{"text": "mine"}')
    drafts.keep(about("/udfs/other.py#one", base="c"), b'{"text": "another"}')
    found = [{"id": "/udfs/a.py#one", "open": False, "kept": {"text": "mine"}}]
    assert json.loads(drafts.of_file("/udfs/a.py")) == found
    assert json.loads(drafts.typed_over("b", "/udfs/")) == found
    assert json.loads(drafts.typed_over("b", "/elsewhere/")) == []
    drafts.drop("/udfs/a.py#one")
    assert json.loads(drafts.of_file("/udfs/a.py")) == []


def test_only_this_account_can_read_what_is_kept(tmp_path):
    Drafts(tmp_path).keep(about(), b"{}")
    Remembered(tmp_path, tmp_path).put("port", 8790)
    assert (tmp_path / "drafts").stat().st_mode & 0o777 == 0o700
    files = [*(tmp_path / "drafts").glob("*.json"), tmp_path / "workbench.json"]
    assert [one.stat().st_mode & 0o777 for one in files] == [0o600, 0o600]


def test_a_request_that_was_overtaken_changes_nothing(tmp_path):
    drafts = Drafts(tmp_path)
    drafts.keep(about(at=2.0), b'"later"')
    drafts.keep(about(at=1.0), b'"earlier"')
    assert json.loads(drafts.of_file("/udfs/a.py"))[0]["kept"] == "later"


def test_a_draft_of_a_server_that_lives_is_of_an_open_tab_and_of_one_that_is_gone_is_not(tmp_path):
    first, second = Drafts(tmp_path), Drafts(tmp_path)
    first.keep(about(), b"{}")
    assert json.loads(second.of_file("/udfs/a.py"))[0]["open"]
    first._heartbeat.take_down()  # as its end does
    assert not json.loads(second.of_file("/udfs/a.py"))[0]["open"]


def test_the_oldest_drafts_make_room(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MOST", 3)
    drafts = Drafts(tmp_path)
    for number in range(5):
        drafts.keep(about(f"/udfs/{number}.py#one"), b"{}")
        assert json.loads(drafts.of_file(f"/udfs/{number}.py"))
        for kept in (tmp_path / "drafts").glob("*.json"):  # each is as old as a minute when the next comes
            os.utime(kept, (kept.stat().st_mtime - 60,) * 2)
    kept = [number for number in range(5) if json.loads(drafts.of_file(f"/udfs/{number}.py"))]
    assert kept == [2, 3, 4]


def test_what_is_no_draft_is_passed_over_or_refused(tmp_path):
    drafts = Drafts(tmp_path)
    drafts.keep(about(), b"{}")
    (kept,) = (tmp_path / "drafts").glob("*.json")
    for junk in (b"", b"[]\n{}", b'{"id": 3, "at": "x", "server": "s", "base": ""}\n{}', b"\xff\xfe"):
        kept.write_bytes(junk)
        assert drafts.of_file("/udfs/a.py") == b"[]"
    with pytest.raises(InputError, match="names no draft"):
        drafts.keep(about("no tab"), b"{}")
    drafts.keep(about(), b"{}")  # in the place of the junk
    assert json.loads(drafts.of_file("/udfs/a.py"))


def test_what_is_remembered_is_of_one_folder_and_a_damaged_file_is_as_none(tmp_path):
    one, other = (Remembered(tmp_path, tmp_path / name) for name in ("one", "other"))
    one.put("port", 8790)
    one.put("file", "a.py")
    assert (one.get("port"), one.get("file"), other.get("port")) == (8790, "a.py", None)
    (tmp_path / "workbench.json").write_text('["damaged')
    assert one.get("port") is None
    one.put("port", 8791)
    assert one.get("port") == 8791


def test_a_port_is_the_servers_own_from_the_moment_that_it_is_chosen():
    with listen(0) as listening:
        port = listening.getsockname()[1]
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10),
            pytest.raises(ConfigurationError, match=str(port)),
        ):
            listen(port)
        with listen(None, remembered=port) as other:  # it is taken: the page is to be found, wherever
            assert other.getsockname()[1] != port
    with listen(None, remembered=port) as again:
        assert again.getsockname()[1] == port


def test_the_port_that_was_asked_for_or_found_first_is_remembered_and_one_that_had_to_be_free_is_not(tmp_path):
    remembered = Remembered(tmp_path, tmp_path)
    for asked, bound, then in ((0, 5001, None), (None, 5002, 5002), (None, 5003, 5002), (5004, 5004, 5004)):
        remember_port(remembered, asked, bound)
        assert remembered.get("port") == then
