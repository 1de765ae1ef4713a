"""Whatever is agreed on and in whatever order hits come, each month owes what a recount does."""

from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import count

import pytest
from books import Books, Terms
from facts import fact, insert_into, own_database
from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.terms import UNITS

#: Four days, of two months; clocks go forward in Berlin on the first of them.
START_MS = int(datetime(2026, 3, 29, tzinfo=UTC).timestamp() * 1000)
QUARTER_MS, QUARTERS = 900_000, 4 * 96
UNIT = ("advertiser", "campaign", "creative", "placement")
NAMES = count()

#: In these days, and some days before and after.
SINCE = [date(2026, 2, 26), date(2026, 3, 30), date(2026, 3, 31), date(2026, 4, 1), date(2026, 4, 3), date(2026, 5, 4)]
AGREED = st.tuples(
    st.sampled_from(SINCE),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Pacific/Kiritimati"]),
    st.sampled_from(sorted(UNITS)),
)
HITS = st.tuples(
    st.sampled_from(["impression", "click", "click", "conversion", "conversion"]),
    st.integers(0, QUARTERS - 1),
    st.integers(0, 3),
    st.sampled_from(["valid", "valid", "valid", "bot", "unregistered"]),
    st.booleans(),
    st.sampled_from(["", "a", "b"]),
    st.integers(0, 20),
)


@pytest.fixture(scope="module")
def ours(clickhouse):
    with own_database(clickhouse, "any_terms") as ours:
        yield ours


def facts_of(campaign, hits):
    """Facts; a conversion follows one of the clicks, of its campaign or of another."""
    found, clicks = [], [fact(START_MS, "click", campaign="another")]
    for kind, quarter, visitor, verdict, duplicate, order, which in hits:
        ad = {"creative": "", "order": order, "click_id": clicks[which % len(clicks)]["id"]}
        values = ad if kind == "conversion" else {}
        found.append(
            fact(
                START_MS + quarter * QUARTER_MS,
                kind,
                **{"campaign": campaign, "visitor": visitor, "verdict": verdict, "duplicate": duplicate, **values},
            )
        )
        clicks += found[-1:] if kind == "click" else []
    return [*found, clicks[0]]


@settings(max_examples=10)
@given(st.lists(AGREED, min_size=1, max_size=3, unique_by=lambda each: each[0]), st.lists(HITS, max_size=30), st.data())
def test_each_month_owes_what_the_recount_says(ours, agreed, hits, data):
    campaign = f"c{next(NAMES)}"
    held = [
        Terms(campaign, since if n else None, zone, *what, Decimal(1), "EUR")
        for n, (since, zone, what) in enumerate(sorted(agreed))
    ]
    facts = facts_of(campaign, hits)
    told = data.draw(st.permutations([*facts, *facts[::3]]))
    places = {(each["ts"] // 60_000 * 60, *(each[name] for name in UNIT)) for each in facts}
    minute = {"partition": 0, "version": 1, "late": True}
    insert_into(ours, "facts_in", told)
    insert_into(ours, "minute_rows", [dict(zip(("minute", *UNIT), place, strict=True)) | minute for place in places])
    for each in held:
        starts = int(each.starts().timestamp()) if each.since else 0
        row = f"'{each.since or '1970-01-01'}', {starts}, '{each.timezone}', '{each.pricing}', '{each.basis}'"
        ours.command(f"INSERT INTO terms_set VALUES ('acme', '{campaign}', {row}, 1, 'EUR', 0, NULL, NULL, 0)")

    books = Books([each for each in facts if each["verdict"] != "unregistered"], held)
    for month in (date(2026, 3, 1), date(2026, 4, 1)):
        owed = Counter()
        for each, quantity in books.paid(lambda _, day, month=month: day.replace(day=1) == month).items():
            owed[(each.since or date(1970, 1, 1), each.pricing, each.basis)] += quantity
        rows = ours.query(
            "SELECT since, c.pricing, c.basis, sum(quantity) FROM charges AS c"
            " INNER JOIN terms AS t USING (advertiser, campaign, starts)"
            f" WHERE campaign = '{campaign}' AND month = '{month}' GROUP BY ALL"
        ).result_rows
        assert {tuple(row[:3]): row[3] for row in rows if row[3]} == {key: each for key, each in owed.items() if each}
