"""Advertisers as tenants of ClickHouse: the list of them, and a user for each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import DatabaseError

from ledger import rights
from ledger.sql import reason
from pixeltally.database import reach
from pixeltally.errors import Refused
from pixeltally.settings import Settings
from pixeltally.signing import password

COLUMNS = ("advertiser", "added_at", "clickhouse_user", "newest_minute")


class Failed(Exception):
    """No user could be made; its text says why and what to do."""


class User(NamedTuple):
    """A tenant's ClickHouse user."""

    name: str
    password: str
    tables: int  #: how many tables and views it reads


def register(client: Client, advertiser: str) -> bool:
    """Put the advertiser on the list; whether it was not there yet."""
    where = {"advertiser": advertiser}
    known = client.query("SELECT 1 FROM advertisers WHERE advertiser = {advertiser:String}", parameters=where)
    if not known.result_rows:
        client.insert("advertisers", [[advertiser]], column_names=["advertiser"])
    return not known.result_rows


def make(client: Client, settings: Settings, advertiser: str) -> User:
    """Make the advertiser's ClickHouse user and try what it can read; raises :class:`Failed`.

    One that could read what it must not is dropped again.
    """
    if not _keeps_users(client):
        raise Failed(
            "no ClickHouse user was made: the embedded ClickHouse has none, and whoever reaches it reads every"
            " advertiser's rows; run a ClickHouse server and add the advertiser there (docs/tenants.md)"
        )
    secret, name = password(settings.keys().signing(), advertiser), rights.user(advertiser)
    try:
        for statement in rights.statements(advertiser, secret):
            client.command(statement)
        try:
            return User(name, secret, rights.check(advertiser, _tables(client), _as(settings, name, secret)))
        except rights.Leak as leak:
            client.command(f"DROP USER `{name}`")
            raise Failed(f"{leak}, so the user was dropped again; please report it") from None
    except DatabaseError as error:
        raise Failed(f"no ClickHouse user was made: {reason(error)}") from None


def listed(client: Client) -> list[dict[str, Any]]:
    """Who was added or counted, with `COLUMNS`."""
    users = (
        {row[0] for row in client.query("SELECT name FROM system.users").result_rows} if _keeps_users(client) else ()
    )
    rows = client.query(
        "SELECT advertiser, minOrNull(added), maxOrNull(newest) FROM"
        " (SELECT advertiser, toNullable(added_at) AS added, NULL::Nullable(DateTime('UTC')) AS newest FROM advertisers"
        " UNION ALL SELECT advertiser, NULL, max(minute) FROM minute_rows"
        " WHERE NOT startsWith(advertiser, '~') GROUP BY advertiser)"
        " GROUP BY advertiser ORDER BY advertiser"
    ).result_rows
    return [
        dict(
            zip(COLUMNS, (name, added, rights.user(name) if rights.user(name) in users else None, newest), strict=True)
        )
        for name, added, newest in rows
    ]


def _keeps_users(client: Client) -> bool:
    """Whether this ClickHouse can be told users: the embedded engine reads its one user from a file."""
    kinds = {row[0] for row in client.query("SELECT type FROM system.user_directories").result_rows}
    return kinds != {"users_xml"}


def _tables(client: Client) -> set[str]:
    """Names of the tables and views of our database, but for the ones that ClickHouse makes itself."""
    query = "SELECT name FROM system.tables WHERE database = currentDatabase() AND NOT startsWith(name, '.')"
    return {row[0] for row in client.query(query).result_rows}


def _as(settings: Settings, name: str, secret: str) -> Callable[[str], bool]:
    """How a user asks whether a query has rows."""
    where = urlsplit(settings.clickhouse)
    host = where.netloc.rpartition("@")[2]
    client = reach(replace(settings, clickhouse_url=where._replace(netloc=f"{name}:{secret}@{host}").geturl()))

    def is_any(query: str) -> bool:
        try:
            return bool(client.query(query).result_rows)
        except DatabaseError as error:
            if "ACCESS_DENIED" in str(error):
                raise Refused(reason(error)) from None
            raise

    return is_any
