"""Every panel's and rule's SQL, macros expanded as the plugin does, on migrated ClickHouse with some of everything."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite
from typing import Any

import pytest
from facts import client, fact, insert, make_tables, minute_rows

from dashboards.boards import BOARDS, alerts, campaign, invalid, mail, network
from dashboards.boards.board import GAPS, choices
from dashboards.macros import expand
from dashboards.panel import Column, Panel

#: A range that no other test counts in.
START_S, END_S = 1_900_000_800, 1_900_008_000
CHOSEN = {"advertiser": "'acme'", "campaign": "'spring'", "creative": "creative", "__timezone": "'Europe/Berlin'"}
ALL = {"advertiser": "advertiser", "campaign": "campaign", "creative": "creative", "__timezone": "'utc'"}

PANELS = {place.panel.id: place.panel for board in BOARDS for place in board.places}
#: They ask what is newest now.
NOW = {"pipeline-freshness", "pipeline-minute-lag"}
IMAGES = ("impression", "open", "view")

Row = dict[str, Any]

#: The click of an order that names none.
NOBODYS = "00000000-0000-0000-0000-000000000000"


def traffic() -> list[Row]:
    draw = random.Random(6)
    made = []
    for number in range(3000):
        kind = draw.choices(["impression", "open", "view", "click", "conversion"], [70, 12, 3, 12, 3])[0]
        made.append(
            fact(
                draw.randrange(START_S * 1000, END_S * 1000),
                kind,
                advertiser=draw.choice(["acme", "globex"]),
                campaign=draw.choice(["spring", "autumn"]),
                creative="" if kind == "conversion" else draw.choice(["a", "b"]),
                placement=draw.choice(["", "news"]),
                visitor=draw.choice([0, *range(1, 60)]),
                ip=f"::ffff:192.0.2.{draw.randrange(1, 60)}",
                country=draw.choice(["", "DE", "AT"]),
                asn=draw.choice([0, 64500]),
                isp=draw.choice(["", "Example"]),
                device=draw.choice(["", "phone"]),
                verdict=draw.choices(["valid", "bot", "datacenter"], [8, 1, 1])[0],
                duplicate=draw.random() < 0.1,
                order=f"o{number}" if kind == "conversion" else "",
                evidence=draw.choice(["probable", "proxy", "machine"]) if kind == "open" else "",
                click_id=NOBODYS,
            )
        )
    clicks = [each for each in made if each["kind"] == "click" and each["verdict"] == "valid"]
    for each in made:
        if each["kind"] == "conversion" and draw.random() < 0.5:
            click = draw.choice(clicks)
            each |= {"advertiser": click["advertiser"], "campaign": click["campaign"], "click_id": click["id"]}
            each["ts"] = min(click["ts"] + 60_000, END_S * 1000 - 1)
    return made


@dataclass
class Asked:
    facts: list[Row]
    rows: Callable[[str], list[Row]]

    def panel(self, panel: Panel, variables: dict[str, str], start_s: int = START_S) -> list[Row]:
        return self.rows(expand(panel.sql, start_s, END_S, 600, variables))

    def counted(self, *kinds: str, **where: str) -> list[Row]:
        return [
            each
            for each in self.facts
            if each["kind"] in kinds
            and each["verdict"] == "valid"
            and not each["duplicate"]
            and all(each[name] == value for name, value in where.items())
        ]


@pytest.fixture(scope="module")
def asked(clickhouse: str) -> Asked:
    make_tables(clickhouse)
    facts = traffic()
    insert(clickhouse, "facts_in", facts)
    insert(clickhouse, "minute_rows", minute_rows(facts))
    letter = {"ts": START_S * 1000 + 5, "reason": "json", "origin": "spool a@1", "line": "?"}
    insert(clickhouse, "dead_letters", [letter | {"id": "00000000-0000-4000-8000-0000000b0a2d"}])
    # What is newest now.
    now = [fact(round(datetime.now(UTC).timestamp() * 1000), advertiser="now")]
    insert(clickhouse, "facts_in", now)
    insert(clickhouse, "minute_rows", minute_rows(now))
    ours = client(clickhouse)

    def rows(sql: str) -> list[Row]:
        return list(ours.query(sql).named_results())

    return Asked(facts, rows)


def fits(column: Column, value: Any) -> bool:
    if column.unit == "text":
        return isinstance(value, str)
    if column.unit in ("time", "day"):
        return value is None or isinstance(value, datetime)
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value))


@pytest.mark.parametrize("chosen", [CHOSEN, ALL], ids=["chosen", "all"])
@pytest.mark.parametrize("panel", PANELS.values(), ids=lambda panel: panel.id)
def test_a_panels_rows_have_the_shape_of_its_picture(panel: Panel, chosen: dict[str, str], asked: Asked):
    rows = asked.panel(panel, chosen)
    assert rows
    names = [column.name for column in panel.columns]
    for row in rows:
        assert list(row) == names
        assert all(fits(column, row[column.name]) for column in panel.columns), row
    numbers = [column for column in panel.columns if column.unit not in ("text", "time", "day", "change")]
    if panel.picture == "stat":
        assert len(rows) == 1
    if panel.picture == "series":
        moments = [row[names[0]] for row in rows]
        assert moments == sorted(moments)
        assert numbers
        texts = [column.name for column in panel.columns if column.unit == "text"]
        keys = [(row[names[0]], *(row[name] for name in texts)) for row in rows]
        assert len(set(keys)) == len(keys)
    if panel.picture in ("bars", "funnel", "heat", "map"):
        assert panel.columns[0].unit == "text"
        assert len({row[names[0]] for row in rows}) == len(rows)
    if panel.picture == "funnel":
        assert len(rows) >= 2
    assert panel.id in NOW or any(row[column.name] for row in rows for column in numbers) or not numbers


@pytest.mark.parametrize("panel", PANELS.values(), ids=lambda panel: panel.id)
def test_a_range_without_hits_is_no_error(panel: Panel, asked: Asked):
    rows = asked.rows(expand(panel.sql, END_S + 86400, END_S + 90000, 60, CHOSEN))
    if panel.picture == "stat" and panel.id not in NOW:
        assert len(rows) == 1
    for row in rows:
        assert all(fits(column, row[column.name]) or row[column.name] is None for column in panel.columns), row


def test_key_figures_are_what_plain_python_counts(asked: Asked):
    of = {"advertiser": "acme", "campaign": "spring"}
    seen, clicked = asked.counted(*IMAGES, **of), asked.counted("click", **of)
    visitors = {
        each["visitor"]
        for each in asked.facts
        if each["kind"] in IMAGES and each["verdict"] == "valid" and of.items() <= each.items()
    } - {0}
    orders = asked.counted("conversion", **of)
    (row,) = asked.panel(campaign.KEY_FIGURES, CHOSEN)
    assert row["impressions"] == len(seen)
    assert row["uniques"] == len(visitors)
    assert row["clicks"] == len(clicked)
    assert row["conversions"] == len(orders)
    assert row["ctr"] == pytest.approx(len(clicked) / len(seen))
    assert row["cvr"] == pytest.approx(len(orders) / len(visitors))
    assert row["frequency"] == pytest.approx(len(seen) / len(visitors))


def test_the_ledger_adds_up(asked: Asked):
    (row,) = asked.panel(invalid.KEY_FIGURES, CHOSEN)
    assert row["gross"] == row["valid"] + row["duplicates"] + row["invalid"]
    outcomes = {each["outcome"]: each["requests"] for each in asked.panel(invalid.REASONS, CHOSEN)}
    assert outcomes["valid"] == row["valid"]
    assert outcomes["duplicate"] == row["duplicates"]
    assert outcomes["bot"] + outcomes["datacenter"] == row["invalid"]
    assert sum(each["share"] for each in asked.panel(invalid.REASONS, CHOSEN)) == pytest.approx(1)


def test_the_change_is_against_a_period_as_long(asked: Asked):
    middle_s = (START_S + END_S) // 2
    seen = asked.counted(*IMAGES)
    now = [each for each in seen if each["ts"] >= middle_s * 1000]
    (row,) = asked.panel(network.KEY_FIGURES, ALL, middle_s)
    assert row["impressions"] == len(now)
    assert row["impressions_change"] == pytest.approx(len(now) / (len(seen) - len(now)) - 1)
    assert (row["uniques"], row["uniques_change"]) == (59, 0)


def test_hour_by_weekday_is_in_the_boards_time_zone(asked: Asked):
    rows = asked.panel(campaign.WEEK, CHOSEN)
    wanted: dict[tuple[str, str], int] = {}
    for each in asked.counted(*IMAGES, advertiser="acme", campaign="spring"):
        at = datetime.fromtimestamp(each["ts"] / 1000, UTC)
        hour = (at.hour + 1) % 24  # Berlin in March, before summer time
        wanted[at.strftime("%a"), f"h{hour:02}"] = wanted.get((at.strftime("%a"), f"h{hour:02}"), 0) + 1
    assert {
        (row["weekday"], name): count for row in rows for name, count in row.items() if name != "weekday" and count
    } == wanted


def test_a_visitor_counts_once_in_each_step_of_the_funnel(asked: Asked):
    of = {"advertiser": "acme", "campaign": "spring"}
    valid = [each for each in asked.facts if each["verdict"] == "valid" and of.items() <= each.items()]
    seen = {each["visitor"] for each in valid if each["kind"] in IMAGES} - {0}
    clicked = {each["visitor"] for each in valid if each["kind"] == "click"} - {0}
    named = {each["id"]: each["visitor"] for each in valid if each["kind"] == "click"}
    buyers = [(named.get(each["click_id"], 0), each["visitor"]) for each in asked.counted("conversion", **of)]
    converted = {clicker or own for clicker, own in buyers if clicker or own in seen}
    rows = asked.panel(campaign.FUNNEL, CHOSEN)
    assert [(row["step"], row["visitors"]) for row in rows] == [
        ("Seen", len(seen)),
        ("Clicked", len(clicked)),
        ("Converted", len(converted)),
    ]


def test_who_completed_is_whoever_clicked_what_the_order_names(asked: Asked):
    opened = {(each["campaign"], each["visitor"]) for each in asked.facts if _opened(each)}
    clicks = {each["id"]: each for each in asked.facts if each["kind"] == "click"}
    buyers = {
        (each["campaign"], clicks[each["click_id"]]["visitor"] if each["click_id"] in clicks else each["visitor"])
        for each in asked.counted("conversion", advertiser="acme")
    }
    rows = asked.panel(mail.COMPLETED, CHOSEN | {"campaign": "campaign"})
    told = {(row["campaign"], int(row["recipient"].removeprefix("visitor "))) for row in rows}
    assert told == {(name, visitor) for name, visitor in buyers & opened if visitor}
    assert all(row["clicked"] is None or row["clicked"] <= row["completed"] for row in rows)


def _opened(each: Row) -> bool:
    return each["kind"] == "open" and each["advertiser"] == "acme" and each["verdict"] == "valid"


def test_the_most_repeated_addresses_are_told_whole(asked: Asked):
    of = {"advertiser": "acme", "campaign": "spring"}
    asked_for = [each for each in asked.facts if each["kind"] in IMAGES and of.items() <= each.items()]
    rows = asked.panel(invalid.REPEATERS, CHOSEN)
    for row in rows:
        own = [each for each in asked_for if each["ip"] == f"::ffff:{row['address']}"]
        assert (row["requests"], row["duplicates"]) == (len(own), sum(each["duplicate"] for each in own))
    twice = Counter(each["ip"] for each in asked_for if each["duplicate"])
    assert sorted((row["duplicates"] for row in rows), reverse=True) == sorted(twice.values(), reverse=True)[:50]


def test_opens_are_told_by_what_they_prove(asked: Asked):
    of = {"advertiser": "acme", "campaign": "spring", "kind": "open", "duplicate": False}
    opens = [each["evidence"] for each in asked.facts if of.items() <= each.items()]
    rows = {row["evidence"]: row["opens"] for row in asked.panel(mail.EVIDENCE, CHOSEN)}
    assert rows == {evidence: opens.count(evidence) for evidence in set(opens)}


def test_choices_are_what_the_ones_before_leave(asked: Asked):
    scope = ("advertiser", "campaign", "creative")

    def names(place: int, chosen: dict[str, str]) -> list[str]:
        sql = expand(choices(scope, place), START_S, END_S, 60, chosen)
        return [next(iter(row.values())) for row in asked.rows(sql)]

    assert names(0, {}) == ["acme", "globex"]
    assert names(1, {"advertiser": "'acme'"}) == ["autumn", "spring"]
    assert names(1, {"advertiser": "'nobody'"}) == []
    assert names(2, {"advertiser": "advertiser", "campaign": "'spring'"}) == ["", "a", "b"]


def test_gaps_are_annotated(asked: Asked, clickhouse: str):
    row = {"advertiser": "acme", "campaign": "c", "creative": "x", "placement": "", "version": 1, "gross": 1}
    at = END_S + 200_000 // 60 * 60
    insert(clickhouse, "minute_rows", [row | {"minute": at + minute * 60} for minute in (0, 5, 30)])
    (gap,) = asked.rows(expand(GAPS.sql, at - 60, at + 3600))
    assert (gap["time"].replace(tzinfo=UTC).timestamp(), gap["timeEnd"].replace(tzinfo=UTC).timestamp()) == (
        at + 360,
        at + 1800,
    )


def test_rules_answer_one_number_a_label(asked: Asked):
    for alert in alerts.ALERTS:
        for row in asked.rows(expand(alert.sql, END_S - alert.range_s, END_S)):
            *labels, number = row.values()
            assert all(isinstance(label, str) for label in labels), alert.uid
            assert isinstance(number, int | float), alert.uid


def test_the_jump_and_the_band_fire_on_what_they_are_for(asked: Asked, clickhouse: str):
    at = END_S + 900_000 // 60 * 60
    usual = {"campaign": "c", "creative": "x", "placement": "", "version": 1, "duplicates": 0}
    quiet = {"gross": 1500, "invalid": 15, "valid": 1485, "clicks": 15}
    loud = {"gross": 3000, "invalid": 900, "valid": 2100, "clicks": 105}
    rows = []
    for hour in range(25):
        for name, last in (("steady", quiet), ("odd", loud)):
            rows.append(usual | {"advertiser": name, "minute": at + hour * 3600} | (last if hour == 24 else quiet))
    insert(clickhouse, "minute_rows", rows)
    by_uid = {alert.uid: alert for alert in alerts.ALERTS}
    for uid in ("pixeltally-invalid-jump", "pixeltally-ctr-band"):
        alert = by_uid[uid]
        end = at + 24 * 3600 + 60
        found = {
            row.pop("advertiser"): next(iter(row.values()))
            for row in asked.rows(expand(alert.sql, end - alert.range_s, end))
        }
        assert {name: value > alert.above for name, value in found.items()} == {"steady": False, "odd": True}
