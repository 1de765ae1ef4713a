"""Whoever comes near a month's begin or end, by whichever clock, is paid for once in the month, on the first day."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from books import Books, Terms
from facts import client, fact, insert_into
from hypothesis import given, settings
from hypothesis import strategies as st

from sinks.migrate import migrate

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kathmandu"]
#: Two months' begins: clocks change in Berlin two days before the first, in New York on the second.
BEGINS = [datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)]
QUARTER = timedelta(minutes=15)
FIRST_DAY = date(1970, 1, 1)


@pytest.fixture(scope="module")
def ours(clickhouse):
    client(clickhouse, "default").command("CREATE DATABASE newcomers ENGINE = Atomic")
    ours = client(clickhouse, "newcomers")
    migrate(ours)
    ours.command("SYSTEM STOP MERGES first_visits")
    return ours


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


@settings(max_examples=3)
@given(st.integers(0, 2**32))
def test_each_day_owes_what_the_recount_says(ours, seed):
    draw = random.Random(seed)
    for table in ("facts", "minute_rows", "late_minutes", "first_visits", "reach_sets", "terms_set", "terms_held"):
        ours.command(f"TRUNCATE TABLE {table}")
    owed, hits, terms = Counter(), [], []
    for number in range(60):
        campaign = f"c{number}"
        held = agreed(draw, campaign)
        visits = [seen(draw, campaign) for _ in range(25)]
        books = Books(visits, held)
        for day, at in set(books.places.values()):
            paid = books.paid(lambda fact, its, day=day, at=at, books=books: books.places[fact["id"]] == (day, at))
            owed[campaign, day, at.since or FIRST_DAY] += sum(paid.values())
        hits += visits
        terms += held
    put(ours, draw.sample(hits, len(hits)) + hits[::3], terms)
    assert len(ours.query("SELECT 1 FROM steady_months").result_rows) > 100
    found = ours.query(
        "SELECT campaign, day, since, toUInt64(quantity) FROM charges"
        " INNER JOIN (SELECT campaign, starts, since FROM terms) AS t USING (campaign, starts) WHERE quantity > 0"
    ).result_rows
    assert {row[:3]: row[3] for row in found} == {key: quantity for key, quantity in owed.items() if quantity}
