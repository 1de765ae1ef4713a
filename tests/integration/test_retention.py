"""What is older than PIXELTALLY_RETENTION_DAYS goes, when the setting says so; what was counted stays."""

import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from facts import fact, insert_into, own_database
from processes import wait_until

from ledger.invoice import invoice
from ledger.report import Question, report
from pixeltally.errors import Refused
from sinks import reconcile, retention

NOW = datetime.now(UTC).replace(second=0, microsecond=0)

#: No person is in them, or they expire by themselves.
PERMANENT = {
    "minute_rows", "settled_minutes", "settled_days", "settled_rules", "terms_set", "retentions", "advertisers",
    "erasures", "forgotten_letters", "forgotten_addresses", "schema_migrations", "segments",
    "reconciliations", "late_minutes", "touched_days", "counted_days", "counted_slices", "counted_months",
    "counted_visitors", "charges_kept", "charged_months", "terms_held", "visits_since",
}  # fmt: skip


@pytest.fixture
def database(clickhouse):
    """A client of a database of the test's own."""
    with own_database(clickhouse, "retaining") as ours:
        yield ours


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
    "visitor_sets": "toDate(slice)",
    "dead_letters": "toDate(fromUnixTimestamp64Milli(ts, 'UTC'))",
    "sent_list": "toDate(imported_at)",
    "forgotten_visitors": "toDate(until)",
}


def kept(ours):
    """{table: the days that it still has rows of}."""
    running = "SELECT 1 FROM system.mutations WHERE database = currentDatabase() AND NOT is_done"
    wait_until(lambda: not rows(ours, running), "ClickHouse has gone over the parts that were there")
    ours.command("OPTIMIZE TABLE first_visits FINAL")
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


def test_what_may_have_expired_is_not_reconciled(database):
    assert reconcile._kept_from(database) == 0
    before = time.time()
    retention.apply(database, 30)
    rounded_up = reconcile._kept_from(database) + 30 * 86_400
    assert rounded_up % 60 == 0
    assert before <= rounded_up < time.time() + 60


def test_a_minute_is_settled_once_and_only_when_its_facts_are_about_to_go(database):
    put(database, [10, 300])
    retention.settle(database, days_ago(200))
    assert rows(database, "SELECT toDate(minute), gross, uniques FROM settled_minutes") == [
        (days_ago(300).date(), 3, 3)
    ]
    retention.settle(database, days_ago(200))
    assert rows(database, "SELECT count() FROM settled_minutes") == [(1,)]
    assert rows(database, "SELECT sum(gross), sum(uniques) FROM minutes") == [(8, 6)]


def test_first_visits_expire_by_whole_months_and_reach_counts_who_is_left(database):
    put(database, [1, 8, 15, 22, 29, 50, 80, 500])
    for days in (0, 400, 60, 30):
        retention.apply(database, days)
        left = kept(database)["facts"]
        months = rows(database, "SELECT DISTINCT month FROM first_visits")
        oldest = datetime.now(UTC) - timedelta(days=days or 20_000)
        begins = [datetime(*month.timetuple()[:3], tzinfo=UTC) for (month,) in months]
        assert begins or days == 30
        assert all(each - timedelta(days=1) > oldest for each in begins)
        of_facts = Counter(days_ago(age).date().replace(day=1) for age in left)
        reached = rows(database, "SELECT start, uniques FROM campaign_reach(period = 'month', tz = 'UTC')")
        assert {start: uniques for start, uniques in reached if uniques} == {
            month: 3 * ages for month, ages in of_facts.items()
        }


def agree(ours, campaign, pricing, basis):
    terms = f"'acme', '{campaign}', '1970-01-01', 0, 'UTC', '{pricing}', '{basis}', 10, 'USD', 0, NULL, NULL, 0"
    ours.command(f"INSERT INTO terms_set VALUES ({terms})")


def month_of(ours, first, campaign="spring"):
    """Hits of some of the month's days: visitors who come back and click, a robot's click, an order told twice."""
    at = int(datetime(first.year, first.month, 1, tzinfo=UTC).timestamp() * 1000)
    for day, visitors in ((0, (1, 2)), (1, (2, 3)), (14, (1, 4))):
        at_ms = at + day * 86_400_000
        known = {"campaign": campaign, "rules_version": "r1"}
        hits = [fact(at_ms + n, visitor=n, **known) for n in visitors]
        clicks = [fact(at_ms + n, "click", visitor=n, **known) for n in visitors]
        robots = fact(at_ms, "click", visitor=7, verdict="bot", **known)
        bought = {"order": f"{first}{day}", "value": "2.5", "currency": "EUR", "click_id": clicks[0]["id"]}
        orders = [fact(at_ms + n, "conversion", creative="", visitor=n, **bought, **known) for n in (8, 9)]
        insert_into(ours, "facts_in", [*hits, *clicks, robots, *orders])
        minute = {**UNIT, "campaign": campaign, "minute": at_ms // 1000}
        insert_into(ours, "minute_rows", [{**minute, "gross": 2, "valid": 2, "uniques": 2, "clicks": 2}])


def counted(ours, first):
    where = f"WHERE month = '{first}' ORDER BY campaign, day"
    return (
        rows(ours, f"SELECT * EXCEPT (settled, lost) FROM campaign_days {where}"),
        rows(ours, f"SELECT * FROM charges {where}"),
    )


def told(ours, first, by="day", per="campaign"):
    """The month's report."""
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    return report(ours, Question("acme", "", first, last, by, per))


def test_a_month_is_settled_as_a_whole_and_one_that_had_begun_to_go_is_not(database):
    month = (days_ago(120).date()).replace(day=1)
    gone = (month - timedelta(days=40)).replace(day=1)
    agree(database, "spring", "cpm", "unique")
    month_of(database, month)
    before = counted(database, month)
    bill, days, parts = invoice(database, "acme", month), told(database, month), told(database, month, per="placement")
    assert (bill.totals, [row.uniques for row in days.rows]) == ({"USD": Decimal("0.04")}, [2, 2, 2])
    assert [row.uniques for row in days.totals] == [4]
    assert [row[3] for row in before[0]] == [month, month + timedelta(days=1), month + timedelta(days=14)]
    assert [row[10] for row in before[1]] == [2, 1, 1], "each visitor once a month"
    charged = "SELECT DISTINCT lost, settled, quantity IS NULL FROM campaign_days JOIN charges USING (month, day)"
    assert rows(database, charged) == [(False, False, False)]

    retention.apply(database, (NOW.date() - month).days + 2)
    retention.apply(database, 30)
    left = kept(database)
    assert left["visitor_sets"] == left["facts"] == set()
    assert counted(database, month) == before
    assert rows(database, charged) == [(False, True, False)]
    assert invoice(database, "acme", month) == bill
    assert told(database, month) == days
    weeks = told(database, month, "week").rows
    assert [(row.valid, row.uniques, row.conversions) for row in weeks if row.valid == 2][-1] == (2, None, 1)
    # Which click an order followed is gone, so all are of none.
    of_facts = dict.fromkeys(("uniques", "click_requests", "reported_conversions", "conversions", "revenue"))
    of_parts = [replace(row, **of_facts) for row in parts.rows]
    assert told(database, month, per="placement").rows == of_parts
    assert rows(database, "SELECT DISTINCT rules_version FROM settled_rules") == [("r1",)]

    month_of(database, gone)
    retention.apply(database, 30)
    assert rows(database, "SELECT count(), uniqExact(month) FROM settled_days") == [(3, 1)]
    assert rows(database, f"{charged} WHERE month = '{gone}'") == [(True, False, True)]
    [row] = told(database, gone, "month").rows
    assert (row.gross, row.valid, row.uniques, row.conversions, row.spend) == (6, 6, None, None, None)
    with pytest.raises(Refused, match="were deleted before the month was settled"):
        invoice(database, "acme", gone)


def test_what_is_paid_for_on_any_basis_is_settled(database):
    month = (days_ago(120).date()).replace(day=1)
    gone = (month - timedelta(days=40)).replace(day=1)
    owed = {
        "cpm gross": 6, "cpm valid": 6, "cpm unique": 4, "cpc gross": 9, "cpc valid": 6, "cpc unique": 4,
        "cpa gross": 6, "cpa valid": 3, "cpa unique": 2,
    }  # fmt: skip
    for name in owed:
        agree(database, name, *name.split())
        month_of(database, month, name)
    bill, days, before = invoice(database, "acme", month), told(database, month), counted(database, month)
    assert {line.campaign: line.quantity for line in bill.lines} == owed
    of_minutes = {"cpm gross", "cpm valid", "cpc valid"}
    assert unknown(told(database, month, per="placement")) == owed.keys() - of_minutes - {"cpc gross"}

    retention.apply(database, (NOW.date() - month).days + 2)
    retention.apply(database, 30)
    assert kept(database)["facts"] == set()
    assert (invoice(database, "acme", month), told(database, month), counted(database, month)) == (bill, days, before)
    assert unknown(told(database, month, per="placement")) == owed.keys() - of_minutes

    for name in owed:
        month_of(database, gone, name)
    retention.apply(database, 30)
    assert unknown(told(database, gone)) == owed.keys() - of_minutes


def unknown(report):
    """Campaigns of which can't be told what they cost."""
    return {row.campaign for row in report.rows if row.spend is None}


def test_every_table_that_stores_rows_is_settled_upon(database):
    stored = rows(database, "SELECT name FROM system.tables WHERE database = 'retaining' AND engine LIKE '%MergeTree'")
    assert {name for (name,) in stored} == retention.EXPIRING.keys() | PERMANENT
