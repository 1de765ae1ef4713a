"""The one way to ClickHouse, embedded or not."""

import logging
import time
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError

from pixeltally.settings import Settings

log = logging.getLogger("clickhouse")

DATABASE = "pixeltally"

_RETRY_S = 0.25
_LOG_EVERY_S = 10.0


def connect(settings: Settings, database: str = DATABASE) -> Client:
    """A client of `database` without a session, so that several queries may run at once; waits for the server."""
    where = urlsplit(settings.clickhouse).hostname
    next_log = time.monotonic() + _LOG_EVERY_S
    while True:
        try:
            return clickhouse_connect.get_client(
                dsn=settings.clickhouse, database=database, autogenerate_session_id=False
            )
        except OperationalError as error:
            if time.monotonic() > next_log:
                log.warning("waiting for ClickHouse on %s: %s", where, error)
                next_log = time.monotonic() + _LOG_EVERY_S
            time.sleep(_RETRY_S)
