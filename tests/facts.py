"""Facts as the streams tier emits them, for tests that put them into ClickHouse themselves."""

import json
import uuid
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from pixeltally.database import DATABASE
from sinks.migrate import migrate


def fact(ts_ms: int, kind: str = "impression", **values: Any) -> dict[str, Any]:
    """A valid impression's line of `pixeltally.facts`, but for what `values` say."""
    return {
        "id": str(uuid.uuid4()),
        "ts": ts_ms,
        "kind": kind,
        "advertiser": "acme",
        "campaign": "spring",
        "creative": "banner",
        "placement": "",
        "visitor": 1,
        "verdict": "valid",
        "duplicate": False,
        "version": 1,
    } | values


def insert(url: str, table: str, lines: list[dict[str, Any]]) -> None:
    insert_into(client(url), table, lines)


def insert_into(ours: Client, table: str, lines: list[dict[str, Any]]) -> None:
    ours.raw_insert(table, insert_block="\n".join(map(json.dumps, lines)), fmt="JSONEachRow")


def client(url: str, database: str = DATABASE) -> Client:
    server = urlsplit(url)
    return clickhouse_connect.get_client(
        host=server.hostname, port=server.port, database=database, autogenerate_session_id=False
    )


def make_tables(url: str) -> None:
    """Bring the schema up to date, as the sink does when it starts."""
    client(url, "default").command(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
    migrate(client(url))
