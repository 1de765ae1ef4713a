"""What was counted can be proved: recounted stage by stage, signed, checked offline, and restored to the last byte."""

import json
import random
import shutil
import time
from pathlib import Path
from urllib.parse import quote

import pytest
from clickhouse_connect.driver.client import Client
from processes import BROWSER, wait_until
from running import SECRET, Running, ours, processes

from ingest import request
from ingest.answered import Answered
from ingest.spool import Spool, split_place
from pixeltally.database import connect
from pixeltally.keys import key_of
from pixeltally.settings import Settings
from pixeltally.signing import sign, token
from sinks.reconcile import Reconciliation, judge
from sinks.reconciling import step
from sinks.stages import Span

TARGET = "https://shop.example/"
UNITS = ["acme/spring/banner", "acme/spring/banner/blog", "acme/spring/video"]
BOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
YESTERDAY = time.time() // 86_400 * 86_400 - 43_200
DAY = time.strftime("%Y-%m-%d", time.gmtime(YESTERDAY))
TODAY = time.strftime("%Y-%m-%d", time.gmtime())


def today(stack: Running, draw: random.Random) -> int:
    """Traffic as it comes in: repeats, bots, clicks, orders, and one that can't be counted; how many hits."""
    clicks = []
    for number in range(150):
        unit, address = draw.choice(UNITS), f"198.51.100.{draw.randrange(40)}"
        who = {"X-Forwarded-For": address, "User-Agent": BOT if draw.random() < 0.1 else BROWSER}
        assert stack.get(f"/p/{unit}.gif?n={number}", who).status == 200
        if draw.random() < 0.2:
            link = f"/c/{unit}?to={quote(TARGET, safe='')}&k={sign(key_of(SECRET.encode()), unit, TARGET)}"
            clicks.append((link, who))
    time.sleep(0.11)  # sooner nobody clicks
    for link, who in clicks:
        assert stack.get(link, who).status == 302
    for order in ("A-1", "A-2", "A-1"):
        who = {"X-Forwarded-For": "198.51.100.7"}
        assert stack.get(f"/v/acme/spring.gif?order={order}&value=12.50&currency=EUR", who).status == 200
    bearer = {"Authorization": f"Bearer {token(key_of(SECRET.encode()), 'acme')}", "Content-Type": "application/json"}
    assert stack.post("/v/acme/spring", json.dumps({"order": "A-3", "value": "7"}), bearer).status == 202
    stack.get("/p/UPPER/x/y.gif", {})
    return len(clicks) + 150 + 3 + 1


def yesterday(data: Path, draw: random.Random) -> int:
    """What two workers of another machine wrote yesterday, and nobody has shipped yet."""
    for node in range(2):
        writer, now = Spool(data / "spool"), YESTERDAY + node * 0.4
        answered = Answered(writer.folder)
        for number in range(200):
            now += draw.choice([0.05, 1.0, 20.0, 45.0])
            unit, peer = draw.choice(UNITS), f"203.0.113.{draw.randrange(25)}"
            said = request.Request(round(now, 3), f"/p/{unit}.gif?n={number}", peer, user_agent=BROWSER)
            line = request.encode(said)
            segment, offset = split_place(writer.append(line))
            answered.note(segment, offset + len(line) + 1, {int(now) // 60 * 60: 1})
        writer.close()
    return 400


def settle(stack: Running) -> None:
    """Have ingest close its segments and the sink archive the order, as they do when they are restarted."""
    tiers = ("ingest", "sink")
    old = [process for tier in tiers for process in processes(stack, tier)]
    for process in [each for each in old if each.parent() not in old]:
        process.terminate()
    wait_until(lambda: not any(each.is_running() for each in old), "the end of ingest and sink", 30)
    for tier in tiers:
        processes(stack, tier)


@pytest.mark.timeout(300)
def test_a_statement_is_proved_and_survives_the_loss_of_all_but_the_archive(tmp_path, durable):
    data, archive, draw = tmp_path / "data", tmp_path / "archive", random.Random(5)
    stack = Running(data, PIXELTALLY_ARCHIVE=str(archive), PIXELTALLY_INGEST_WORKERS="2")
    stack.start()
    try:
        hits = today(stack, draw) + yesterday(data, draw)
        wait_until(lambda: stack.query("SELECT count() FROM facts FINAL") == [(hits,)], "all facts", 30)
        settle(stack)
        accounted = "SELECT sum(spooled) FROM spooled_minutes"
        wait_until(lambda: stack.query(accounted) == [(hits + 1,)], "all segments' accounts", 30)
        made = state(stack, tmp_path / "made.json")
        said = ours(stack.environ, "verify", str(tmp_path / "made.json"), "--segments", str(archive))
        assert said.returncode == 0, said.stdout
        assert "every number is the same" in said.stdout
        stack.kill()
        lose(data)
        stack.start()
        for _ in range(2):  # the second time changes nothing
            restored = ours(stack.environ, "restore")
            assert restored.returncode == 0, restored.stdout + restored.stderr
            assert f"{hits} hits sent (0 of them without an archived order), {hits} are in" in restored.stdout
        assert state(stack, tmp_path / "again.json") == made
        expect_reconciled(stack, hits)
        expect_differences(stack)
    finally:
        stack.stop()


def state(stack: Running, path: Path) -> bytes:
    done = ours(stack.environ, "statement", "acme/spring", "--from", DAY, "--to", TODAY, "--out", str(path))
    assert done.returncode == 0, done.stderr
    return path.read_bytes()


def lose(data: Path) -> None:
    """All but what a backup holds: the archive, which lies elsewhere, and the statements' key."""
    key = (data / "statement.key").read_bytes()
    shutil.rmtree(data)
    data.mkdir()
    (data / "statement.key").write_bytes(key)


def expect_reconciled(stack: Running, hits: int) -> None:
    """Every stage has all of it, the accounts of what was answered too: of what is settled, and of all."""
    done = ours(stack.environ, "reconcile", "--format", "json", "--from", DAY, "--to", TODAY)
    said = json.loads(done.stdout)
    assert (done.returncode, said["difference"], said["differences"]) == (0, 0, [])
    names = ("answered", "lost", "spooled", "dead", "in_kafka", "facts", "unaccounted")
    assert [said[name] for name in names] == [400, 0, 400, 0, 400, 400, 0]
    settings = Settings.from_env(stack.environ)
    step(settings, connect(settings))  # what the sink does every five minutes
    assert stack.query("SELECT difference, facts = in_kafka FROM reconciliations") == [(0, True)]
    found = looked_at(stack)
    assert found.differences == []
    assert [found.counts[name] for name in names[:-1]] == [hits + 1, 0, hits + 1, 1, hits, hits]
    assert found.counts["facts_uniques"] == found.counts["reach_uniques"] > 0
    assert found.counts["facts_gross"] == found.counts["windows_gross"] > 0


def expect_differences(stack: Running) -> None:
    """Each stage that says something else is found out, and where."""
    ours = connect(Settings.from_env(stack.environ))

    def differences() -> set[tuple[str, str, str]]:
        return {(each.what, each.one, each.other) for each in looked_at(stack).differences}

    more = "arrayMap(n -> n + 1, answered) AS answered, closed + 1 AS closed"
    ours.command(f"INSERT INTO segments SELECT * REPLACE ({more}) FROM segments FINAL LIMIT 1")
    assert differences() == {("requests", "answered", "spooled")}
    first = "(SELECT min(ts) FROM facts WHERE kind = 'impression' AND verdict = 'valid' AND NOT duplicate)"
    change(ours, "facts", f"DELETE WHERE ts = {first}")
    assert {("hits", "in Kafka", "facts"), ("requests", "spooled", "hits and dead letters")} <= differences()
    change(ours, "minute_rows", "UPDATE gross = gross + 1 WHERE NOT late")
    assert ("gross", "windows", "facts") in differences()
    change(ours, "visitor_sets", "DELETE WHERE creative = 'video'")
    assert ("uniques", "reach", "facts") in differences()


def looked_at(stack: Running) -> Reconciliation:
    """All of it, which has come to rest."""
    settings = Settings.from_env(stack.environ)
    span = Span(int(YESTERDAY) // 86_400 * 86_400, int(time.time()) // 900 * 900 + 900)
    return judge(settings, connect(settings), span, span.end)


def change(client: Client, table: str, what: str) -> None:
    client.command(f"ALTER TABLE {table} {what} SETTINGS mutations_sync = 2")
