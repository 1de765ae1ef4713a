"""Ends a process whose Kafka client has lost all brokers for good, so that it is started anew.

A broker that has just started may tell of topics and of no brokers. librdkafka (since 2.12, its issue 5301) then
forgets those that it knew, may ask nobody ever again, and says nothing.
"""

import logging
import os
import time
from typing import cast

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from pixeltally import topics
from pixeltally.settings import Settings

log = logging.getLogger("kafka")

#: How often clients are asked; a client that is only about to connect again does so within 10 s.
LOOK_S = 5.0
LOST_S = 20.0

_TIMEOUT_S = 1.0

Client = Producer | Consumer | AdminClient


class Look:
    """Whether clients have lost all brokers although Kafka answers another one. Asked by who uses and closes them."""

    def __init__(self, settings: Settings, *clients: Client) -> None:
        self._settings, self._clients = settings, clients
        self._next = 0.0
        self._since: float | None = None
        self.problem = ""  #: what kept a client from an answer when they were asked last

    def end_if_lost(self) -> None:
        """To be called again and again, however often; may take a second for each client that has none."""
        now_s = time.monotonic()
        if now_s >= self._next:
            self._next = now_s + LOOK_S
            if self.are_lost(now_s):
                log.critical("Kafka answers others for %.0f s and this client knows no broker: starting again", LOST_S)
                os._exit(1)

    def are_lost(self, now_s: float) -> bool:
        """For `LOST_S` by now, monotonic seconds."""
        answers = [ask(client) for client in self._clients]
        self.problem = next((str(error.str()) for error in answers if error), "")
        if not any(map(_has_none, answers)) or _has_none(ask(self._another())):
            self._since = None
        elif self._since is None:
            self._since = now_s
        return self._since is not None and now_s - self._since >= LOST_S

    def _another(self) -> Client:
        return AdminClient({"bootstrap.servers": self._settings.kafka_servers, "log_level": 0})


def ask(client: Client) -> KafkaError | None:
    """What keeps it from an answer; None where it gets one."""
    try:
        client.list_topics(topics.HITS, timeout=_TIMEOUT_S)
    except KafkaException as error:
        return cast(KafkaError, error.args[0])
    return None


def _has_none(error: KafkaError | None) -> bool:
    """Whether a client has no connection to any broker and gets none."""
    return error is not None and error.code() == KafkaError._TRANSPORT
