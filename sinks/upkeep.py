"""What the sink does again and again beside its work, each in a thread of its own as long as the process lives."""

import logging
import threading
import time
from collections.abc import Callable

from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException

from pixeltally.errors import Refused

#: A rest is no longer than that: also after what took long once, or waited for ClickHouse.
_MOST_REST_S = 60.0


def start(
    name: str, every_s: float, is_ours: Callable[[], bool], action: Callable[[], object], rest: float = 0
) -> None:
    """Do `action` every `every_s` seconds, while `is_ours` says so; what fails is logged and tried again.

    It rests for `rest` times as long as it took, where that is more, up to a minute.
    """
    threading.Thread(target=_run, args=(name, every_s, is_ours, action, rest), name=name, daemon=True).start()


def _run(name: str, every_s: float, is_ours: Callable[[], bool], action: Callable[[], object], rest: float) -> None:
    pause, pause_s = threading.Event(), every_s
    while True:
        pause.wait(pause_s)
        pause_s = every_s
        if not is_ours():
            continue
        began = time.monotonic()
        try:
            action()
            pause_s = max(every_s, min(rest * (time.monotonic() - began), _MOST_REST_S))
        except (ClickHouseError, KafkaException, Refused) as error:
            logging.getLogger(name).warning("failed, trying again in %.0f s: %s", every_s, error)
