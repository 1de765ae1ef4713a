"""Reconciles by itself, every few minutes, what has been settled since; the table `reconciliations` keeps the answers.

In the sink, which has Kafka and ClickHouse at hand and is the last to touch a hit. Of several sinks the one that has
the first partition of facts does it.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime

from clickhouse_connect.driver.client import Client

from pixeltally import metrics
from pixeltally.database import connect
from pixeltally.settings import Settings
from sinks import upkeep
from sinks.reconcile import MINUTE_S, Reconciliation, reconcile

log = logging.getLogger("reconcile")

EVERY_S = 300.0

#: What was not reconciled for longer than this is left to the command.
FURTHEST_S = 86_400

_LAST = "SELECT toUnixTimestamp(max(to)) FROM reconciliations"


def start(settings: Settings, is_ours: Callable[[], bool]) -> None:
    """Reconcile again and again, while `is_ours` says so."""
    upkeep.start("reconcile", EVERY_S, is_ours, lambda: step(settings, connect(settings)))


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
