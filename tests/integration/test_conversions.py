"""Conversions in ClickHouse: one row an order, exact revenue, and what nobody's requests count for."""

import uuid
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from facts import client, fact, insert, make_tables
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from processes import start_clickhouse

NOW_MS = 1_764_000_000_000
DAY_MS = 86_400_000

JUDGED = st.fixed_dictionaries({"verdict": st.sampled_from(["valid", "valid", "bot"]), "duplicate": st.booleans()})
#: A report of an order: as it was judged first, and by the rules that hold.
REPORT = st.tuples(
    st.fixed_dictionaries({"campaign": st.sampled_from("ab"), "order": st.sampled_from(["", "1", "2", "3"])}),
    st.integers(0, 60 * 24).map(lambda hours: NOW_MS + hours * 3_600_000),
    JUDGED,
    JUDGED,
)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with start_clickhouse(tmp_path_factory.mktemp("clickhouse")) as server:
        make_tables(server.url)
        yield server.url


def conversion(ts_ms: int, **values: Any) -> dict[str, Any]:
    return fact(ts_ms, "conversion", creative="", **values)


def test_an_order_is_one_row_and_the_first_counts(url: str) -> None:
    click = str(uuid.uuid4())
    first = conversion(NOW_MS, campaign="shop", order="1", value="12.50", currency="EUR", click_id=click)
    lines = [
        conversion(NOW_MS + 5, campaign="shop", order="1", value="99", currency="EUR", visitor=2),
        first,
        conversion(NOW_MS + 40 * DAY_MS, campaign="shop", order="1", value="98", visitor=3),
        conversion(NOW_MS + 1, campaign="shop", order="2", value="99999999999999.9999"),
        conversion(NOW_MS + 1, campaign="other", order="1", value="1"),
        conversion(NOW_MS + 2, campaign="shop"),
        conversion(NOW_MS + 3, campaign="shop"),
    ]
    insert(url, "facts_in", lines)
    insert(url, "facts_in", [{**each, "version": 2} for each in lines])
    rows = client(url).query(
        "SELECT toString(id), `order`, value, currency, toString(click_id) FROM conversions"
        " WHERE campaign = 'shop' AND `order` != '' ORDER BY `order`"
    )
    assert rows.result_rows == [
        (first["id"], "1", Decimal("12.50"), "EUR", click),
        (lines[3]["id"], "2", Decimal("99999999999999.9999"), "", str(uuid.UUID(int=0))),
    ]
    count = "SELECT campaign, count() FROM conversions WHERE campaign IN ('shop', 'other') GROUP BY 1 ORDER BY 1"
    assert client(url).query(count).result_rows == [("other", 1), ("shop", 4)]


def test_what_counted_stands_before_what_came_later_with_an_earlier_time(url: str) -> None:
    counted = conversion(NOW_MS + 1000, campaign="skew", order="1", value="1")
    insert(url, "facts_in", [conversion(NOW_MS, campaign="skew", order="1", value="2", duplicate=True), counted])
    rows = client(url).query("SELECT toString(id), duplicate FROM conversions WHERE campaign = 'skew'")
    assert rows.result_rows == [(counted["id"], False)]


def test_an_order_that_a_scanner_reported_first_is_the_buyers(url: str) -> None:
    scanned = conversion(NOW_MS, campaign="scanned", order="1", value="5", verdict="prefetch", visitor=8)
    bought = conversion(NOW_MS + 1000, campaign="scanned", order="1", value="5", visitor=9)
    insert(url, "facts_in", [scanned, bought, conversion(NOW_MS, campaign="scanned", order="2", verdict="bot")])
    rows = client(url).query(
        "SELECT `order`, visitor, verdict FROM conversions WHERE campaign = 'scanned' ORDER BY `order`"
    )
    assert rows.result_rows == [("1", 9, "valid"), ("2", 1, "bot")]


@settings(max_examples=30, deadline=None, phases=[Phase.generate])
@given(st.lists(REPORT, min_size=20, unique_by=lambda report: report[1]), st.integers(0, 60), st.integers(0, 60))
def test_orders_between_two_moments_are_those_that_were_not_reported_before(
    url: str, reports: list[tuple[dict[str, str], int, dict[str, Any], dict[str, Any]]], one: int, other: int
) -> None:
    client(url).command("SYSTEM STOP MERGES facts")
    advertiser = f"drawn-{uuid.uuid4().hex}"
    held: dict[tuple[str, ...], tuple[int, str]] = {}
    said = [conversion(ts_ms, advertiser=advertiser, **of, **before) for of, ts_ms, before, _ in reports]
    insert(url, "facts_in", said)
    insert(url, "facts_in", [each | now | {"version": 2} for each, (*_, now) in zip(said, reports, strict=True)])
    for line, (of, ts_ms, _, now) in zip(said, reports, strict=True):
        if now == {"verdict": "valid", "duplicate": False}:
            key = (of["campaign"], of["order"]) if of["order"] else (line["id"],)
            held[key] = min(held.get(key, (ts_ms, line["id"])), (ts_ms, line["id"]))
    since, until = (NOW_MS + days * DAY_MS for days in sorted((one, other)))
    rows = client(url).query(
        "SELECT toString(id) FROM orders_between(since = fromUnixTimestamp64Milli({since:Int64}, 'UTC'),"
        " until = fromUnixTimestamp64Milli({until:Int64}, 'UTC')) WHERE advertiser = {advertiser:String}",
        parameters={"since": since, "until": until, "advertiser": advertiser},
    )
    assert sorted(row[0] for row in rows.result_rows) == sorted(
        identity for ts_ms, identity in held.values() if since <= ts_ms < until
    )


def test_the_recount_of_a_late_minute_has_its_conversions_and_revenue(url: str) -> None:
    values = ["0.1", "0.2", "99999999999999.9999", "99999999999999.9999"]
    lines = [conversion(NOW_MS, campaign="late", order=str(n), value=value) for n, value in enumerate(values)]
    lines.append(conversion(NOW_MS, campaign="late", order="1", value="0.2", duplicate=True))
    insert(url, "facts_in", lines)
    row = {"minute": NOW_MS // 60_000 * 60, "advertiser": "acme", "campaign": "late", "version": 1}
    insert(url, "minute_rows", [{**row, "conversions": 7, "revenue": "200000000000000.0000"}])
    question = "SELECT conversions, revenue FROM minutes WHERE campaign = 'late'"
    assert client(url).query(question).result_rows == [(7, Decimal("200000000000000"))]
    insert(url, "minute_rows", [{**row, "late": True}])
    assert client(url).query(question).result_rows == [(4, Decimal("200000000000000.2998"))]


def test_nobody_is_counted_but_is_not_unique(url: str) -> None:
    insert(url, "facts_in", [fact(NOW_MS, campaign="quiet", visitor=who) for who in (0, 0, 5)])
    minute = {"minute": NOW_MS // 60_000 * 60, "advertiser": "acme", "campaign": "quiet", "creative": "banner"}
    insert(url, "minute_rows", [{**minute, "version": 1, "late": True}])
    counts = "SELECT gross, valid, uniques FROM minutes WHERE campaign = 'quiet'"
    assert client(url).query(counts).result_rows == [(3, 3, 1)]
    reach = "SELECT impressions, uniques FROM reach(period = 'day', tz = 'UTC') WHERE campaign = 'quiet'"
    assert client(url).query(reach).result_rows == [(3, 1)]


def test_a_conversion_leads_through_its_click_to_the_impression(url: str) -> None:
    impression, mine, another = (str(uuid.uuid4()) for _ in range(3))
    before = fact(NOW_MS, "click", campaign="path", id=mine, version=1)
    joined = {**before, "version": 2, "impression_id": impression, "seconds_to_click": 1.5}
    insert(url, "facts_in", [joined, before, fact(NOW_MS, "click", campaign="elsewhere", id=another)])
    lines = [
        conversion(NOW_MS + 61_250, campaign="path", order="1", click_id=mine),
        conversion(NOW_MS + 61_250, campaign="path", order="2", click_id=another),
        conversion(NOW_MS + 61_250, campaign="path", order="3"),
    ]
    insert(url, "facts_in", lines)
    rows = client(url).query(
        "SELECT `order`, toString(click_id), toString(impression_id), seconds_to_conversion FROM conversions"
        " WHERE campaign = 'path' ORDER BY `order`"
    )
    nothing = str(uuid.UUID(int=0))
    assert rows.result_rows == [("1", mine, impression, 61.25), ("2", another, nothing, 0), ("3", nothing, nothing, 0)]
