"""What stands in a topic, for tests."""

import json
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, TopicPartition


def consume(servers: str, topic: str) -> Iterator[dict[str, Any]]:
    """Every line of a topic, so far: partition by partition, in order."""
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "test", "enable.auto.commit": False})
    for number in consumer.list_topics(topic, timeout=10).topics[topic].partitions:
        end = consumer.get_watermark_offsets(TopicPartition(topic, number), 10)[1]
        consumer.assign([TopicPartition(topic, number, 0)])
        offset = -1
        while offset < end - 1:
            message = consumer.poll(10)
            assert message
            assert not message.error()
            offset = message.offset()
            yield from map(json.loads, message.value().splitlines())
    consumer.close()
