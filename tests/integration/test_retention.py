"""What is older than PIXELTALLY_RETENTION_DAYS goes, when the setting says so; what was counted stays."""

from datetime import UTC, datetime, timedelta

import pytest
from facts import client, fact, insert_into
from processes import wait_until

from sinks import retention
from sinks.migrate import migrate

NOW = datetime.now(UTC).replace(second=0, microsecond=0)

#: No person is in them, or they expire by themselves.
PERMANENT = {
    "minute_rows", "settled_minutes", "advertisers", "erasures", "forgotten_letters", "forgotten_addresses",
    "schema_migrations",
}  # fmt: skip


@pytest.fixture
def database(clickhouse):
    """A client of a database of the test's own."""
    client(clickhouse, "default").command("CREATE DATABASE retaining ENGINE = Atomic")
    ours = client(clickhouse, "retaining")
    migrate(ours)
    yield ours
    ours.command("DROP DATABASE retaining")


def rows(ours, query):
    return ours.query(query).result_rows


def days_ago(days):
    return NOW - timedelta(days=days)


def put(ours, ages):
    """A hit in every table that expires, of so many days ago."""
    for age in ages:
        at = days_ago(age)
        ms = int(at.timestamp() * 1000)
        insert_into(ours, "facts_in", [fact(ms + n, visitor=age * 10 + n) for n in range(1, 4)])
        insert_into(ours, "minute_rows", [{**UNIT, "minute": int(at.timestamp()), "late": True}])
        insert_into(ours, "minute_rows", [{**UNIT, "minute": int(at.timestamp()) - 60, "gross": 1, "valid": 1}])
        insert_into(ours, "rerates", [{"ts": ms / 1000, "advertiser": "acme"}])
        letter = {"id": f"00000000-0000-7000-8000-{age:012}", "ts": ms, "reason": "x", "origin": "y", "line": "z"}
        insert_into(ours, "dead_letters_in", [letter])
        insert_into(ours, "sent_list", [{"visitor": age, "imported_at": at.timestamp()}])
        insert_into(ours, "forgotten_visitors", [{"visitor": age, "until": at.timestamp()}])


UNIT = {"advertiser": "acme", "campaign": "spring", "creative": "banner", "placement": "", "partition": 0, "version": 1}
EXPIRING = {
    "facts": "toDate(ts)",
    "rerates": "toDate(ts)",
    "reach_sets": "toDate(slice)",
    "dead_letters": "toDate(fromUnixTimestamp64Milli(ts, 'UTC'))",
    "sent_list": "toDate(imported_at)",
    "forgotten_visitors": "toDate(until)",
}


def kept(ours):
    """{table: the days that it still has rows of}."""
    running = "SELECT 1 FROM system.mutations WHERE database = currentDatabase() AND NOT is_done"
    wait_until(lambda: not rows(ours, running), "ClickHouse has gone over the parts that were there")
    found = {}
    for table, day in EXPIRING.items():
        ours.command(f"OPTIMIZE TABLE {table} FINAL")
        found[table] = {(NOW.date() - row[0]).days for row in rows(ours, f"SELECT DISTINCT {day} FROM {table}")}
    return found


def each(days):
    return {table: days for table in EXPIRING}


def test_rows_expire_when_the_setting_says_so_and_minutes_stay(database):
    put(database, [1, 40, 500])
    minutes = rows(database, "SELECT * FROM minutes ORDER BY minute")
    assert [row[5] for row in minutes] == [1, 3, 1, 3, 1, 3]

    retention.apply(database, 0)
    assert kept(database) == each({1, 40, 500})
    retention.apply(database, 400)
    assert kept(database) == each({1, 40})
    assert rows(database, "SELECT * FROM minutes ORDER BY minute") == minutes
    retention.apply(database, 30)
    assert kept(database) == each({1})
    assert rows(database, "SELECT * FROM minutes ORDER BY minute") == minutes

    mutations = rows(database, "SELECT count() FROM system.mutations WHERE database = 'retaining'")
    retention.apply(database, 30)
    assert rows(database, "SELECT count() FROM system.mutations WHERE database = 'retaining'") == mutations

    retention.apply(database, 0)
    put(database, [600])
    assert kept(database) == each({1, 600})
    assert len(rows(database, "SELECT * FROM minutes")) == 8


def test_a_minute_is_settled_once_and_only_when_its_facts_are_about_to_go(database):
    put(database, [10, 300])
    retention.settle(database, days_ago(200))
    assert rows(database, "SELECT toDate(minute), gross, uniques FROM settled_minutes") == [
        (days_ago(300).date(), 3, 3)
    ]
    retention.settle(database, days_ago(200))
    assert rows(database, "SELECT count() FROM settled_minutes") == [(1,)]
    assert rows(database, "SELECT sum(gross), sum(uniques) FROM minutes") == [(8, 6)]


def test_every_table_that_stores_rows_is_settled_upon(database):
    stored = rows(database, "SELECT name FROM system.tables WHERE database = 'retaining' AND engine LIKE '%MergeTree'")
    assert {name for (name,) in stored} == retention.EXPIRING.keys() | PERMANENT
