"""Asks ClickHouse what the page shows: reading only, values bound, and for an advertiser among its own rows alone.

An advertiser's queries carry ClickHouse's setting `additional_table_filters`, which holds for every table of ours that
a query reads, also through views, joins and subqueries: of a table with a column `advertiser` only the advertiser's
rows are there, of any other none (but how long rows are kept, and which days and months are counted or whole). So it
doesn't depend on what a panel asks, and SQL is our panels' alone.
"""

import logging
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from pixeltally.database import DATABASE

log = logging.getLogger("live")

Rows = list[tuple[Any, ...]]

#: Seconds that a query may take before ClickHouse gives it up.
QUERY_TIMEOUT_S = 30
#: Seconds after which the list of tables, each with its filter, is made anew: an upgrade may have added some.
FENCE_S = 1.0

#: Conditions on the sorting key, as on times, are the same of every version of a row: they may go before FINAL.
_SETTINGS: dict[str, Any] = {
    "readonly": 2,
    "max_execution_time": QUERY_TIMEOUT_S,
    "optimize_move_to_prewhere_if_final": 1,
}

_TABLES = """
SELECT name, name IN (SELECT table FROM system.columns WHERE database = currentDatabase() AND name = 'advertiser')
FROM system.tables
WHERE database = currentDatabase() AND engine NOT LIKE '%View'
    AND name NOT IN ('retentions', 'touched_days', 'counted_days', 'counted_months', 'charged_months', 'visits_since')
"""


class Unavailable(Exception):
    """ClickHouse can't answer now; its text is one sentence for whoever looks at the page."""


class Unanswered(Unavailable):
    """It can't answer this question, though it may answer others."""


class ClickHouse:
    """The ClickHouse at `url`, for several threads. It is connected on first use and again after every failure."""

    def __init__(self, url: str) -> None:
        server = urlsplit(url)
        self._url = url
        self._away = f"ClickHouse at {server.hostname}:{server.port or 8123} doesn't answer."
        self._guard = threading.Lock()
        self._client: Client | None = None
        self._tables: Rows = []
        self._tables_due = 0.0
        self._trouble = ""

    def ask(self, sql: str, parameters: Mapping[str, str] | None = None, tenant: str = "") -> Rows:
        """The rows of one query, moments as epoch milliseconds; among `tenant`'s rows where one is named.

        Raises :class:`Unavailable`, where it is the question's own :class:`Unanswered`.
        """
        try:
            settings = _SETTINGS.copy()
            client = self._connected()
            if tenant:
                settings["additional_table_filters"] = self._fence(client, tenant)
            # Parameters that no query names would make the client put values into its text.
            named = {name: value for name, value in (parameters or {}).items() if f"{{{name}:" in sql}
            rows = client.query(sql, parameters=named or None, settings=settings).result_rows
        except Exception as error:  # whatever the client raises, the page says it and tries again
            self._client = None
            trouble = _trouble(str(error), self._away)
            if str(trouble) != self._trouble:
                log.warning("%s (%r)", trouble, error)
            self._trouble = str(trouble)
            raise trouble from None
        self._trouble = ""
        return [tuple(map(_plain, row)) for row in rows]

    def _connected(self) -> Client:
        with self._guard:
            self._client = client = self._client or clickhouse_connect.get_client(
                dsn=self._url,
                database=DATABASE,
                connect_timeout=2,
                send_receive_timeout=QUERY_TIMEOUT_S + 1,
                query_retries=0,
                autogenerate_session_id=False,
            )
            return client

    def _fence(self, client: Client, tenant: str) -> str:
        """`additional_table_filters` for the advertiser, whose name is one (checked where it is read)."""
        with self._guard:
            if time.monotonic() >= self._tables_due:
                self._tables = [tuple(row) for row in client.query(_TABLES, settings={"readonly": 2}).result_rows]
                self._tables_due = time.monotonic() + FENCE_S
            tables = self._tables
        own = f"advertiser = {_quote(tenant)}"
        filters = (f"{_quote(f'{DATABASE}.{name}')}: {_quote(own if owned else '0')}" for name, owned in tables)
        return "{" + ", ".join(filters) + "}"


def _quote(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _trouble(error: str, away: str) -> Unavailable:
    if "UNKNOWN_DATABASE" in error or "UNKNOWN_TABLE" in error:
        return Unavailable("ClickHouse has no Pixeltally tables yet; `pixeltally sink` makes them when it starts.")
    if "TIMEOUT_EXCEEDED" in error:
        return Unanswered(f"ClickHouse needs more than {QUERY_TIMEOUT_S} s for this range; choose a shorter one.")
    if "Code:" in error or "code:" in error:
        return Unanswered("ClickHouse refuses the page's queries; its log says why.")
    return Unavailable(away)


def _plain(value: Any) -> Any:
    """A moment as epoch milliseconds (ClickHouse's are UTC); all else as it is."""
    if isinstance(value, datetime):
        return round(value.replace(tzinfo=value.tzinfo or UTC).timestamp() * 1000)
    return value
