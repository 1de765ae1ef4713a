"""What the views say of facts, where streams and ClickHouse must agree."""

import json

import pytest
from facts import client, fact, insert, make_tables

MINUTE_MS = 1_700_000_040_000


def test_a_late_minute_is_recounted_with_unregistered_hits_under_their_one_name(clickhouse: str) -> None:
    make_tables(clickhouse)
    names = {"advertiser": "viewed", "campaign": "late", "creative": "banner"}
    folded = dict.fromkeys(names, "~unregistered")
    hits = [fact(MINUTE_MS + n, **names, visitor=n + 1) for n in range(3)]
    hits += [fact(MINUTE_MS + n, **names, visitor=n + 1, verdict="unregistered") for n in range(5)]
    insert(clickhouse, "facts_in", hits)
    told = {"minute": MINUTE_MS // 1000, "placement": "", "partition": 0, "version": 1}
    insert(clickhouse, "minute_rows", [{**told, **unit, "late": True} for unit in (names, folded)])
    rows = client(clickhouse).query(
        "SELECT advertiser, gross, invalid, duplicates, valid, uniques FROM minutes"
        f" WHERE toUnixTimestamp(minute) = {MINUTE_MS // 1000} ORDER BY advertiser"
    )
    assert json.loads(json.dumps(rows.result_rows)) == [["viewed", 3, 0, 0, 3, 3], ["~unregistered", 5, 5, 0, 0, 0]]


def test_the_ledger_balances_whichever_way_a_minute_was_counted(clickhouse: str) -> None:
    make_tables(clickhouse)
    unit = {"advertiser": "viewed", "campaign": "ledger", "creative": "banner", "placement": ""}
    told = {**unit, "version": 1}
    start = MINUTE_MS // 1000
    insert(
        clickhouse,
        "minute_rows",
        [
            {**told, "minute": start, "partition": 0, "gross": 9, "invalid": 3, "duplicates": 2, "valid": 4,
             "reasons": {"bot": 2, "rate": 1}},
            {**told, "minute": start, "partition": 1, "gross": 2, "invalid": 1, "valid": 1, "reasons": {"bot": 1}},
            {**told, "minute": start + 60, "partition": 0, "gross": 5, "invalid": 4, "valid": 1},
            {**told, "minute": start + 120, "partition": 0, "late": True},
            {**told, "minute": start + 180, "partition": 0, "late": True},
        ],
    )  # fmt: skip
    insert(clickhouse, "facts_in", [fact(MINUTE_MS + 120_000 + n, **unit, verdict=verdict, visitor=n + 1)
                                    for n, verdict in enumerate(["bot", "valid", "rate", "bot"])])  # fmt: skip
    insert(clickhouse, "settled_minutes", [{**unit, "minute": start + 180, "gross": 3, "invalid": 2, "valid": 1,
                                            "reasons": {"prefetch": 2}}])  # fmt: skip
    rows = client(clickhouse).query(
        "SELECT toUnixTimestamp(minute), gross, valid, duplicates, invalid, reasons FROM ledger"
        " WHERE campaign = 'ledger' ORDER BY minute"
    )
    assert rows.result_rows == [
        (start, 11, 5, 2, 4, {"bot": 3, "rate": 1}),
        (start + 60, 5, 1, 0, 4, {"unrecorded": 4}),
        (start + 120, 4, 1, 0, 3, {"bot": 2, "rate": 1}),
        (start + 180, 3, 1, 0, 2, {"prefetch": 2}),
    ]


def test_a_row_that_was_replaced_answers_no_question_however_that_is_narrowed(clickhouse: str) -> None:
    make_tables(clickhouse)
    views = {"impression": "impressions", "open": "opens", "click": "clicks", "conversion": "conversions"}
    for kind, view in views.items():
        lines = [fact(MINUTE_MS + n, kind, campaign=f"replaced-{kind}", visitor=n + 1) for n in range(1000)]
        insert(clickhouse, "facts_in", lines)
        insert(clickhouse, "facts_in", [each | {"version": 2, "verdict": "bot", "visitor": 5} for each in lines[:400]])
        ours = f"FROM {view} WHERE campaign = 'replaced-{kind}'"
        rows = client(clickhouse).query(
            "SELECT countIf(verdict = 'valid'), countIf(verdict = 'bot' AND visitor = 5),"
            f" (SELECT count() {ours} AND verdict = 'valid' AND ts < {{until:DateTime64(3)}}),"
            f" (SELECT count() {ours} AND visitor BETWEEN 2 AND 900) {ours}",
            parameters={"until": (MINUTE_MS + 500) / 1000},
        )
        assert rows.result_rows == [(600, 400, 100, 900)], view


@pytest.mark.parametrize("view", ["minutes", "slice_parts", "ledger"])
def test_whoever_asks_for_an_hour_reads_no_more_late_minutes_than_that_has(clickhouse: str, view: str) -> None:
    make_tables(clickhouse)
    ours, start = client(clickhouse), MINUTE_MS // 1000
    ours.command(
        "INSERT INTO late_minutes SELECT toDateTime({start:UInt32} + 60 * intDiv(number, 20)), 'log', 'imported',"
        " toString(number % 20), '' FROM numbers(200_000)",
        parameters={"start": start},
    )
    time = "slice" if view == "slice_parts" else "minute"
    plan = ours.query(
        f"EXPLAIN ESTIMATE SELECT sum(p.gross) FROM {view} AS p WHERE {time} BETWEEN {start} AND {start} + 3600"
    )
    rows = {row[1]: row[3] for row in plan.result_rows}
    assert 0 < rows["late_minutes"] < 2 * 200_000 / 4, "they are read twice, some thousands at a time"
