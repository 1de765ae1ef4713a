"""What the sink does again and again beside its work, each in a thread of its own as long as the process lives."""

import logging
import threading
from collections.abc import Callable

from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException

from pixeltally.errors import Refused


def start(name: str, every_s: float, is_ours: Callable[[], bool], action: Callable[[], object]) -> None:
    """Do `action` every `every_s` seconds, while `is_ours` says so; what fails is logged and tried again."""
    threading.Thread(target=_run, args=(name, every_s, is_ours, action), name=name, daemon=True).start()


def _run(name: str, every_s: float, is_ours: Callable[[], bool], action: Callable[[], object]) -> None:
    pause = threading.Event()
    while True:
        pause.wait(every_s)
        if not is_ours():
            continue
        try:
            action()
        except (ClickHouseError, KafkaException, Refused) as error:
            logging.getLogger(name).warning("failed, trying again in %.0f s: %s", every_s, error)
