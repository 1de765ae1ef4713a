"""Keeps what campaigns' days cost, so that whoever looks often needn't count it: the table `charges_kept`.

A month is counted again when anything of it came, or terms changed, and once a day. Bills and reports don't rest on
this: they ask `charges_between`, to the moment.
"""

from collections.abc import Callable
from datetime import datetime

from clickhouse_connect.driver.client import Client

from pixeltally.database import connect
from pixeltally.settings import Settings
from sinks import upkeep

_EVERY_S = 5.0

#: So many times as long as it counted it rests, up to a minute.
_REST = 5

#: What was marked before a count may have come into sight after it, until so long ago.
_INSERT_S = 60

_NOW = "SELECT now64(3, 'UTC')"

_MONTHS = f"""
SELECT month
FROM months
LEFT JOIN (SELECT month, max(as_of) AS kept FROM charged_months GROUP BY month) AS charged USING (month)
WHERE (SELECT count() FROM terms_set) > 0
    AND
    (
        kept < greatest(touched, (SELECT max(set_at) FROM terms_set)) + toIntervalSecond({_INSERT_S})
        OR kept < now64(3, 'UTC') - toIntervalDay(1)
    )
ORDER BY month DESC
"""

_COUNT = """
INSERT INTO charges_kept
SELECT advertiser, campaign, month, day, starts, currency, spent, {as_of:DateTime64(3, 'UTC')}
FROM charges_between(first = {month:Date}, last = toLastDayOfMonth({month:Date}))
"""


def start(settings: Settings, is_ours: Callable[[], bool]) -> None:
    """Count again and again, while `is_ours` says so."""

    def keep_now() -> None:
        client = connect(settings)
        [(as_of,)] = client.query(_NOW).result_rows
        keep(client, as_of)

    upkeep.start("charges", _EVERY_S, is_ours, keep_now, _REST)


def keep(client: Client, as_of: datetime) -> None:
    """Count what may have changed, the newest month first."""
    for (month,) in client.query(_MONTHS).result_rows:
        asked = {"as_of": as_of, "month": month}
        client.command(_COUNT, parameters=asked)
        client.insert("charged_months", [[month, as_of]], column_names=["month", "as_of"])
