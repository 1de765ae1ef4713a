"""What the views say of facts, where streams and ClickHouse must agree."""

import json

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
