"""Many late minutes at once, as a log's import brings them: each is told, in as many messages as that takes."""

import time
import uuid

from confluent_kafka import Producer
from hits import encoded
from processes import wait_until

from pixeltally import topics
from pixeltally.packed import MESSAGE_LINES

PARTITION = 3
MINUTES = 60_000


def test_more_late_minutes_than_a_message_holds_are_told(counting):
    producer = Producer(
        {"bootstrap.servers": f"127.0.0.1:{counting.ports['KAFKA']}", "message.max.bytes": topics.MAX_MESSAGE_BYTES}
    )

    def produce(*lines):
        producer.produce(topics.HITS, b"\n".join(lines), partition=PARTITION)

    def told(of, how):
        query = f"SELECT uniqExact(minute) FROM minute_rows WHERE advertiser = '{of}' AND {how}"
        return counting.query(query)[0][0]

    produce(encoded(0, advertiser="before-the-flood", node=f"now-{uuid.uuid4()}"))
    assert producer.flush(30) == 0
    wait_until(lambda: told("before-the-flood", "NOT late"), "a minute of now", 30)
    start_ms = (int(time.time()) // 60 - MINUTES - 1440) * 60_000
    past = {"advertiser": "flooded", "node": f"flood-{uuid.uuid4()}"}
    lines = [encoded(number, ts=start_ms + number * 60_000, **past) for number in range(MINUTES)]
    for first in range(0, MINUTES, MESSAGE_LINES):
        produce(*lines[first : first + MESSAGE_LINES])
    assert producer.flush(30) == 0
    wait_until(lambda: told("flooded", "late") == MINUTES, "all of them told", 60)
    counted = "SELECT count(), sum(gross), sum(uniques) FROM minutes WHERE advertiser = 'flooded' AND gross > 0"
    wait_until(lambda: counting.query(counted) == [(MINUTES, MINUTES, MINUTES)], "all of them counted", 30)
