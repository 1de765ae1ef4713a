"""Clicks by the thousand that came before what they followed: all are corrected, however many messages that takes."""

import time
import uuid

from confluent_kafka import Producer
from hits import encoded
from processes import wait_until

from pixeltally import topics
from pixeltally.packed import MESSAGE_LINES

PARTITION = 2
#: Their facts are more than a message may hold.
CLICKS = 24_000


def test_more_corrections_than_a_message_holds_are_said(counting):
    producer = Producer(
        {"bootstrap.servers": f"127.0.0.1:{counting.ports['KAFKA']}", "message.max.bytes": topics.MAX_MESSAGE_BYTES}
    )
    start_ms = int(time.time() * 1000) - 1_200_000
    ad = {"advertiser": "chased", "visitor": 1}
    early, late = {**ad, "node": f"early-{uuid.uuid4()}"}, {**ad, "node": f"late-{uuid.uuid4()}"}
    lines = [encoded(number, kind="click", ts=start_ms + 1000 + number, **early) for number in range(CLICKS)]
    for first in range(0, CLICKS, MESSAGE_LINES):
        producer.produce(topics.HITS, b"\n".join(lines[first : first + MESSAGE_LINES]), partition=PARTITION)
    assert producer.flush(30) == 0
    clicks = "SELECT count(), countIf(impression_id != toUUID('00000000-0000-0000-0000-000000000000')) FROM clicks"
    clicks += " WHERE advertiser = 'chased'"
    wait_until(lambda: counting.query(clicks) == [(CLICKS, 0)], "clicks without an impression", 60)
    producer.produce(topics.HITS, encoded(CLICKS, ts=start_ms, **late), partition=PARTITION)
    assert producer.flush(30) == 0
    wait_until(lambda: counting.query(clicks) == [(CLICKS, CLICKS)], "clicks that follow it", 60)
    counted = "SELECT sum(clicks), sum(attributed_clicks) FROM minutes WHERE advertiser = 'chased'"
    valid = "SELECT countIf(verdict = 'valid' AND NOT duplicate) AS n, n FROM clicks WHERE advertiser = 'chased'"
    wait_until(lambda: counting.query(counted) == counting.query(valid), "minutes that say so", 30)
