"""Reconciles by itself, every few minutes, what has been settled since; the table `reconciliations` keeps the answers.

In the sink, which has Kafka and ClickHouse at hand and is the last to touch a hit. Of several sinks the one that has
the first partition of facts does it.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import KafkaException

from pixeltally import metrics
from pixeltally.database import connect
from pixeltally.errors import Refused
from pixeltally.settings import Settings
from sinks.reconcile import MINUTE_S, Reconciliation, reconcile

log = logging.getLogger("reconcile")

EVERY_S = 300.0

#: What was not reconciled for longer than this is left to the command.
FURTHEST_S = 86_400

_LAST = "SELECT toUnixTimestamp(max(to)) FROM reconciliations"


def start(settings: Settings, is_ours: Callable[[], bool]) -> None:
    """Reconcile in a thread of its own, as long as the process lives, while `is_ours` says so."""
    threading.Thread(target=_run, args=(settings, is_ours), name="reconcile", daemon=True).start()


def keep(client: Client, found: Reconciliation) -> None:
    """Put an answer into the table."""
    times = [datetime.now(UTC), *(datetime.fromtimestamp(each, UTC) for each in found.span)]
    names = ["at", "from", "to", *found.counts]
    client.insert("reconciliations", [[*times, *found.counts.values()]], column_names=names)
    metrics.RECONCILED_TO.set(found.span.end)
    metrics.RECONCILE_DIFFERENCE.set(found.difference)


def step(settings: Settings, client: Client) -> Reconciliation:
    """Reconcile what has been settled since the last time."""
    last = int(client.query(_LAST).result_rows[0][0])
    furthest = int(time.time()) // MINUTE_S * MINUTE_S - FURTHEST_S
    found = reconcile(settings, client, max(last, furthest), None)
    if found.span.end > found.span.start:
        keep(client, found)
    for each in found.differences[:10]:
        log.error("stages differ: %s", each)
    return found


def _run(settings: Settings, is_ours: Callable[[], bool]) -> None:
    pause = threading.Event()
    while True:
        pause.wait(EVERY_S)
        if not is_ours():
            continue
        try:
            step(settings, connect(settings))
        except (ClickHouseError, KafkaException, Refused) as error:
            log.warning("stages could not be compared, trying again in %.0f s: %s", EVERY_S, error)
