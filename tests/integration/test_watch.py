"""A worker of streams that stands still is noticed; one that has nothing to do, or restores, is not."""

from confluent_kafka import Consumer, Producer, TopicPartition

from pixeltally import topics
from pixeltally.settings import Settings
from streams.watch import STILL_S, Watch


def test_hits_that_nobody_counts_for_a_minute_are_noticed(broker):
    settings = Settings.from_env({"PIXELTALLY_KAFKA": broker})
    topics.ensure(settings)
    producer = Producer({"bootstrap.servers": broker})
    group = Consumer({"bootstrap.servers": broker, "group.id": topics.STREAMS_GROUP, "enable.auto.commit": False})
    place = TopicPartition(topics.HITS, 0)

    def acknowledge():
        _, end = group.get_watermark_offsets(place, timeout=10)
        group.commit(offsets=[TopicPartition(topics.HITS, 0, end)], asynchronous=False)

    def produce():
        producer.produce(topics.HITS, b"{}", partition=0)
        assert producer.flush(10) == 0

    partitions, later_s = {"watched": [0]}, STILL_S + 1
    watch = Watch(settings, lambda: partitions["watched"])
    produce()
    acknowledge()
    assert watch.still(0) == []
    assert watch.still(later_s) == []  # nothing waits
    produce()
    assert watch.still(later_s + 1) == []
    assert watch.still(later_s + STILL_S) == []
    assert watch.still(2 * later_s + 1) == [0]
    acknowledge()
    produce()
    assert watch.still(3 * later_s) == []  # it has moved
    partitions["watched"] = None  # they are being restored
    assert watch.still(5 * later_s) == []
    partitions["watched"] = []  # it has none: nobody may leave any alone
    assert watch.still(6 * later_s) == []
    assert 0 in watch.still(8 * later_s)
    acknowledge()
    group.close()
