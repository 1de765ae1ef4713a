"""Counts days and months that are at rest for good, or until something of them comes late after all.

A day's minutes are added up to quarter hours, its impressions by where they came from, a month's visitors counted by
when they came. Views read what was counted
as long as no row of the day or month came since (`days`, `months`), and else count as if nothing had been. So these
counts may be made at any time, or not at all, and no number changes.
"""

from collections.abc import Callable
from datetime import datetime

from clickhouse_connect.driver.client import Client

from pixeltally.database import connect
from pixeltally.settings import Settings
from sinks import upkeep

#: A day is at rest when no row of it came for so long. An insert takes less: what was marked before then is all there.
REST_S = 600

_EVERY_S = 60.0

_NOW = f"SELECT now64(3, 'UTC') - toIntervalSecond({REST_S})"

_DAYS = """
SELECT day FROM days
WHERE NOT is_counted AND touched < {as_of:DateTime64(3, 'UTC')} AND day < toDate({as_of:DateTime64(3, 'UTC')})
ORDER BY day DESC
"""

_COUNT_DAY = """
INSERT INTO counted_slices
SELECT
    toStartOfFifteenMinutes(minute) AS slice, advertiser, campaign, creative, placement,
    sum(p.gross), sum(p.invalid), sum(p.duplicates), sum(p.valid), sum(p.clicks), sum(p.attributed_clicks),
    sum(p.conversions), sum(p.revenue), sumMap(p.reasons), {as_of:DateTime64(3, 'UTC')}
FROM minute_parts AS p
WHERE toDate(minute) = {day:Date}
GROUP BY slice, advertiser, campaign, creative, placement
"""

#: By what impressions' origins are counted.
_ORIGINS = ("country", "isp", "device")

_COUNT_ORIGINS = """
INSERT INTO counted_origins
SELECT
    toDate(ts) AS day, '{of}', {of} AS name, advertiser, campaign, creative, placement, count(),
    {{as_of:DateTime64(3, 'UTC')}}
FROM impressions
WHERE ts >= toDateTime64({{day:Date}}, 3, 'UTC') AND ts < toDateTime64({{day:Date}} + 1, 3, 'UTC')
    AND verdict = 'valid' AND NOT duplicate
GROUP BY day, name, advertiser, campaign, creative, placement
"""

#: Of a month all time zones' hours must be over, and its facts all there.
_MONTHS = """
SELECT month FROM months
WHERE NOT is_counted AND touched < {as_of:DateTime64(3, 'UTC')}
    AND addMonths(month, 1) + 1 < toDate({as_of:DateTime64(3, 'UTC')}) AND month - 1 > (SELECT before FROM horizon)
ORDER BY month DESC
"""

#: Whose visitors are counted: what stands for each in `counted_visitors`.
_WHOSE = {
    "ad unit": "advertiser, campaign, creative, placement",
    "campaign": "advertiser, campaign, '' AS creative, '' AS placement",
    "advertiser": "advertiser, '' AS campaign, '' AS creative, '' AS placement",
}

_COUNT_MONTH = """
INSERT INTO counted_visitors
WITH
    toUnixTimestamp(toDateTime({{month:Date}}, 'UTC')) - 50400 AS early,
    toUnixTimestamp(toDateTime(addMonths({{month:Date}}, 1), 'UTC')) - 50400 AS late
SELECT
    {{month:Date}}, '{whose}', advertiser, campaign, creative, placement, inside, last_early, first_late,
    count(), {{as_of:DateTime64(3, 'UTC')}}
FROM
(
    SELECT
        {unit}, max(at >= early + 93600 AND at < late) AS inside,
        if(inside, 0, max(if(at < early + 93600, intDiv(at - early, 900) + 1, 0))) AS last_early,
        if(inside, 255, min(if(at < late, 255, intDiv(at - late, 900)))) AS first_late
    FROM
    (
        SELECT advertiser, campaign, creative, placement, visitor, toUnixTimestamp(slice) AS at
        FROM slice_visitors
        ARRAY JOIN visitors AS visitor
        WHERE at >= early AND at < late + 93600
    )
    GROUP BY advertiser, campaign, creative, placement, visitor
)
GROUP BY advertiser, campaign, creative, placement, inside, last_early, first_late
"""

#: A month's visitors may be more than fit into memory.
_SPILL = {"max_bytes_before_external_group_by": 1_000_000_000}


def start(settings: Settings, is_ours: Callable[[], bool]) -> None:
    """Count again and again, while `is_ours` says so."""

    def count_now() -> None:
        client = connect(settings)
        [(as_of,)] = client.query(_NOW).result_rows
        count(client, as_of)

    upkeep.start("slices", _EVERY_S, is_ours, count_now)


def count(client: Client, as_of: datetime) -> None:
    """Count what has been at rest since `as_of`, the newest first."""
    for (day,) in client.query(_DAYS, parameters={"as_of": as_of}).result_rows:
        asked = {"as_of": as_of, "day": day}
        client.command(_COUNT_DAY, parameters=asked)
        for of in _ORIGINS:
            client.command(_COUNT_ORIGINS.format(of=of), parameters=asked)
        client.insert("counted_days", [[day, as_of]], column_names=["day", "as_of"])
    for (month,) in client.query(_MONTHS, parameters={"as_of": as_of}).result_rows:
        for whose, unit in _WHOSE.items():
            asked = {"as_of": as_of, "month": month}
            client.command(_COUNT_MONTH.format(whose=whose, unit=unit), parameters=asked, settings=_SPILL)
        client.insert("counted_months", [[month, as_of]], column_names=["month", "as_of"])
