"""Who is let in, and at whose numbers."""

import time
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

import pytest
from click.testing import CliRunner
from flask import Flask, g
from hypothesis import given
from hypothesis import strategies as st
from processes import free_port

from dashboards.live.access import Access, Viewer, link, token
from dashboards.live.server import listener
from pixeltally.cli import main
from pixeltally.errors import Refused
from pixeltally.keys import key_of, parse
from pixeltally.settings import Settings
from pixeltally.signing import view_link, viewer

TOKEN = "a token of the tests"
SECRET = "of the tests, long enough"
KEY = parse(SECRET)[0]
LATER_S = int(time.time()) + 3600
COOKIE = "pixeltally-8090"


def site(**environ: str) -> Any:
    """A client of a page that says whose numbers it shows."""
    settings = Settings.from_env({"PIXELTALLY_SECRET": SECRET} | environ)
    server = Flask(__name__)
    Access(settings).guard(server)
    server.add_url_rule("/healthz", "health", lambda: "ok")
    server.add_url_rule("/", "board", lambda: f"of {g.viewer.advertiser or 'all'}")
    return server.test_client()


GUARDED = {"PIXELTALLY_LIVE_TOKEN": TOKEN}


def test_on_this_machine_it_is_open_to_this_machine_alone():
    client = site()
    for host in ("127.0.0.1:8090", "localhost:8090", "[::1]:8090"):
        assert client.get("/", headers={"Host": host}).text == "of all"
    for headers in (
        {"Host": "rebound.example:8090"},
        {"Host": "127.0.0.1.example"},
        {"Host": "localhost", "X-Forwarded-For": "192.0.2.1"},
        {"Host": "localhost", "Forwarded": "for=192.0.2.1"},
    ):
        answer = client.get("/", headers=headers)
        assert answer.status_code == 401
        assert "PIXELTALLY_LIVE_TOKEN" in answer.text


@pytest.mark.parametrize("header", ["X-Forwarded-For: 192.0.2.1", "Forwarded: for=192.0.2.1", "Via: 1.1 proxy"])
def test_a_proxy_is_known_behind_the_server_too(header: str):
    settings = Settings.from_env({"PIXELTALLY_SECRET": SECRET, "PIXELTALLY_LIVE_PORT": str(free_port())})
    app = Flask(__name__)
    Access(settings).guard(app)
    app.add_url_rule("/", "board", lambda: "of all")
    server = listener(app, settings)
    Thread(target=server.run, daemon=True).start()
    name, _, value = header.partition(": ")
    assert urlopen(settings.live).read() == b"of all"
    with pytest.raises(HTTPError, match="401"):
        urlopen(Request(settings.live, headers={name: value}))
    server.close()


def test_a_token_comes_in_once_and_stays_in_a_cookie():
    client = site(**GUARDED)
    assert client.get("/").status_code == 401
    entered = client.get("/campaign", query_string={"token": TOKEN, "range": "7d"})
    assert entered.status_code == 200
    assert 'content="0;url=/campaign?range=7d"' in entered.text
    assert TOKEN not in entered.text
    cookie = entered.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert client.get("/").text == "of all"
    assert site(**GUARDED).get("/healthz").text == "ok"


@pytest.mark.parametrize("path", ["//evil.example/", "/<script>", "/elsewhere"])
def test_coming_in_leads_nowhere_else(path: str):
    entered = site(**GUARDED).get("/", query_string={"token": TOKEN}, environ_overrides={"PATH_INFO": path})
    assert 'content="0;url=/"' in entered.text


def test_a_link_shows_its_advertiser_alone():
    client = site(**GUARDED)
    assert client.get("/", query_string={"link": view_link(KEY, "acme", LATER_S)}).status_code == 200
    assert client.get("/?advertiser=globex").text == "of acme"
    # Where the page is open, too: whoever was sent a link sees what the advertiser sees.
    open_client = site()
    open_client.get("/", query_string={"link": view_link(KEY, "acme", LATER_S)})
    assert open_client.get("/").text == "of acme"


FORGED = {
    "nothing": "",
    "no link": "acme",
    "expired": view_link(KEY, "acme", int(time.time()) - 1),
    "of another key": view_link(key_of(b"another secret"), "acme", LATER_S),
    "of another advertiser": view_link(KEY, "globex", LATER_S).replace("globex", "acme"),
    "of another day": view_link(KEY, "acme", LATER_S).replace(str(LATER_S), str(LATER_S + 1)),
    "everybody's": view_link(KEY, "acme", LATER_S).replace("acme", ""),
    "a pattern": view_link(KEY, "acme", LATER_S).replace("acme", "%"),
    "an injection": view_link(KEY, "acme", LATER_S).replace("acme", "acme' OR '1'='1"),
    "twice": view_link(KEY, "acme", LATER_S) * 2,
    "no ascii": view_link(KEY, "acme", LATER_S) + "é",
    "a line more": view_link(KEY, "acme", LATER_S) + "\n",
}


@pytest.mark.parametrize("text", FORGED.values(), ids=FORGED)
def test_forged_links_and_tokens_are_refused(text: str):
    assert viewer([KEY], text, time.time()) is None
    client = site(**GUARDED)
    for name in ("link", "token"):
        assert client.get("/", query_string={name: text}).status_code == 401
    client.set_cookie(COOKIE, text)
    assert client.get("/").status_code == 401


@given(st.text(max_size=20), st.integers(0, 100))
def test_a_link_with_another_letter_is_none(more: str, place: int):
    text = view_link(KEY, "acme", LATER_S)
    altered = text[:place] + more + text[place + 1 :]
    assert altered == text or viewer([KEY], altered, 0) is None


def test_a_link_ends_at_its_time_and_with_its_key():
    text = view_link(KEY, "acme", 1000)
    assert viewer([KEY], text, 999.9) == ("acme", 1000)
    assert viewer([KEY], text, 1000) is None
    assert viewer([], text, 999) is None


def test_beyond_this_machine_a_token_is_made_and_kept(tmp_path: Path):
    environ = {"PIXELTALLY_HOST": "0.0.0.0", "PIXELTALLY_DATA": str(tmp_path)}
    made = token(Settings.from_env(environ))
    assert len(made) == 64
    assert token(Settings.from_env(environ)) == made
    assert (tmp_path / "live-token").stat().st_mode & 0o777 == 0o600
    assert token(Settings.from_env({"PIXELTALLY_DATA": str(tmp_path)})) == b""
    access = Access(Settings.from_env(environ))
    assert access.viewer(made.decode()) is not None
    assert access.viewer("") is None


def test_a_token_that_could_be_guessed_is_refused():
    with pytest.raises(Refused, match="at least 16 letters") as refused:
        Settings.from_env({"PIXELTALLY_LIVE_TOKEN": "guess me"})
    assert "guess me" not in str(refused.value)


def test_the_command_prints_a_link_that_is_let_in():
    settings = Settings.from_env({"PIXELTALLY_SECRET": SECRET, "PIXELTALLY_LIVE_URL": "https://live.example/"})
    address = urlsplit(link(settings, "acme", 7))
    assert (address.netloc, address.path) == ("live.example", "/campaign")
    found = Access(settings).viewer(parse_qs(address.query)["link"][0])
    assert found is not None
    assert found == Viewer("acme", found.until_s)
    assert 7 * 86_400 - 60 < found.until_s - time.time() <= 7 * 86_400


def test_the_command_takes_names_alone():
    run = CliRunner(env={"PIXELTALLY_SECRET": SECRET}).invoke
    assert run(main, ["live", "link", "acme"]).output.startswith("http://127.0.0.1:8090/campaign?range=30d&link=acme~")
    refused = run(main, ["live", "link", "ACME"])
    assert refused.exit_code == 2
    assert "no advertiser's name" in refused.output
    assert run(main, ["live", "link", "acme", "--days", "0"]).exit_code == 2
