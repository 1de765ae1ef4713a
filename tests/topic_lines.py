"""What stands in a topic, for tests."""

import json
from collections.abc import Iterator
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from pixeltally import topics


def consume(servers: str, topic: str) -> Iterator[dict[str, Any]]:
    """Every line of a topic, so far: partition by partition, in order."""
    for messages in partitions(servers, topic):
        for _, value in messages:
            yield from map(json.loads, value.splitlines())


def partitions(servers: str, topic: str) -> Iterator[list[tuple[int, bytes]]]:
    """The messages of each partition of a topic, so far: when the broker took it in epoch milliseconds, value."""
    ours = {"bootstrap.servers": servers, "group.id": "test", "enable.auto.commit": False}
    consumer = Consumer({**topics.PROMPT, **ours})
    for number in sorted(consumer.list_topics(topic, timeout=10).topics[topic].partitions):
        end = _end(consumer, TopicPartition(topic, number))
        consumer.assign([TopicPartition(topic, number, 0)])
        messages, offset = [], -1
        while offset < end - 1:
            message = consumer.poll(10)
            assert message is not None
            assert not message.error()
            offset = message.offset()
            messages.append((message.timestamp()[1], message.value() or b""))
        yield messages
    consumer.close()


def _end(consumer: Consumer, partition: TopicPartition) -> int:
    """The offset that the next message will get; a partition that was just made has no leader for a moment."""
    while True:
        try:
            return consumer.get_watermark_offsets(partition, 10)[1]
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                raise
