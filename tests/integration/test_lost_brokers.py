"""A client that has lost all brokers is found out, and none that waits with all others."""

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from processes import free_port

from pixeltally.lost_brokers import LOST_S, Look
from pixeltally.settings import Settings


class Lost:
    """Stands in for a client that knows no broker any more: librdkafka can't be brought to that at will."""

    def list_topics(self, *_: object, **_options: object) -> None:
        raise KafkaException(KafkaError(KafkaError._TRANSPORT))


def told(servers, *clients):
    """What a look says at its begin, just before `LOST_S`, and then."""
    look = Look(Settings.from_env({"PIXELTALLY_KAFKA": servers}), *clients)
    return [look.are_lost(now_s) for now_s in (1.0, LOST_S, 1.0 + LOST_S)]


@pytest.fixture
def known(broker):
    return Producer({"bootstrap.servers": broker, "log_level": 0})


def test_a_client_without_brokers_is_lost_where_kafka_answers_another(broker, known):
    assert told(broker, known, Lost()) == [False, False, True]
    assert told(broker, known) == [False, False, False]


def test_while_kafka_is_away_nobody_is_lost():
    nowhere = f"127.0.0.1:{free_port()}"
    assert told(nowhere, Lost(), Producer({"bootstrap.servers": nowhere, "log_level": 0})) == [False, False, False]


def test_who_comes_back_in_time_is_not_lost(broker, known):
    looks = [Lost(), known, Lost(), Lost()]
    look = Look(Settings.from_env({"PIXELTALLY_KAFKA": broker}), looks[0])
    for now_s, client in zip((1.0, 5.0, 1.0 + LOST_S, 2.0 + LOST_S), looks, strict=True):
        look._clients = (client,)
        assert not look.are_lost(now_s)
