"""A partition's count is taken up from its facts, also where some of them never reached Kafka."""

import json
import time
import uuid

import msgspec
from confluent_kafka import Producer

from pixeltally import topics
from pixeltally.settings import Settings
from streams.batch import Message, parse
from streams.enrich import Enricher
from streams.head import Head, Rules
from streams.restore import restore
from streams.tally import Tally


def test_facts_after_a_gap_are_made_again(tmp_path, start_broker):
    servers = start_broker(tmp_path / "broker")[1]
    settings = Settings.from_env({"PIXELTALLY_KAFKA": servers, "PIXELTALLY_PARTITIONS": "1"})
    enricher, now = Enricher(settings), time.time_ns() // 1_000_000
    topics.ensure(settings)
    tally, given_out = Tally(0, Rules.of(settings), enricher, Head(-1, 0, 0)), []

    def message(offset):
        hit = {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(offset))),
            "ts": now + offset,
            "kind": "impression",
            "advertiser": "acme",
            "campaign": "spring",
        }
        line = json.dumps(hit | {"creative": "banner", "visitor": offset, "node": "n", "seq": offset}).encode()
        return parse(enricher, [Message(0, offset, now + offset, line)])[0][0]

    for offset in range(4):
        facts = tally.apply(message(offset)).facts
        given_out.append((msgspec.json.encode(tally.head), facts))
    producer = Producer({"bootstrap.servers": servers})
    for offset in (0, 1, 3):  # the sending of one failed
        head, facts = given_out[offset]
        producer.produce(topics.FACTS, facts, partition=0, headers={topics.HEAD: head})
    assert producer.flush(30) == 0
    again = restore(settings, enricher, 0)
    assert again.head.offset == 1
    assert [again.apply(message(offset)).facts for offset in (2, 3)] == [facts for _, facts in given_out[2:]]
    assert [row.uniques for row in again.tell()] == [row.uniques for row in tally.tell()]
