"""Real clients of a pixel, counted as docs/ingest.md says."""

import subprocess

import pytest
from hostile import get
from ingest_tier import Ingest
from processes import wait_until

PAGE = """<!doctype html><title>A page</title><p>An article.</p>
<img src="{pixel}" width="1" height="1" alt="" style="border:0">"""

MAIL = """<html><body><table><tr><td>Dear reader</td></tr></table>
<img src="{pixel}&amp;s=reader-7" width="1" height="1" alt="" style="border:0"></body></html>"""


@pytest.fixture(scope="module")
def ingest(broker, tmp_path_factory):
    started = Ingest(tmp_path_factory.mktemp("clients") / "data", broker)
    yield started
    assert started.stop() == 0


def url(ingest, name, query="cb=1"):
    return f"{ingest.url}/p/clients/{name}/banner.gif?{query}"


def hits(ingest, name):
    return [hit for hit in ingest.hits if hit["campaign"] == name]


def arrived(ingest, name, count):
    wait_until(lambda: len(hits(ingest, name)) >= count, f"{count} hits of {name}", 10)
    # One that must not be counted would have been written before this one.
    ingest.ask(get("/p/clients/last/banner.gif"))
    before = len(hits(ingest, "last"))
    wait_until(lambda: len(hits(ingest, "last")) > before or before, "the last", 10)
    assert len(hits(ingest, name)) == count
    return hits(ingest, name)


def test_a_page_shown_three_times_counts_three_times(ingest, browser, tmp_path):
    (tmp_path / "page.html").write_text(PAGE.format(pixel=url(ingest, "page")))
    with browser.new_context() as context:
        page = context.new_page()
        for _ in range(3):
            page.goto(f"file://{tmp_path}/page.html")
            image = "document.images[0]"
            assert page.evaluate(f"[{image}.complete, {image}.naturalWidth]") == [True, 1]
    found = arrived(ingest, "page", 3)
    assert {hit["kind"] for hit in found} == {"impression"}
    assert all("Chrome" in hit["user_agent"] for hit in found)


def test_a_mail_opened_in_a_browser_is_an_open_of_its_subscriber(ingest, browser):
    with browser.new_context() as context:
        page = context.new_page()
        page.set_content(MAIL.format(pixel=url(ingest, "mail", "e=open")), wait_until="load")
    [found] = arrived(ingest, "mail", 1)
    assert (found["kind"], found["subscriber"]) == ("open", "reader-7")


def test_a_script_of_any_page_may_ask_too(ingest, browser):
    with browser.new_context() as context:
        page = context.new_page()
        asked = "async address => (await fetch(address, {headers: {'X-Mine': '1'}})).status"
        assert page.evaluate(asked, url(ingest, "script")) == 200
    arrived(ingest, "script", 1)  # the preflight is none


def test_curl_asking_for_the_head_is_not_counted_and_then_for_the_image_is(ingest):
    curl = ["curl", "--silent", "--compressed", "--include"]
    head = subprocess.run([*curl, "--head", url(ingest, "curl")], capture_output=True, check=True).stdout
    whole = subprocess.run([*curl, url(ingest, "curl")], capture_output=True, check=True).stdout
    for answer in (head, whole):
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nContent-Length: 42\r\n" in answer
        assert b"\r\nCache-Control: no-store" in answer
        assert b"Content-Encoding" not in answer
    assert head.endswith(b"\r\n\r\n")
    assert len(whole.partition(b"\r\n\r\n")[2]) == 42
    arrived(ingest, "curl", 1)


def test_http_1_0_is_answered_and_closed(ingest):
    asked = subprocess.run(
        ["curl", "--silent", "--http1.0", "--include", url(ingest, "old")], capture_output=True, check=True
    )
    assert b"\r\nConnection: close\r\n" in asked.stdout
    arrived(ingest, "old", 1)


def test_kept_alive_and_pipelined_each_counts(ingest):
    pixel = get("/p/clients/piped/banner.gif")
    with ingest.connect() as client:
        for number in range(3):
            client.sendall(pixel * 5)
            received = b""
            while received.count(b"GIF89a") < 5:
                received += client.recv(65536)
            assert received.count(b"HTTP/1.1 200 OK\r\n") == 5, number
    arrived(ingest, "piped", 15)
