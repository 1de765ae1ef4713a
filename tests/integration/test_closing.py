"""Segments are counted, archived and deleted once they are in Kafka, whatever kills whoever does it, and whenever."""

import random
import time
from collections import Counter

import pytest
from ingesting import Ingest
from processes import wait_until
from test_shipper import shipper
from topic_lines import consume

from ingest import answered, spool
from pixeltally import archive, topics


def accounts(broker, node):
    """What was told last of each segment."""
    return {line["segment"]: line for line in consume(broker, topics.SEGMENTS) if line["node"] == node}


def archived(root, node):
    return [(entry, b"".join(archive.pieces(root, entry))) for entry, _ in archive.entries(root, f"requests/{node}")]


def finish(data, broker, shipped):
    """Run a shipper until all is in Kafka, and stop it as ingest does."""
    status = data / "spool" / "shipper.status"
    status.unlink(missing_ok=True)
    with shipper(data, broker) as process:
        wait_until(lambda: status.exists() and shipped(), "all in Kafka", 30)
        process.terminate()
        assert process.wait(20) == 0


@pytest.mark.parametrize(("store_ip", "kills"), [("full", 2), ("truncated", 1)])
def test_kills_at_any_moment_archive_each_line_once(tmp_path, broker, monkeypatch, store_ip, kills):
    root, draw = tmp_path / "archive", random.Random(store_ip)
    monkeypatch.setenv("PIXELTALLY_ARCHIVE", str(root))
    monkeypatch.setenv("PIXELTALLY_STORE_IP", store_ip)
    tier = Ingest(tmp_path, PIXELTALLY_SECRET="x", PIXELTALLY_SPOOL_MAX_BYTES=str(1 << 20))
    node, sent = tier.node, 0
    raw = {}
    for _ in range(kills):
        for _ in range(300):
            tier.get(f"/p/acme/spring/banner.gif?n={sent}&filler={'x' * 400}")
            sent += 1
        raw |= {number: spool.segment_path(tier.folder, number).read_bytes() for number in spool.segments(tier.folder)}
        with shipper(tmp_path, broker) as process:
            time.sleep(draw.uniform(0.8, 2.2))
            process.kill()
    tier.close()
    finish(tmp_path, broker, lambda: spool.read_position(tier.folder) == (max(raw), len(raw[max(raw)])))
    assert spool.segments(tier.folder) == []
    assert [*tier.folder.glob(f"*{answered.SUFFIX}")] == []
    blocks = archived(root, node)
    assert [entry.number for entry, _ in blocks] == sorted(raw)
    if store_ip == "full":
        assert {entry.number: data for entry, data in blocks} == raw
    assert sum(entry.lines for entry, _ in blocks) == sent
    told = accounts(broker, node)
    assert told.keys() == raw.keys()
    totals = Counter()
    for account in told.values():
        for name in ("answered", "lost", "spooled", "unanswered"):
            totals[name] += sum(account[name])
    assert totals == {"answered": sent, "lost": 0, "spooled": sent, "unanswered": 0}


def test_what_was_never_answered_and_what_was_lost_are_told_apart(tmp_path, broker):
    torn, full, waited = (Ingest(tmp_path, PIXELTALLY_SECRET="x") for _ in range(3))  # each has a node of its own
    for _ in range(3):
        torn.get("/p/acme/spring/banner.gif")
    torn.close()
    path = spool.segment_path(torn.folder, 1)
    line = path.read_bytes().splitlines(keepends=True)[0]
    path.write_bytes(path.read_bytes() + line + line[:20])
    size = path.stat().st_size
    Ingest(tmp_path, PIXELTALLY_SECRET="x").close()  # the next worker takes the node over
    for each in (full, waited):
        each.get("/p/acme/spring/banner.gif")
        each.leave(0)
        for _ in range(2):
            each.get("/p/acme/spring/banner.gif")
    full.close()  # as if it were killed
    waited.leave(1 << 40)
    waited.recorder.turn()
    waited.close()
    finish(
        tmp_path,
        broker,
        lambda: (
            spool.read_position(torn.folder) == (1, size)
            and all(spool.read_position(each.folder) for each in (full, waited))
        ),
    )
    account = accounts(broker, torn.node)[1]
    assert account["minutes"][0] == 0  # of the torn line
    assert (account["answered"][0], account["spooled"][0], account["unanswered"][0]) == (0, 1, 1)
    rest = [sum(account[name][1:]) for name in ("answered", "lost", "spooled", "unanswered")]
    assert rest == [3, 0, 4, 1]
    for each, expected in ((full, [3, 2, 1, 0]), (waited, [3, 0, 3, 0])):
        [account] = accounts(broker, each.node).values()
        assert [sum(account[name]) for name in ("answered", "lost", "spooled", "unanswered")] == expected
