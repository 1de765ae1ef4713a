"""Hostile requests and slow clients against a running `pixeltally ingest`: always an answer, and nothing uncounted
that isn't among the dead letters.

`PIXELTALLY_HOSTILE` says how many generated requests are sent (`make hostile`: 20,000).
"""

import json
import os
import re
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from hostile import BY_HAND, INJECTED, PIXEL, SECRET, SHOP, generated, get
from ingest_tier import Ingest
from processes import wait_until

from ingest import connection
from ingest.answers import GIF, PNG

ROOT = Path(__file__).parents[2]
COUNT = int(os.environ.get("PIXELTALLY_HOSTILE", "3000"))

REASONS = set(re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs" / "dead-letters.md").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def ingest(broker, tmp_path_factory):
    started = Ingest(tmp_path_factory.mktemp("hostile") / "data", broker, PIXELTALLY_SECRET=SECRET)
    yield started
    assert started.stop() == 0


def split(received: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """The answers (status, headers, body); one to HEAD has no body whatever its length says."""
    found = []
    while received:
        head, _, rest = received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        assert re.fullmatch(r"HTTP/1\.1 \d\d\d [A-Za-z -]+", first), first
        headers = dict(line.lower().split(": ", 1) for line in lines)
        length = int(headers.get("content-length", "0"))
        body = b"" if rest.startswith(b"HTTP/1.1 ") else rest[:length]
        received = rest[len(body) :]
        found.append((int(first[9:12]), headers, body))
    return found


@pytest.mark.parametrize(("data", "outcome"), BY_HAND, ids=[f"{n}-{each}" for n, (_, each) in enumerate(BY_HAND)])
def test_by_hand(ingest, data, outcome):
    hits, dead = len(ingest.hits), len(ingest.dead)
    found = split(ingest.ask(data))
    if outcome != "nothing" and b" /c/" not in data:
        assert [(status, body) for status, _, body in found] == [(200, GIF)]
    if outcome == "nothing":
        time.sleep(0.1)
        assert (len(ingest.hits), len(ingest.dead)) == (hits, dead)
        return
    wait_until(lambda: ingest.written_down > hits + dead, "it is written down", 10)
    if outcome == "counted":
        assert (len(ingest.hits), len(ingest.dead)) == (hits + 1, dead)
    else:
        assert [each["reason"] for each in ingest.dead[dead:]] == [outcome]
        assert len(ingest.hits) == hits


def test_generated(ingest):
    workers, before = ingest.workers(), ingest.written_down - sum(map(is_broken, ingest.dead))
    pixels = clicks = 0
    statuses: Counter[int] = Counter()
    for data in generated(seed=20_000, count=COUNT):
        for status, headers, body in split(ingest.ask(data)):
            statuses[status] += 1
            assert status < 500, data
            assert INJECTED not in headers, data
            if status == 302:
                assert headers["location"].partition("?")[0] == SHOP, data
            else:
                assert "location" not in headers, data
            if body in (GIF, PNG):
                assert status == 200
                pixels += 1
            # A click that only HEAD asks for gets no id and is not written down.
            clicks += bool(re.search("pt_click=.", headers.get("location", ""))) or body.startswith(b"The link")
    print(f"{COUNT:,} requests: answers by status {dict(statuses)}")

    def written() -> int:
        return ingest.written_down - before - sum(map(is_broken, ingest.dead))

    wait_until(lambda: written() >= pixels + clicks, f"{pixels} pixels and {clicks} clicks are written down", 30)
    time.sleep(0.5)
    assert written() == pixels + clicks
    reasons = Counter(each["reason"] for each in ingest.dead)
    print(f"written down: {len(ingest.hits):,} hits, dead letters by reason {dict(reasons)}")
    assert reasons.keys() <= REASONS
    assert ingest.workers() == workers, "nothing has crashed"
    assert {each.name for each in ingest.data.iterdir()} == {"metrics", "spool"}
    assert [each.name for each in ingest.data.parent.iterdir()] == ["data"]
    assert {each.name for each in (ingest.data / "spool").iterdir() if not each.is_dir()} <= {
        "shipper.status",
        "shipper.lock",
    }


def is_broken(letter):
    """Its answer, a plain 400, can't be told from those to what is no HTTP at all; only a pixel's can."""
    return letter["reason"] in ("bad-request", "request-too-long") and json.loads(letter["line"])["uri"][:3] != "/p/"


def test_slow_clients_keep_nobody_waiting(ingest):
    slow = [ingest.connect() for _ in range(300)]
    for number, client in enumerate(slow):
        client.sendall([b"", b"GET /p/acme/", get(PIXEL)[:-3], get(PIXEL, "Content-Length: 9") + b"a"][number % 4])
    took = []
    for _ in range(50):
        began = time.monotonic()
        for client in slow[::30]:
            client.sendall(b"a")
        assert ingest.ask(get(PIXEL))
        took.append(time.monotonic() - began)
    assert sorted(took)[25] < 0.2
    for client in slow:
        client.close()


def test_a_client_that_never_reads_is_not_read_from_any_more(ingest):
    client = ingest.connect()
    client.settimeout(1)
    sent = 0
    with suppress(TimeoutError):
        while sent < 1_000_000:
            client.sendall(get(PIXEL) * 1000)
            sent += 1000
    client.close()
    assert sent < 1_000_000


class Clock:
    """An event loop's clock, for connections without a network."""

    now = 0.0

    def time(self) -> float:
        return self.now


def test_patience_ends_and_the_longest_idle_makes_room(monkeypatch):
    class Idle:
        aborted = False

        def abort(self) -> None:
            self.aborted = True
            connections.forget(self)

    monkeypatch.setattr(connection, "MAX_CONNECTIONS", 3)
    clock = Clock()
    connections = connection.Connections(None, clock)
    first, second, third, fourth = (Idle() for _ in range(4))
    for each in (first, second, third):
        connections.admit(each)
        clock.now += 1
    connections.admit(fourth)
    assert [each.aborted for each in (first, second, third, fourth)] == [True, False, False, False]
    clock.now += connection.PATIENCE_S - 1.5
    connections.close_overdue()
    assert [each.aborted for each in (second, third, fourth)] == [True, False, False]
    assert len(connections) == 2
