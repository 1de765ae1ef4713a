"""What the panels answer is what plain Python counts in the same rows."""

import random
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any

import pytest
from facts import fact, insert, make_tables

from dashboards.macros import expand
from dashboards.panels import AD_UNITS, DEAD_LETTERS, DUPLICATES, NEWEST, PANELS, REACH, RESPONSE, TOTALS
from dashboards.query import Ask, Range, Rows, Unavailable, connect

MINUTE_MS = 60_000
#: Its ranges hold this module's rows only, though the database is shared: nobody else counts in that year.
NOW_S = 1_800_000_017.0

Fact = dict[str, Any]


@pytest.fixture(scope="module")
def ask(clickhouse: str) -> Ask:
    make_tables(clickhouse)
    return connect(clickhouse)


def traffic(seed: int, count: int, from_ms: int, to_ms: int) -> list[Fact]:
    """Some of everything: opens, clicks, bots, duplicates, the same visitor in several ad units."""
    draw = random.Random(seed)
    return [
        fact(
            draw.randrange(from_ms, to_ms),
            draw.choices(["impression", "open", "view", "click", "conversion"], [80, 5, 5, 8, 2])[0],
            advertiser=draw.choice(["acme", "globex"]),
            creative=draw.choice(["a", "b", "c"]),
            placement=draw.choice(["", "news"]),
            visitor=draw.choice([0, draw.randrange(2**64 - 40, 2**64)]),
            verdict=draw.choices(["valid", "bot"], [9, 1])[0],
            duplicate=draw.random() < 0.1,
        )
        for _ in range(count)
    ]


def images(facts: Iterable[Fact]) -> list[Fact]:
    return [each for each in facts if each["kind"] in ("impression", "open", "view")]


def counted(facts: Iterable[Fact]) -> list[Fact]:
    return [each for each in facts if each["verdict"] == "valid" and not each["duplicate"]]


def clicks(facts: Iterable[Fact]) -> list[Fact]:
    return counted(each for each in facts if each["kind"] == "click")


def duplicates(facts: Iterable[Fact]) -> list[Fact]:
    return [each for each in images(facts) if each["duplicate"]]


def uniques(facts: Iterable[Fact]) -> int:
    return len({each["visitor"] for each in images(facts) if each["verdict"] == "valid"} - {0})  # 0 is nobody


def share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def totals(facts: list[Fact]) -> Rows:
    gross, valid = len(images(facts)), len(counted(images(facts)))
    clicked, twice = len(clicks(facts)), len(duplicates(facts))
    return [
        (valid, uniques(facts), share(clicked, valid), twice, gross, clicked, share(twice, gross)),
    ]


def minutes(facts: list[Fact], start_ms: int, end_ms: int) -> dict[int, list[Fact]]:
    found = defaultdict(list)
    for each in facts:
        found[each["ts"] // MINUTE_MS * MINUTE_MS].append(each)
    return {minute: found[minute] for minute in range(start_ms, end_ms, MINUTE_MS)}


def reach(by_minute: dict[int, list[Fact]]) -> Rows:
    return [(at, len(counted(images(facts))), uniques(facts)) for at, facts in by_minute.items()]


def response(by_minute: dict[int, list[Fact]]) -> Rows:
    return [
        (at, len(clicks(facts)), share(len(clicks(facts)), len(counted(images(facts)))))
        for at, facts in by_minute.items()
    ]


def repeats(by_minute: dict[int, list[Fact]]) -> Rows:
    return [
        (at, len(duplicates(facts)), share(len(duplicates(facts)), len(images(facts))))
        for at, facts in by_minute.items()
    ]


def ad_units(facts: list[Fact]) -> Rows:
    found = defaultdict(list)
    for each in facts:
        if each["kind"] != "conversion":
            found[each["advertiser"], each["campaign"], each["creative"], each["placement"]].append(each)
    rows = []
    for unit, some in found.items():
        valid, clicked = len(counted(images(some))), len(clicks(some))
        rows.append((*unit, valid, uniques(some), clicked, share(clicked, valid), len(duplicates(some))))
    return sorted(rows, key=lambda row: (-row[4], -row[6], row[:4]))[:20]


def newest(facts: list[Fact]) -> Rows:
    return [(max((each["ts"] for each in facts if each["kind"] != "conversion"), default=None),)]


def recount(facts: list[Fact], start_ms: int, end_ms: int) -> dict[str, Rows]:
    within = [each for each in facts if start_ms <= each["ts"] <= end_ms]
    by_minute = minutes(within, start_ms, end_ms)
    return {
        NEWEST.id: newest(within),
        TOTALS.id: totals(within),
        DEAD_LETTERS.id: [(0, "")],
        REACH.id: reach(by_minute),
        RESPONSE.id: response(by_minute),
        DUPLICATES.id: repeats(by_minute),
        AD_UNITS.id: ad_units(within),
    }


def rounds(rows: dict[str, Rows]) -> dict[str, Rows]:
    """The same, without what the last bits of a division differ in."""
    return {
        id: [tuple(round(v, 12) if isinstance(v, float) else v for v in row) for row in some]
        for id, some in rows.items()
    }


def test_every_panel_equals_a_recount_as_time_goes_on(ask: Ask, clickhouse: str):
    now_ms = round(NOW_S * 1000)
    facts = traffic(1, 6000, now_ms - 4200_000, now_ms)
    # Redelivery and replay: the same rows once more, the highest version is what counts.
    replayed = [each | {"version": 2, "verdict": "bot"} for each in facts[::50]]
    insert(clickhouse, "facts_in", facts)
    insert(clickhouse, "facts_in", facts[:1000])
    insert(clickhouse, "facts_in", replayed)
    replaced = {each["id"]: each for each in facts + replayed}

    quarter, hour = Range(900), Range(3600)
    for step_s in (0, 2, 75, 600):
        # What comes in meanwhile lies in the last minutes, some of it late.
        more = traffic(step_s + 2, 100, now_ms + (step_s - 90) * 1000, now_ms + step_s * 1000)
        insert(clickhouse, "facts_in", more)
        replaced |= {each["id"]: each for each in more}
        for span in (quarter, hour):
            span.refresh(ask, NOW_S + step_s)
            shown = span.snapshot
            assert shown is not None
            assert shown.error == ""
            assert shown.end == (now_ms // 1000 + step_s) // 60 * MINUTE_MS + MINUTE_MS
            assert shown.end - shown.start == span.span_s * 1000 + MINUTE_MS
            assert rounds(shown.rows) == rounds(recount([*replaced.values()], shown.start, shown.end))
    assert Counter(each["kind"] for each in facts)["click"] > 100


def test_a_range_without_hits_knows_of_earlier_ones(ask: Ask, clickhouse: str):
    insert(clickhouse, "facts_in", [fact(round(NOW_S * 1000))])
    later = Range(900)
    later.refresh(ask, NOW_S + 30 * 86400)
    assert later.snapshot is not None
    assert later.snapshot.ever
    assert later.snapshot.rows[TOTALS.id] == [(0, 0, None, 0, 0, 0, None)]
    assert later.snapshot.rows[NEWEST.id] == [(None,)]


def test_dead_letters_are_counted_once_with_their_reasons(ask: Ask, clickhouse: str):
    at_s = NOW_S + 60 * 86400
    letter = {
        "id": "00000000-0000-4000-8000-00000000000a",
        "ts": round(at_s * 1000),
        "reason": "name",
        "origin": "spool a@1",
        "line": "?",
    }
    other = letter | {"id": "00000000-0000-4000-8000-00000000000b", "reason": "json"}
    insert(clickhouse, "dead_letters", [letter, other])
    insert(clickhouse, "dead_letters", [letter])
    at = Range(900)
    at.refresh(ask, at_s)
    assert at.snapshot is not None
    assert at.snapshot.rows[DEAD_LETTERS.id] == [(2, "json, name")]


def test_numbers_stay_while_clickhouse_is_away(ask: Ask):
    span = Range(900)
    span.refresh(ask, NOW_S)
    before = span.snapshot
    span.refresh(connect("http://127.0.0.1:9"), NOW_S + 1)
    away = span.snapshot
    assert before is not None
    assert away is not None
    assert away.error == "ClickHouse at 127.0.0.1:9 doesn't answer."
    assert away.rows == before.rows
    assert away.asked == before.asked
    span.refresh(ask, NOW_S + 2)
    assert span.snapshot is not None
    assert span.snapshot.error == ""


def test_a_password_stays_out_of_what_the_page_says():
    with pytest.raises(Unavailable) as said:
        connect("http://user:secret@127.0.0.1:9")("SELECT 1")
    assert "secret" not in str(said.value)


def test_a_query_that_clickhouse_refuses_is_said(ask: Ask):
    with pytest.raises(Unavailable, match="refuses the page's queries"):
        ask("SELECT nothing_of_that_name FROM impressions")


def test_columns_are_what_the_sql_answers(ask: Ask):
    for panel in PANELS:
        rows = ask(expand(panel.sql, round(NOW_S) - 900, round(NOW_S)))
        assert {len(row) for row in rows} <= {len(panel.columns)}, panel.id
