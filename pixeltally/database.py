"""The one way to ClickHouse, embedded or not."""

import logging
import time
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError

from pixeltally.errors import Refused
from pixeltally.settings import Settings

log = logging.getLogger("clickhouse")
# Whoever asks says it when ClickHouse is away; the client would say it every second.
for _chatty in ("urllib3", "clickhouse_connect"):
    logging.getLogger(_chatty).setLevel(logging.CRITICAL)

DATABASE = "pixeltally"

_RETRY_S = 0.25
_LOG_EVERY_S = 10.0


def connect(settings: Settings, database: str = DATABASE) -> Client:
    """A client of `database` without a session, so that several queries may run at once; waits for the server."""
    where = _place(settings)
    next_log = time.monotonic() + _LOG_EVERY_S
    while True:
        try:
            return _client(settings, database)
        except OperationalError as error:
            if time.monotonic() > next_log:
                log.warning("waiting for ClickHouse on %s: %s", where, error)
                next_log = time.monotonic() + _LOG_EVERY_S
            time.sleep(_RETRY_S)


def reach(settings: Settings) -> Client:
    """A client of our tables, for a command: it is refused where they can't be asked."""
    where = _place(settings)
    try:
        return _client(settings, DATABASE)
    except OperationalError:
        raise Refused(
            f"ClickHouse doesn't answer on {where}: start `pixeltally up`, or name it by PIXELTALLY_CLICKHOUSE_URL."
        ) from None
    except DatabaseError as error:
        if "UNKNOWN_DATABASE" not in str(error):
            raise
        raise Refused("ClickHouse has no Pixeltally tables yet: `pixeltally sink` makes them.") from None


def _place(settings: Settings) -> str:
    """Where it is, without name and password."""
    return urlsplit(settings.clickhouse).netloc.rpartition("@")[2]


def _client(settings: Settings, database: str) -> Client:
    return clickhouse_connect.get_client(dsn=settings.clickhouse, database=database, autogenerate_session_id=False)
