"""A hit's whole way, through the running stack: every number equals a recount of what was sent."""

import http.client
import json
import random
import signal
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from urllib.parse import quote

import pytest
from click.testing import CliRunner
from processes import wait_until, with_environ
from running import SECRET, Running, processes, running

from pixeltally.cli import main
from pixeltally.keys import key_of
from pixeltally.signing import sign, token


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    with running(tmp_path_factory.mktemp("stack")) as started:
        yield started


UNITS = [f"acme/spring/{creative}/{place}" for creative in ("banner", "video") for place in ("blog", "shop")]


def send(stack: Running, unit: str, address: str) -> float:
    """Fetch a unit's pixel from behind a proxy; when it was answered."""
    answer = stack.get(f"/p/{unit}.gif?cb={random.random()}", {"X-Forwarded-For": address})
    assert answer.status == 200
    assert answer.body.startswith(b"GIF89a")
    return time.time()


def test_a_thousand_hits_from_a_hundred_addresses_are_counted_exactly(stack):
    draw = random.Random(7)
    addresses = [f"203.0.113.{n}" for n in range(60)] + [f"2001:db8::{n:x}" for n in range(1, 41)]
    sent, began = [], time.time()
    for _ in range(1000):
        unit, address = draw.choice(UNITS), draw.choice(addresses)
        send(stack, unit, address)
        sent.append((unit, address))
    wait_until(lambda: stack.totals()[0] == 1000, "a thousand hits in `minutes`")
    wait_until(lambda: stack.query("SELECT count() FROM impressions")[0][0] == 1000, "a thousand rows in `impressions`")
    rows = stack.query(
        "SELECT advertiser, campaign, creative, placement, toString(ip), toUnixTimestamp64Milli(ts), duplicate"
        " FROM impressions"
    )
    assert sorted(("/".join(row[:4]), row[4].removeprefix("::ffff:")) for row in rows) == sorted(sent)
    assert all(began * 1000 - 1 <= row[5] <= time.time() * 1000 for row in rows)
    recounted = recount(rows)
    assert {place: row[5:9] for row in minutes(stack) if (place := row[:5])} == recounted
    flagged = sum(row[6] for row in rows)
    assert flagged == sum(row[2] for row in recounted.values())
    assert stack.totals()[:3] == (1000, 1000 - flagged, flagged)


def minutes(stack):
    return stack.query(
        "SELECT toUnixTimestamp(minute), advertiser, campaign, creative, placement, gross, valid, duplicates, uniques"
        " FROM minutes"
    )


def recount(rows):
    """{(minute, ad unit): (gross, valid, duplicates, uniques)} by the contract's words, from times and addresses."""
    counted, result = {}, defaultdict(lambda: [0, 0, 0, set()])
    for *unit, ip, ts, _ in sorted(rows, key=lambda row: row[5]):
        who = (*unit, ip)
        duplicate = who in counted and ts - counted[who] < 60_000
        if not duplicate:
            counted[who] = ts
        row = result[(ts // 60_000 * 60, *unit)]
        row[0] += 1
        row[1] += not duplicate
        row[2] += duplicate
        row[3].add(ip)
    return {place: (gross, valid, repeated, len(ips)) for place, (gross, valid, repeated, ips) in result.items()}


def test_a_number_is_there_within_five_seconds(stack):
    answered, visible = {}, {}

    def look():
        for (creative,) in stack.query("SELECT creative FROM minutes WHERE campaign = 'fresh'"):
            visible.setdefault(creative, time.time())

    for number in range(100):
        answered[f"c{number}"] = send(stack, f"acme/fresh/c{number}", "198.51.100.1")
        look()
    wait_until(lambda: (look(), len(visible) == len(answered))[1], "all of them in `minutes`")
    ages = [visible[creative] - moment for creative, moment in answered.items()]
    assert statistics.quantiles(ages, n=100)[98] < 5, sorted(ages)[-5:]


def test_a_click_follows_its_impression_and_leads_to_the_signed_target(stack):
    unit, target = "acme/clicks/banner", "https://shop.example/offer?a=1#top"
    visitor = {"X-Forwarded-For": "192.0.2.77"}
    send(stack, unit, "192.0.2.77")
    time.sleep(0.2)  # sooner than a tenth of a second nobody clicks
    link = f"/c/{unit}?to={quote(target, safe='')}"
    answer = stack.get(f"{link}&k={sign(key_of(SECRET.encode()), unit, target)}", visitor)
    assert answer.status == 302
    where, click_id = answer.headers["Location"].removesuffix("#top").split("&pt_click=")
    assert where == "https://shop.example/offer?a=1"
    for forged in (
        link,
        f"{link}&k=wrong",
        f"{link.replace('shop', 'evil')}&k={sign(key_of(SECRET.encode()), unit, target)}",
    ):
        refusal = stack.get(forged, visitor)
        assert refusal.status == 400
        assert "Location" not in refusal.headers
    found = "SELECT toString(id), impression_id, seconds_to_click FROM clicks WHERE campaign = 'clicks'"
    wait_until(lambda: stack.query(found), "the click")
    [(id, impression, seconds)] = stack.query(found)
    assert id == click_id
    assert stack.query("SELECT id FROM impressions WHERE campaign = 'clicks'") == [(impression,)]
    assert 0 < seconds < 15
    counts = "SELECT valid, clicks, attributed_clicks FROM minutes WHERE campaign = 'clicks'"
    wait_until(lambda: [sum(column) for column in zip(*stack.query(counts), strict=True)] == [1, 1, 1], "its minute")
    dead = "SELECT reason, count() FROM dead_letters FINAL GROUP BY reason ORDER BY reason"
    wait_until(lambda: stack.query(dead) == [("bad-signature", 3)], "the refused clicks among the dead")


def test_the_ledger_says_why_and_what_is_owed(stack):
    for n in range(20):
        send(stack, "acme/owed/banner", f"198.51.100.{n}")
    for _ in range(3):
        stack.get("/p/acme/owed/banner.gif", {"X-Forwarded-For": "198.51.100.99", "Sec-Purpose": "prefetch"})
    ledger = (
        "SELECT sum(gross), sum(valid), sum(duplicates), sum(invalid), sumMap(reasons) FROM"
        " (SELECT * FROM ledger WHERE campaign = 'owed')"
    )
    wait_until(lambda: stack.query(ledger) == [(23, 20, 0, 3, {"prefetch": 3})], "each hit in the ledger")
    reached = "SELECT sum(quantity) FROM charges WHERE campaign = 'owed'"
    agreed = ["--pricing", "cpm", "--price", "10", "--currency", "USD", "--basis", "unique"]
    told = CliRunner().invoke(main, ["campaign", "set", "acme/owed", *agreed], env=stack.environ)
    assert told.exit_code == 0, told.stderr
    wait_until(lambda: stack.query(reached) == [(20,)], "each address once")
    lately = "SELECT toString(spent), currency FROM charges_lately WHERE campaign = 'owed'"
    wait_until(lambda: stack.query(lately) == [("0.2", "USD")], "what the day cost, on boards", 90)


def test_an_order_is_counted_once_however_it_is_reported(stack):
    bearer = {"Authorization": f"Bearer {token(key_of(SECRET.encode()), 'acme')}", "Content-Type": "application/json"}
    visitor = {"X-Forwarded-For": "192.0.2.88"}
    for order, value in (("1", "0.10"), ("1", "0.10"), ("2", "0.20")):
        report = json.dumps({"order": order, "value": value, "currency": "EUR"})
        answer = stack.post("/v/acme/orders", report, bearer)
        assert answer.status == 202, answer.body
    for _ in range(2):
        assert stack.get("/v/acme/orders.gif?order=3&value=12.3456&currency=EUR", visitor).status == 200
    stack.get("/v/acme/orders.gif?order=1&value=99", visitor)
    rows = "SELECT `order`, toString(value), currency, duplicate FROM conversions WHERE campaign = 'orders' ORDER BY 1"
    expected = [("1", "0.1", "EUR", False), ("2", "0.2", "EUR", False), ("3", "12.3456", "EUR", False)]
    wait_until(lambda: stack.query(rows) == expected, "one row an order")
    counted = (
        "SELECT uniqExact(`order`, visitor), toString(sum(value)), countIf(duplicate) FROM facts FINAL"
        " WHERE campaign = 'orders' AND kind = 'conversion' AND NOT (`order` = '1' AND value = 99)"
    )
    wait_until(lambda: stack.query(counted) == [(3, "25.0912", 2)], "each report as a fact")
    minutes = "SELECT sum(conversions), toString(sum(revenue)) FROM minutes WHERE campaign = 'orders'"
    # The order that a page reports again may lie in another partition, where streams don't know it.
    wait_until(lambda: stack.query(minutes) in ([(3, "12.6456")], [(4, "111.6456")]), "their minute")


def test_whatever_is_asked_of_a_pixel_the_pixel_is_answered(stack):
    paths = [
        "/p/",
        "/p/UPPER/b/c.gif",
        "/p/a/b.gif",
        "/p/a/b/c.gif?e=melt",
        "/p/%ff/%00/c.gif",
        "/p/a/b/c.gif?" + "x" * 9000,
    ]
    known = stack.query("SELECT count() FROM dead_letters FINAL")[0][0]
    for path in paths:
        answer = stack.get(path, {"X-Forwarded-For": "192.0.2.1"})
        assert (answer.status, answer.headers["Content-Type"]) == (200, "image/gif")
    png = stack.get("/p/a/b/c.png", {})
    assert png.headers["Content-Type"] == "image/png"
    assert "no-store" in png.headers["Cache-Control"]
    wait_until(
        lambda: stack.query("SELECT count() FROM dead_letters FINAL")[0][0] == known + len(paths),
        "each of them among the dead",
    )


def test_stopped_with_ctrl_c_and_started_again_it_carries_on(tmp_path, durable):
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with running(tmp_path / "data", TMPDIR=str(temporary)) as stack:
        for number in range(300):
            send(stack, UNITS[number % 4], f"203.0.113.{number % 50}")
        started = stack.descendants()
        assert stack.stop(signal.SIGINT) == 0
        assert [process for process in started if process.is_running()] == []
        assert list(temporary.iterdir()) == []
        stack.start()
        wait_until(lambda: stack.totals()[0] == 300, "what was sent before the stop")
        before, again = stack.totals(), time.time()
        while time.time() < again + 3:
            assert stack.totals() == before
        for number in range(50):
            send(stack, UNITS[0], f"203.0.113.{number}")
        wait_until(lambda: stack.totals()[0] == 350, "what was sent after the start")
        ids = stack.query("SELECT count(), uniqExact(id) FROM impressions")
        assert ids == [(350, 350)]
        started = stack.descendants()
        assert stack.stop(signal.SIGTERM) == 0
        assert [process for process in started if process.is_running()] == []


@pytest.mark.parametrize("tier", ["ingest", "streams", "sink", "clickhouse", "broker"])
def test_a_tier_killed_under_load_loses_nothing_and_counts_nothing_twice(stack, tier, durable):
    campaign, answered = f"killed-{tier}", 0
    counted = f"SELECT sum(gross), sum(uniques) FROM minutes WHERE campaign = '{campaign}'"
    for number in range(600):
        if number in (200, 400):
            for process in processes(stack, tier):
                process.kill()
        try:
            send(stack, f"acme/{campaign}/banner", f"203.0.{number // 250}.{number % 250}")
            answered += 1
        except (OSError, http.client.HTTPException):
            time.sleep(0.1)

    def all_counted():
        try:
            return stack.query(counted)[0][0] >= answered
        except Exception:
            return False

    wait_until(all_counted, f"{answered} hits after {tier} was killed", 60)
    [(facts, ids)] = stack.query(f"SELECT count(), uniqExact(id) FROM impressions WHERE campaign = '{campaign}'")
    [(gross, uniques)] = stack.query(counted)
    assert facts == ids == gross == uniques
    # A request cut off by the kill may have been written down: at most the two that were under way.
    assert answered <= gross <= answered + 2


def test_a_taken_port_is_said_in_one_sentence_and_nothing_is_left(stack, tmp_path):
    environ = {**stack.environ, "PIXELTALLY_DATA": str(tmp_path / "other"), "PIXELTALLY_TEST_RUN": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "pixeltally", "up"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "PORT" in done.stderr
    assert with_environ("PIXELTALLY_TEST_RUN", str(tmp_path)) == []


def test_a_folder_that_cannot_be_written_is_said_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    stack = Running(tmp_path / "file" / "data")
    done = subprocess.run(
        [sys.executable, "-m", "pixeltally", "up"],
        env=stack.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert "PIXELTALLY_DATA" in done.stderr
