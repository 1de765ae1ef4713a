"""Whoever comes near a month's begin or end, by whichever clock, is new and paid for once a month, on the first day."""

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from books import Books, Terms
from facts import fact, insert_into, own_database
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu"]
#: Two months' begins: clocks change in Berlin two days before the first, in New York on the second.
BEGINS = [datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)]
QUARTER = timedelta(minutes=15)
FIRST_DAY = date(1970, 1, 1)


@pytest.fixture(scope="module")
def ours(clickhouse):
    with own_database(clickhouse, "newcomers") as ours:
        ours.command("SYSTEM STOP MERGES first_visits")
        yield ours


def agreed(draw, campaign):
    """Terms from the beginning, or from some day; and others, some days from a month's begin."""
    days = {begin.date() + timedelta(days=draw.choice([-40, -3, -2, -1, 0, 1, 2, 3, 14])) for begin in BEGINS}
    since = [*draw.choices([None, date(2026, 1, 7)], [3, 1]), *sorted(days)[: draw.choice([0, 0, 1, 2])]]
    return [
        Terms(campaign, each, draw.choice(ZONES), "cpm", draw.choice(["unique", "unique", "valid"]), Decimal(1), "EUR")
        for each in since
    ]


def seen(draw, campaign):
    """A visit, mostly within 30 hours of a month's begin."""
    at = draw.choice(BEGINS) + draw.choices([1, 20], [5, 1])[0] * draw.randrange(-120, 121) * QUARTER
    visitor, verdict = draw.randrange(8), draw.choices(["valid", "bot"], [9, 1])[0]
    return fact(round(at.timestamp() * 1000), campaign=campaign, visitor=visitor, verdict=verdict)


def put(ours, hits, terms):
    for n in range(4):
        insert_into(ours, "facts_in", hits[n::4])
    minutes = {(each["campaign"], each["ts"] // 60_000 * 60) for each in hits}
    unit = {"advertiser": "acme", "creative": "banner", "partition": 0, "version": 1, "late": True}
    insert_into(ours, "minute_rows", [unit | {"campaign": campaign, "minute": at} for campaign, at in minutes])
    for each in terms:
        starts = round(each.starts().timestamp()) if each.since else 0
        row = f"'{each.since or FIRST_DAY}', {starts}, '{each.timezone}', '{each.pricing}', '{each.basis}'"
        ours.command(f"INSERT INTO terms_set VALUES ('acme', '{each.campaign}', {row}, 1, 'EUR', 0, NULL, NULL, 0)")


def recounted(books):
    """{(day, since): [uniques, those new in the month, those paid for]} of a campaign."""
    found, seen = defaultdict(lambda: [set(), 0, 0]), set()
    for each in sorted(books.facts, key=lambda each: each["ts"]):
        day, terms = books.places[each["id"]]
        row = found[day, terms.since or FIRST_DAY]
        if each["verdict"] == "valid" and each["visitor"]:
            row[0].add(each["visitor"])
            row[1] += (each["visitor"], day.replace(day=1)) not in seen
            row[2] += each["id"] in books.paid_once
            seen.add((each["visitor"], day.replace(day=1)))
    return {key: (len(visitors), *sums) for key, (visitors, *sums) in found.items()}


@settings(max_examples=3, phases=[Phase.generate])
@given(st.integers(0, 2**32))
def test_each_day_has_the_visitors_and_owes_what_the_recount_says(ours, seed):
    draw = random.Random(seed)
    for table in ("facts", "minute_rows", "late_minutes", "first_visits", "visitor_sets", "terms_set", "terms_held"):
        ours.command(f"TRUNCATE TABLE {table}")
    expected, hits, terms = {}, [], []
    for number in range(60):
        campaign = f"c{number}"
        held = agreed(draw, campaign)
        visits = [seen(draw, campaign) for _ in range(25)]
        expected |= {(campaign, *key): row for key, row in recounted(Books(visits, held)).items() if any(row)}
        hits += visits
        terms += held
    put(ours, draw.sample(hits, len(hits)) + hits[::3], terms)
    year = "first = '2026-01-01', last = '2026-12-31'"
    for paid in (False, True):
        known = f"SELECT count(DISTINCT campaign) FROM newcomers_between({year}, paid = {paid})"
        assert ours.query(known).result_rows > [(20,)]

    told = (
        "SELECT campaign, day, since, {} FROM {} AS days"
        " LEFT JOIN (SELECT campaign, starts, since FROM terms) AS terms USING (campaign, starts) WHERE {} > 0"
    )
    sums = "days.uniques, days.new_uniques, days.billable_uniques"
    whole = ours.query(told.format(sums, "campaign_days", "days.uniques")).result_rows
    assert {row[:3]: row[3:] for row in whole} == expected
    first, last = sorted(begin.date() + timedelta(days=draw.randrange(-3, 4)) for begin in draw.choices(BEGINS, k=2))
    between = f"campaign_days_between(first = '{first}', last = '{last}')"
    some = ours.query(told.format(sums, between, "days.uniques")).result_rows
    assert {row[:3]: row[3:] for row in some} == {key: row for key, row in expected.items() if first <= key[1] <= last}
    by_uniques = {(each.campaign, each.since or FIRST_DAY) for each in terms if each.basis == "unique"}
    owed = ours.query(told.format("toUInt64(quantity)", "charges", "quantity")).result_rows
    assert {row[:3]: row[3] for row in owed if (row[0], row[2]) in by_uniques} == {
        key: row[2] for key, row in expected.items() if row[2]
    }
