"""A data folder of an earlier version has the same tables and views after its migration, and says the same."""

import shutil
from contextlib import ExitStack
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from facts import empty_database, fact, insert_into, minute_rows

from sinks import first_visits
from sinks import migrate as migrating

CURRENT = Path(migrating.__file__).with_name("migrations")
#: Files that were changed after they had been run, or are part of later ones now, as they were.
EARLIER = Path(__file__).parents[1] / "earlier"
#: The first that no earlier version had.
NEW = "0034"

SAME = (
    "SELECT * FROM campaign_days ORDER BY ALL",
    "SELECT * FROM spend ORDER BY ALL",
    "SELECT * FROM minutes ORDER BY ALL",
    "SELECT slice, creative, sum(gross), sum(valid), sumMap(reasons) FROM slice_parts GROUP BY ALL ORDER BY ALL",
    "SELECT * FROM campaign_reach(period = 'month', tz = 'Europe/Berlin') ORDER BY ALL",
    "SELECT * FROM reach_between(first = '2026-01-01', last = '2026-12-31', tz = 'Asia/Tokyo') ORDER BY ALL",
)


@pytest.fixture
def earlier(tmp_path, monkeypatch):
    """A function that migrates as an earlier version did."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    for file in [each for each in CURRENT.glob("*.sql") if each.name < NEW] + sorted(EARLIER.glob("*.sql")):
        shutil.copy(file, folder)

    def run(ours):
        with monkeypatch.context() as patch:
            patch.setattr(migrating, "_FOLDER", folder)
            migrating.migrate(ours)

    return run


@pytest.fixture
def database(clickhouse):
    """A function that makes an empty database, which is dropped at the end."""
    with ExitStack() as made:
        yield lambda name: made.enter_context(empty_database(clickhouse, name))


def rows(ours, query):
    return ours.query(query).result_rows


def put(ours):
    """Hits of two months, some in minutes that are late, and what they cost."""
    start_ms = int(datetime(2026, 9, 29, tzinfo=UTC).timestamp() * 1000)
    kinds = ("impression", "open", "click", "conversion")
    hits = [
        fact(
            start_ms + n * 1_700_000, kinds[n % 4], id=f"00000000-0000-7000-8000-{n:012}", creative="ab"[n % 2],
            visitor=n % 17, verdict="bot" if n % 9 == 0 else "valid", order=f"o{n}" if n % 4 == 3 else "",
        )
        for n in range(300)
    ]  # fmt: skip
    insert_into(ours, "facts_in", hits)
    told = minute_rows(hits)
    insert_into(ours, "minute_rows", [row | {"late": n % 5 == 0} for n, row in enumerate(told)])
    for since, start_s, pricing in (("1970-01-01", 0, "cpm"), ("2026-10-02", 1_790_899_200, "cpc")):
        agreed = f"'{since}', {start_s}, 'UTC', '{pricing}', 'unique', 10, 'EUR', 0, NULL, NULL, 1"
        ours.command(f"INSERT INTO terms_set VALUES ('acme', 'spring', {agreed})")


def test_a_folder_of_an_earlier_version_becomes_as_a_new_one(database, earlier):
    old, new = database("upgraded"), database("fresh")
    earlier(old)
    put(old)
    assert migrating.migrate(old)
    migrating.migrate(new)
    put(new)
    defined = (
        "SELECT name, replaceAll(create_table_query, currentDatabase(), '')"
        " FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    )
    assert rows(old, defined) == rows(new, defined)
    for query in SAME:
        found = rows(old, query)
        assert found
        assert found == rows(new, query), query


def test_visits_of_before_are_brought_in_day_by_day_and_nothing_changes_meanwhile(database, earlier, monkeypatch):
    old, new = database("brought"), database("never_brought")
    earlier(old)
    put(old)
    migrating.migrate(old)
    migrating.migrate(new)
    put(new)
    first_visits._note(old, date(2026, 10, 5))  # nothing came since
    stored = "SELECT * FROM first_visits FINAL ORDER BY ALL"
    assert rows(old, stored) == []
    same = {query: rows(new, query) for query in SAME}
    known, told = [], first_visits._note

    def stop_after_it(ours, since):
        told(ours, since)
        raise InterruptedError

    monkeypatch.setattr(first_visits, "_note", stop_after_it)
    while known[-1:] != [first_visits._EVER]:
        with pytest.raises(InterruptedError):
            first_visits.bring(old)
        known += [day for (day,) in rows(old, "SELECT min(day) FROM visits_since")]
        for query, expected in same.items():
            assert rows(old, query) == expected, (known[-1], query)
    first_visits.bring(old)
    assert rows(old, stored) == rows(new, stored)
    assert known == sorted(known, reverse=True)
