"""Only a browser that was given this start's token, and only from this address: pages, sockets, downloads alike."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from fanfold.engines.local.engine import LocalEngine
from fanfold.workbench.auth import Pass, cookie_secret
from fanfold.workbench.server import open_browser

WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
}
PLACES = ("/", "/workbench", "/job/x", "/job/x/results.csv", "/_nicegui_ws/socket.io/?EIO=4&transport=polling")


@pytest.fixture
def cookies(workbench):
    answer = httpx.get(workbench.address)
    assert answer.status_code == 303
    assert answer.headers["location"] == "/"  # the token does not stay in the address
    return dict(answer.cookies)


@pytest.mark.parametrize("path", PLACES)
def test_without_the_token_nothing_is_answered(workbench, path):
    answer = httpx.get(workbench.root + path)
    assert answer.status_code == 403
    assert "fanfold workbench" in answer.text


def test_a_wrong_token_is_none(workbench):
    assert httpx.get(f"{workbench.root}/?token=guessed").status_code == 403
    name = f"fanfold_{workbench.root.rpartition(':')[2]}"
    assert httpx.get(workbench.root, cookies={name: "guessed"}).status_code == 403


def test_each_start_has_a_token_of_its_own():
    assert Pass(1).token != Pass(1).token


def test_the_token_lets_in(workbench, cookies):
    assert httpx.get(workbench.root, cookies=cookies).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "evil.example:80", ""])
def test_another_host_is_turned_away_whatever_it_knows(workbench, cookies, host):
    assert httpx.get(workbench.root, cookies=cookies, headers={"Host": host}).status_code in (400, 403)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
def test_another_origin_is_turned_away_whatever_it_knows(workbench, cookies, origin):
    assert httpx.get(workbench.root, cookies=cookies, headers={"Origin": origin}).status_code == 403


@pytest.mark.parametrize("origin", [None, "http://evil.example"])
def test_a_socket_or_a_write_must_say_that_it_comes_from_here(workbench, cookies, origin):
    headers = {} if origin is None else {"Origin": origin}
    path = f"{workbench.root}/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    assert httpx.get(path, cookies=cookies, headers={**headers, **WEBSOCKET}).status_code == 403
    assert httpx.post(workbench.root, cookies=cookies, headers=headers).status_code == 403


def test_the_page_may_not_be_framed_nor_fetch_from_elsewhere(workbench, cookies):
    policy = httpx.get(workbench.root, cookies=cookies).headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'self'" in policy


def test_the_cookie_is_out_of_reach_of_scripts(visit, workbench):
    page = visit()
    page.context.clear_cookies()
    page.goto(workbench.address)
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    assert "fanfold_" not in page.evaluate("document.cookie")


def test_it_listens_on_this_machine_alone(workbench):
    import psutil

    listening = psutil.Process(workbench.process.pid).net_connections("tcp")
    assert {one.laddr.ip for one in listening if one.status == psutil.CONN_LISTEN} == {"127.0.0.1"}


def test_its_address_is_one_line(workbench):
    assert workbench.address.startswith("http://127.0.0.1:")
    assert "?token=" in workbench.address


def test_a_second_browser_with_the_address_is_let_in_as_well(visit):
    for page in (visit(), visit()):
        expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()


def test_a_stale_token_gets_a_page_that_says_how_to_get_in(workbench):
    answer = httpx.get(f"{workbench.root}/?token=of-an-earlier-start")
    assert answer.headers["content-type"].startswith("text/html")
    assert "fanfold workbench" in answer.text


def test_a_browser_that_was_let_in_stays_so_when_it_is_started_again_and_a_token_does_not(tmp_path):
    first, again = Pass(1, cookie_secret(tmp_path)), Pass(1, cookie_secret(tmp_path))
    assert again.has_signed(first.cookie_value)
    assert not again.knows(first.token)
    assert not Pass(2, cookie_secret(tmp_path)).has_signed(first.cookie_value)
    assert (tmp_path / "workbench-cookie-secret").stat().st_mode & 0o777 == 0o600


def test_the_browsers_command_line_does_not_name_the_token(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    open_browser("http://127.0.0.1:1/?token=secret")
    assert "secret" not in opened[0]
    path = Path(opened[0].removeprefix("file://"))
    assert "url=http://127.0.0.1:1/?token=secret" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_home_that_others_may_read_has_a_database_that_they_may_not(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    LocalEngine(home).stores.log.list_jobs(limit=1)
    for path in home.iterdir():
        assert path.stat().st_mode & 0o077 == 0, path
