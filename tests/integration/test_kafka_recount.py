"""What is in Kafka is counted line by line, whatever came twice and in whichever order."""

import json
import uuid
from collections import Counter

import pytest
from confluent_kafka import Producer
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from processes import brokers

from pixeltally import topics
from pixeltally.settings import Settings
from sinks import kafka_recount
from sinks.stages import Span

START_S = 1_764_000_000

#: (partition, node, seq, seconds from the start); a node's line is always the same, wherever it stands.
LINES = st.lists(
    st.tuples(st.sampled_from("ab"), st.integers(0, 40) | st.just(2**63 + 1)).map(
        lambda place: (place[1] % 2, *place, place[1] % 7 * 100)
    ),
    max_size=80,
)


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    with brokers() as start:
        yield start(tmp_path_factory.mktemp("broker"))[1]


@settings(max_examples=5, deadline=None, phases=[Phase.generate])
@given(LINES)
def test_each_line_counts_once(servers, lines):
    ours = Settings.from_env({"PIXELTALLY_KAFKA": servers})
    topics.ensure(ours)
    producer = Producer({"bootstrap.servers": servers})
    told = uuid.uuid4().hex
    for partition, node, seq, after_s in lines:
        hit = {"ts": (START_S + after_s) * 1000, "node": f"{told}-{node}", "seq": seq}
        line = json.dumps(hit | {"advertiser": "acme", "campaign": told}).encode()
        producer.produce(topics.HITS, line, partition=partition)
    assert producer.flush(10) == 0
    span = Span(START_S + 60, START_S + 360)
    found = kafka_recount.count(ours, span, ())
    expected = Counter(
        (START_S + after_s) // 60 * 60 for _, _, _, after_s in set(lines) if span.start <= START_S + after_s < span.end
    )
    assert {minute: count for (minute, _, campaign, *_), count in found.items() if campaign == told} == expected
