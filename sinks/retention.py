"""Lets ClickHouse delete what is older than PIXELTALLY_RETENTION_DAYS, once what must outlive it has been counted."""

import logging
import re
from datetime import UTC, datetime, timedelta

from clickhouse_connect.driver.client import Client

from pixeltally.database import connect
from pixeltally.settings import Settings
from sinks import upkeep

log = logging.getLogger("retention")

#: What expires, by the time that its rows are of.
EXPIRING = {
    "facts": "toDateTime(ts)",
    "rerates": "toDateTime(ts)",
    "visitor_sets": "slice",
    "counted_origins": "toDateTime(day)",
    # All of a month with the oldest visit that there may be in it.
    "first_visits": "toDateTime(month - 1)",
    "sent_list": "toDateTime(imported_at)",
    "dead_letters": "toDateTime(intDiv(ts, 1000))",
    "forgotten_visitors": "toDateTime(until)",
}

#: Minutes and months are settled so long before their facts expire, or half the retention where that is less.
SETTLE_BEFORE = timedelta(days=7)

_EVERY_S = 86_400.0

#: Months that begin before `before`, are over and not lost. The last zone's month ends half a day after that of UTC.
_MONTHS = """
SELECT month FROM months
WHERE month < toDate({before:DateTime('UTC')}) AND addMonths(month, 1) < toDate(now('UTC'))
    AND toDateTime(month, 'UTC') - toIntervalDay(1) >= (SELECT before FROM horizon)
ORDER BY month
"""

_SETTLE_MONTH = """
INSERT INTO settled_days
SELECT
    advertiser, campaign, month, day, starts, timezone, uniques, new_uniques, billable_uniques, click_requests,
    billable_clickers, conversions, reported_conversions, billable_converters, revenue, now64(3)
FROM campaign_days_between(first = {month:Date}, last = toLastDayOfMonth({month:Date}))
WHERE NOT settled AND NOT lost
"""

_DAYS = re.compile(r"toIntervalDay\((\d+)\)")
_TTL = re.compile(r" TTL (.*?)(?: SETTINGS |$)")


def start(settings: Settings) -> None:
    """Apply the retention now and once a day: each sink, since it may be told another one."""
    upkeep.start("retention", _EVERY_S, lambda: True, lambda: apply(connect(settings), settings.retention_days))


def apply(client: Client, days: int) -> None:
    """Settle what will expire, then tell ClickHouse how long to keep rows; 0 keeps them for ever."""
    _note(client, _days(client))
    if days:
        settle(client, datetime.now(UTC) - timedelta(days=days) + min(SETTLE_BEFORE, timedelta(days=days) / 2))
    _note(client, days)
    for table, time in EXPIRING.items():
        wanted = f"{time} + toIntervalDay({days})" if days else ""
        if wanted == _ttl(client, table):
            continue
        change = f"MODIFY TTL {wanted}" if wanted else "REMOVE TTL"
        # ClickHouse goes over the parts that are there in its own time.
        client.command(f"ALTER TABLE {table} {change}", settings={"alter_sync": 0})
        log.info("rows of %s are kept %s", table, f"{days} days" if days else "for ever")


def settle(client: Client, before: datetime) -> None:
    """Count for good what can't be counted again when facts are gone: minutes with late hits, and months that are over.

    A month is settled as a whole, from all of its facts or not at all.
    """
    for statement in (
        "INSERT INTO settled_minutes SELECT *, now64(3) FROM recounted_minutes WHERE minute < {before:DateTime('UTC')}",
        "INSERT INTO settled_rules SELECT DISTINCT advertiser, campaign, toStartOfMonth(ts) AS month, rules_version"
        " FROM facts WHERE month < {before:DateTime('UTC')}",
    ):
        client.command(statement, parameters={"before": before})
    # One after the other: a month's visitors may be many.
    for (month,) in client.query(_MONTHS, parameters={"before": before}).result_rows:
        client.command(_SETTLE_MONTH, parameters={"month": month})


def _note(client: Client, days: int) -> None:
    """Keep since when rows are kept so long, so that it can be told what is whole and what may be gone."""
    last = client.query("SELECT days FROM retentions ORDER BY at DESC LIMIT 1").result_rows
    if [(days,)] != last:
        client.insert("retentions", [[days]], column_names=["days"])


def _days(client: Client) -> int:
    """How many days rows are kept now; 0: for ever."""
    found = _DAYS.search(_ttl(client, "facts"))
    return int(found[1]) if found else 0


def _ttl(client: Client, table: str) -> str:
    """The table's TTL as ClickHouse writes it; empty where it has none."""
    engine = client.query(
        "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        parameters={"table": table},
    ).result_rows[0][0]
    found = _TTL.search(engine)
    return found[1] if found else ""
