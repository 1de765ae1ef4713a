"""What the sink does again and again beside its work, each in a thread of its own as long as the process lives."""

import logging
import threading
import time
from collections.abc import Callable

from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException

from pixeltally.errors import Refused

log = logging.getLogger("sink")

#: A rest is no longer than that: also after what took long once, or waited for ClickHouse.
_MOST_REST_S = 60.0

#: What failed, or is another's, is looked at again after so long at most.
_AGAIN_S = 600.0


def start(
    name: str, every_s: float, is_ours: Callable[[], bool], action: Callable[[], object], rest: float = 0
) -> None:
    """Do `action` now and every `every_s` seconds, while `is_ours` says so; what fails is logged and tried again.

    It rests for `rest` times as long as it took, where that is more, up to a minute.
    """
    threading.Thread(target=_run, args=(name, every_s, is_ours, action, rest), name=name, daemon=True).start()


def _run(name: str, every_s: float, is_ours: Callable[[], bool], action: Callable[[], object], rest: float) -> None:
    pause, again_s = threading.Event(), min(every_s, _AGAIN_S)
    while True:
        pause_s, began = again_s, time.monotonic()
        try:
            if is_ours():
                action()
                pause_s = max(every_s, min(rest * (time.monotonic() - began), _MOST_REST_S))
        except (ClickHouseError, KafkaException, Refused) as error:
            log.warning("%s failed, trying again in %.0f s: %s", name, again_s, error)
        except Exception:
            # A fault of ours must be seen, but else nobody would ever do it again.
            log.exception("%s failed, trying again in %.0f s", name, again_s)
        pause.wait(pause_s)
