"""Facts as the streams tier emits them, for tests that put them into ClickHouse themselves."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
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


def insert_late(url: str, facts: list[dict[str, Any]]) -> None:
    """As hits that come late, whose minutes are counted from facts."""
    insert(url, "facts_in", facts)
    insert(url, "minute_rows", [row | {"late": True} for row in minute_rows(facts)])


def client(url: str, database: str = DATABASE) -> Client:
    server = urlsplit(url)
    return clickhouse_connect.get_client(
        host=server.hostname, port=server.port, database=database, autogenerate_session_id=False
    )


def make_tables(url: str) -> None:
    """Bring the schema up to date, as the sink does when it starts."""
    client(url, "default").command(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
    migrate(client(url))


@contextmanager
def empty_database(url: str, name: str) -> Iterator[Client]:
    """A client of a database of a test's own; dropped at the end, or each later one takes longer."""
    client(url, "default").command(f"CREATE DATABASE {name} ENGINE = Atomic")
    ours = client(url, name)
    try:
        yield ours
    finally:
        ours.command(f"DROP DATABASE {name} SYNC")


@contextmanager
def own_database(url: str, name: str) -> Iterator[Client]:
    """The same with all tables."""
    with empty_database(url, name) as ours:
        migrate(ours)
        yield ours


def minute_rows(facts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What streams count of them: windows of a minute."""
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    for each in facts:
        unit = (
            each["ts"] // 60_000 * 60,
            *(each[name] for name in ("advertiser", "campaign", "creative", "placement")),
        )
        row = rows.setdefault(
            unit, dict.fromkeys(("gross", "invalid", "duplicates", "valid", "clicks", "conversions"), 0)
        )
        counted = each["verdict"] == "valid" and not each["duplicate"]
        if each["kind"] in ("impression", "open", "view"):
            row["gross"] += 1
            row["duplicates" if each["duplicate"] else "valid" if counted else "invalid"] += 1
        elif counted:
            row[f"{each['kind']}s"] += 1
    names = ("minute", "advertiser", "campaign", "creative", "placement")
    return [dict(zip(names, unit, strict=True)) | row | {"version": 1} for unit, row in rows.items()]
