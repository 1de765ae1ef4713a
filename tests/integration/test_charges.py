"""What is kept of days' costs is what `charges` says, whatever came and was agreed on before it was counted again."""

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
from facts import fact, insert_into, minute_rows, own_database
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger import terms
from ledger.campaign import Campaign
from sinks import charges

NUMBERS = count()

#: The last days of a month and the first of the next.
FIRST = datetime(2026, 5, 30, tzinfo=UTC)
DAYS = 4


@pytest.fixture(scope="module")
def database(clickhouse):
    with own_database(clickhouse, "charging") as ours:
        yield ours


def rows(ours, query):
    return ours.query(query).result_rows


def now(ours):
    return rows(ours, "SELECT now64(3)")[0][0]


def count_hits(ours, draw, advertiser):
    """An impression of spring on the first day, and others."""
    start_ms = round(FIRST.timestamp() * 1000)
    hits = [fact(start_ms, advertiser=advertiser)] + [
        fact(
            start_ms + draw.randrange(DAYS * 86_400_000),
            draw.choice(["impression", "impression", "click", "conversion"]),
            advertiser=advertiser,
            campaign=draw.choice(["spring", "autumn"]),
            visitor=draw.randrange(9),
            order=str(draw.random()),
        )
        for _ in range(draw.randrange(30))
    ]
    insert_into(ours, "facts_in", hits)
    insert_into(ours, "minute_rows", [row | {"late": True, "version": 1} for row in minute_rows(hits)])


def agree(ours, draw, campaign, since):
    """Terms in place of others or not: days are cut otherwise, or paid otherwise."""
    said = {
        "pricing": draw.choice(["cpm", "cpc", "cpa"]),
        "basis": draw.choice(["unique", "valid", "gross"]),
        "price": Decimal(draw.randrange(1, 99)),
        "currency": draw.choice(["EUR", "USD"]),
        "timezone": draw.choice(["UTC", "Europe/Berlin", "America/New_York"]),
    }
    terms.change(ours, campaign, said, since, datetime.now(UTC))


def kept(ours):
    columns = "advertiser, campaign, day, currency, spent"
    return [rows(ours, f"SELECT {columns} FROM {view} ORDER BY ALL") for view in ("charges_lately", "charges")]


@settings(max_examples=8)
@given(st.lists(st.sampled_from(["hits", "terms", "count"]), min_size=2, max_size=6), st.integers(0, 2**32))
def test_what_is_kept_is_what_days_cost(database, steps, seed):
    draw, advertiser = random.Random(seed), f"a{next(NUMBERS)}"
    campaigns = [Campaign(advertiser, name) for name in ("spring", "autumn")]
    count_hits(database, draw, advertiser)
    agree(database, draw, campaigns[0], terms.BEGINNING)
    for step in [*steps, "count"]:
        if step == "hits":
            count_hits(database, draw, advertiser)
        elif step == "terms":
            since = draw.choice([terms.BEGINNING, date(2026, 5, 31), date(2026, 6, 1)])
            agree(database, draw, draw.choice(campaigns), since)
        else:
            charges.keep(database, now(database))
            lately, exactly = kept(database)
            assert lately == exactly
            assert any(row[0] == advertiser for row in lately)


COUNTED = "SELECT month, max(as_of) FROM charged_months GROUP BY month ORDER BY month"


def test_a_month_is_counted_again_when_something_may_have_changed(database):
    draw = random.Random(1)
    count_hits(database, draw, "again")
    agree(database, draw, Campaign("again", "spring"), terms.BEGINNING)
    began = now(database)
    charges.keep(database, began)
    assert rows(database, COUNTED) == [(date(2026, month, 1), began) for month in (5, 6)]
    # What had begun to come before might have come into sight after.
    soon = began + timedelta(seconds=30)
    charges.keep(database, soon)
    assert {as_of for _, as_of in rows(database, COUNTED)} == {soon}
    later = now(database) + timedelta(seconds=charges._INSERT_S)
    charges.keep(database, later)
    charges.keep(database, later + timedelta(seconds=1))
    assert {as_of for _, as_of in rows(database, COUNTED)} == {later}
    at = later.replace(tzinfo=UTC)
    terms.change(database, Campaign("again", "spring"), {"price": Decimal(100)}, terms.BEGINNING, at)
    charges.keep(database, later + timedelta(seconds=2))
    assert {as_of for _, as_of in rows(database, COUNTED)} == {later + timedelta(seconds=2)}


@pytest.mark.parametrize(("hours", "again"), [(23, False), (25, True)])
def test_a_month_is_counted_once_a_day(clickhouse, hours, again):
    with own_database(clickhouse, f"charging_{hours}") as ours:
        ours.command("INSERT INTO touched_days VALUES ('2026-06-15', '2026-06-16 00:00:00')")
        before = now(ours) - timedelta(hours=hours)
        said = {"pricing": "cpm", "basis": "valid", "price": Decimal(1), "currency": "EUR"}
        terms.change(ours, Campaign("acme", "spring"), said, None, FIRST)
        ours.insert("charged_months", [[date(2026, 6, 1), before]])
        charges.keep(ours, at := now(ours))
        assert rows(ours, COUNTED) == [(date(2026, 6, 1), at if again else before)]
