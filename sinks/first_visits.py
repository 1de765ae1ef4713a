"""Keeps the table `first_visits` as it is quickest to read.

Visits of before the table was there are brought in, a day at a time from the newest, and then never again. And what
inserts left in many parts is merged: a visitor has a row in each until then. Neither changes a number: views read the
table of months of which all is there (`visits_known`), and sets of others.
"""

from collections.abc import Callable
from datetime import date, timedelta

from clickhouse_connect.driver.client import Client

from pixeltally.database import connect
from pixeltally.settings import Settings
from sinks import upkeep

_EVERY_S = 60.0

#: Older than any visit.
_EVER = date(1970, 1, 1)

_MISSING = "SELECT (SELECT min(day) FROM visits_since), if(count() = 0, today(), toDate(min(ts))) FROM facts"

_BRING = """
INSERT INTO visits_in
SELECT * FROM visits
WHERE ts >= toDateTime64({day:Date}, 3, 'UTC') AND ts < toDateTime64({day:Date} + 1, 3, 'UTC')
"""

#: Months of which more than a tenth is not in the largest part.
_SCATTERED = """
SELECT partition_id FROM system.parts
WHERE database = currentDatabase() AND table = 'first_visits' AND active
GROUP BY partition_id
HAVING sum(rows) > 1.1 * max(rows)
"""


def start(settings: Settings, is_ours: Callable[[], bool]) -> None:
    """See to it again and again, while `is_ours` says so."""

    def see_to_it() -> None:
        client = connect(settings)
        bring(client)
        merge(client)

    upkeep.start("first visits", _EVERY_S, is_ours, see_to_it)


def bring(client: Client) -> None:
    """Bring in all days that are missing; where it is stopped between two, it goes on there."""
    [(since, oldest)] = client.query(_MISSING).result_rows
    if since == _EVER:
        return
    while since > oldest:
        since -= timedelta(days=1)
        client.command(_BRING, parameters={"day": since})
        _note(client, since)
    _note(client, _EVER)


def merge(client: Client) -> None:
    """Have a row for each visitor again, but for those of the newest inserts."""
    for (month,) in client.query(_SCATTERED).result_rows:
        client.command(f"OPTIMIZE TABLE first_visits PARTITION ID '{month}' FINAL")


def _note(client: Client, since: date) -> None:
    client.insert("visits_since", [[since]], column_names=["day"])
