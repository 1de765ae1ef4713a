"""Every panel's and rule's SQL, macros expanded as the plugin does, on migrated ClickHouse with some of everything."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from math import isfinite
from typing import Any

import pytest
from facts import client, fact, insert, make_tables, minute_rows

from dashboards.boards import BOARDS, alerts, campaign, invalid, mail, money, network, pipeline
from dashboards.boards.board import GAPS, choices
from dashboards.macros import expand
from dashboards.panel import Column, Panel
from sinks import charges

#: A range that no other test counts in.
START_S, END_S = 1_900_000_800, 1_900_008_000
CHOSEN = {"advertiser": "'initech'", "campaign": "'spring'", "creative": "creative", "__timezone": "'Europe/Berlin'"}
ALL = {"advertiser": "advertiser", "campaign": "campaign", "creative": "creative", "__timezone": "'utc'"}

PANELS = {place.panel.id: place.panel for board in BOARDS for place in board.places}
#: They ask what is newest now.
NOW = {"pipeline-freshness", "pipeline-minute-lag"}
IMAGES = ("impression", "open", "view")

Row = dict[str, Any]

#: The day that the range is of, in UTC and in Berlin, and its midnight in UTC.
DAY, DAY_S = date(2030, 3, 17), 1_899_936_000
#: initech's spring was counted on the day before, too, and as often four days earlier.
DAY_BEFORE = 300

#: Who orders without having seen anything.
STRANGER = 77

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
                advertiser=draw.choice(["initech", "umbrella"]),
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
    of = {"advertiser": "initech", "campaign": "spring", "creative": "", "click_id": NOBODYS}
    return [*made, fact(START_S * 1000, "conversion", **of, visitor=STRANGER, order="never seen, never clicked")]


def terms() -> list[Row]:
    """What campaigns cost that month, and what they were to cost."""
    of = {"since": "2030-03-01", "starts": 1_898_550_000, "timezone": "Europe/Berlin", "set_at": 1_898_550_000}
    plan = {"budget": "40", "plan_start": "2030-03-16", "plan_end": "2030-03-19"}
    agreed = [
        {"advertiser": "initech", "campaign": "spring", "pricing": "cpm", "basis": "valid", "price": "10", **plan},
        {"advertiser": "initech", "campaign": "autumn", "pricing": "cpc", "basis": "valid", "price": "0.5"},
        {"advertiser": "umbrella", "campaign": "spring", "pricing": "cpa", "basis": "valid", "price": "2"},
    ]
    return [of | {"currency": ["EUR", "EUR", "USD"][place]} | each for place, each in enumerate(agreed)]


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
    unit = {"advertiser": "initech", "campaign": "spring", "creative": "a", "placement": "", "version": 1}
    counts = {"gross": DAY_BEFORE, "valid": DAY_BEFORE}
    late = (DAY_S - 7200, DAY_S - 7200 - 4 * 86400)
    insert(clickhouse, "minute_rows", [unit | counts | {"minute": minute} for minute in late])
    insert(clickhouse, "terms_set", terms())
    stages = dict.fromkeys(("answered", "spooled", "in_kafka", "facts", "facts_gross", "windows_gross"), 7)
    judged = {"at": START_S, "from": START_S - 300, "to": START_S + 60}
    insert(clickhouse, "reconciliations", [judged | stages | {"difference": 0}])
    insert(clickhouse, "reconciliations", [judged | stages | {"at": START_S + 1, "lost": 2, "difference": 3}])
    letter = {"ts": START_S * 1000 + 5, "reason": "json", "origin": "spool a@1", "line": "?"}
    insert(clickhouse, "dead_letters", [letter | {"id": "00000000-0000-4000-8000-0000000b0a2d"}])
    # What is newest now.
    now = [fact(round(datetime.now(UTC).timestamp() * 1000), advertiser="now")]
    insert(clickhouse, "facts_in", now)
    insert(clickhouse, "minute_rows", minute_rows(now))
    ours = client(clickhouse)
    charges.keep(ours, datetime.now(UTC))

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
    if panel.picture == "stat" and panel.columns[0].unit != "text":
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
    if panel.picture == "stat" and panel.columns[0].unit != "text" and panel.id not in NOW:
        assert len(rows) == 1
    for row in rows:
        assert all(fits(column, row[column.name]) or row[column.name] is None for column in panel.columns), row


def test_key_figures_are_what_plain_python_counts(asked: Asked):
    of = {"advertiser": "initech", "campaign": "spring"}
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


@pytest.mark.parametrize("step_s", [60, 900, 1200, 3600])
def test_unique_ips_of_a_moment_are_what_plain_python_counts(step_s: int, asked: Asked):
    start_s, end_s = START_S + 240, END_S - 420
    rows = asked.rows(expand(network.REACH.sql, start_s, end_s, step_s, ALL))
    seen: dict[int, list[Row]] = {}
    for each in asked.facts:
        if each["kind"] in IMAGES and each["verdict"] == "valid" and start_s * 1000 <= each["ts"] < end_s * 1000:
            seen.setdefault(each["ts"] // 1000 // step_s * step_s, []).append(each)
    told = {row["time"].replace(tzinfo=UTC).timestamp(): (row["impressions"], row["uniques"]) for row in rows}
    assert told == {
        moment: (sum(not each["duplicate"] for each in own), len({each["visitor"] for each in own} - {0}))
        for moment, own in seen.items()
    }


def test_suspicious_providers_are_told_with_their_addresses(asked: Asked):
    of = {"advertiser": "initech", "campaign": "spring"}
    told = {(row["isp"], row["asn"]): row for row in asked.panel(invalid.PROVIDERS, CHOSEN)}
    assert told
    for isp in ("", "Example"):
        for asn in (0, 64500):
            own = [
                each
                for each in asked.facts
                if each["kind"] in IMAGES and (of | {"isp": isp, "asn": asn}).items() <= each.items()
            ]
            row = told.pop((isp or "unknown", str(asn)))
            assert (row["requests"], row["addresses"]) == (len(own), len({each["ip"] for each in own}))
            assert row["duplicates"] == sum(each["duplicate"] for each in own)
            assert row["invalid"] == sum(each["verdict"] != "valid" and not each["duplicate"] for each in own)
    assert told == {}


def test_recipients_are_told_once_and_those_of_them_who_clicked(asked: Asked):
    of = {"advertiser": "initech", "campaign": "spring", "verdict": "valid"}
    opened = {each["visitor"] for each in asked.facts if each["kind"] == "open" and of.items() <= each.items()} - {0}
    asked_for = {
        each["visitor"]
        for each in asked.facts
        if each["kind"] == "open" and (each["advertiser"], each["campaign"]) == ("initech", "spring")
    }
    clicked = {each["visitor"] for each in asked.facts if each["kind"] == "click" and of.items() <= each.items()} - {0}
    (row,) = asked.panel(mail.KEY_FIGURES, CHOSEN)
    assert (row["openers"], row["clickers"]) == (len(opened), len(asked_for & clicked))
    assert row["click_to_open"] == pytest.approx(len(asked_for & clicked) / len(opened))


def spent(asked: Asked) -> dict[str, float]:
    """By advertiser/campaign, on the day of the range."""
    return {
        "initech/spring": len(asked.counted(*IMAGES, advertiser="initech", campaign="spring")) / 100,
        "initech/autumn": len(asked.counted("click", advertiser="initech", campaign="autumn")) / 2,
        "umbrella/spring": len(asked.counted("conversion", advertiser="umbrella", campaign="spring")) * 2,
    }


def test_spend_is_by_currency_beside_as_many_days_before(asked: Asked):
    own = spent(asked)
    euros, dollars = own["initech/spring"] + own["initech/autumn"], own["umbrella/spring"]
    # The day alone, which is over; then with it a day that is not.
    for end_s in (DAY_S + 86400, DAY_S + 86400 + 3600):
        rows = asked.rows(expand(money.SPEND.sql, DAY_S, end_s, 600, ALL))
        assert [row["currency"] for row in rows] == ["EUR", "USD"]
        assert [row["spent"] for row in rows] == pytest.approx([euros, dollars])
        assert [row["over"] for row in rows] == pytest.approx([euros, dollars])
        assert [row["before"] for row in rows] == pytest.approx([DAY_BEFORE / 100, 0])
        assert rows[0]["change"] == pytest.approx(euros / (DAY_BEFORE / 100) - 1)
        assert rows[1]["change"] is None
    (today, _) = asked.panel(money.SPEND, ALL)
    assert (today["spent"], today["over"], today["change"]) == (pytest.approx(euros), 0, None)


def test_pacing_is_what_was_spent_beside_the_part_of_the_plan_that_is_over(asked: Asked):
    (row,) = asked.panel(money.PACING, CHOSEN | {"campaign": "campaign"})
    elapsed = (END_S + 3600 - (DAY_S - 86400)) / (4 * 86400)  # Berlin is an hour ahead
    so_far = DAY_BEFORE / 100 + spent(asked)["initech/spring"]
    assert (row["campaign"], row["currency"], row["budget"], row["ends"]) == ("spring", "EUR", 40, "2030-03-19")
    assert row["planned"] == pytest.approx(40 * elapsed)
    assert row["spent"] == pytest.approx(so_far)
    assert row["pace"] == pytest.approx(so_far / (40 * elapsed))
    assert row["used"] == pytest.approx(so_far / 40)
    assert asked.panel(money.PACING, CHOSEN | {"campaign": "'autumn'"}) == []


def test_spend_by_day_is_beside_the_plan(asked: Asked):
    rows = asked.rows(expand(money.DAILY.sql, DAY_S - 6 * 86400, DAY_S + 86400, 600, CHOSEN))
    midnights = [row["time"].replace(tzinfo=UTC).timestamp() for row in rows]
    assert midnights == [DAY_S + day * 86400 - 3600 for day in range(-5, 2)]
    before, own = DAY_BEFORE / 100, spent(asked)["initech/spring"]
    assert [row["spent"] for row in rows] == pytest.approx([before, 0, 0, 0, before, own, 0])
    assert [row["planned"] for row in rows] == [None] * 4 + [10, 10, 10]


def test_changed_terms_are_annotated(asked: Asked):
    rows = asked.rows(expand(money.TERMS.sql, 1_898_500_000, END_S, 60, CHOSEN))
    assert [(row["time"].replace(tzinfo=UTC).timestamp(), row["timeEnd"], row["text"]) for row in rows] == [
        (1_898_550_000, None, "spring: cpm 10 EUR")
    ]


def test_a_reconciliation_told_again_counts_as_told_last(asked: Asked):
    (row,) = asked.panel(pipeline.RECONCILED, ALL)
    assert (row["difference"], row["lost"], row["facts"]) == (3, 2, 7)
    (row,) = asked.panel(pipeline.STAGES, ALL)
    assert (row["answered"], row["difference"]) == (7, 3)
    of = {alert.uid: alert for alert in alerts.ALERTS}["pixeltally-stages-differ"]
    (row,) = asked.rows(expand(of.sql, START_S - 60, START_S + 60))
    assert row["difference"] == 5
    assert asked.rows(expand(of.sql, START_S + 60, START_S + 120)) == []


def test_who_is_off_the_plan_is_told_once_a_quarter_of_it_is_over(asked: Asked):
    of = {alert.uid: alert for alert in alerts.ALERTS}["pixeltally-pacing"]
    assert asked.rows(expand(of.sql, 0, DAY_S - 3600 - 60)) == [], "not a day of four"
    (row,) = asked.rows(expand(of.sql, 0, END_S))
    (pacing,) = asked.panel(money.PACING, CHOSEN)
    assert row == {"advertiser": "initech", "campaign": "spring EUR", "off": pytest.approx(abs(pacing["pace"] - 1))}


def test_hour_by_weekday_is_in_the_boards_time_zone(asked: Asked):
    rows = asked.panel(campaign.WEEK, CHOSEN)
    wanted: dict[tuple[str, str], int] = {}
    for each in asked.counted(*IMAGES, advertiser="initech", campaign="spring"):
        at = datetime.fromtimestamp(each["ts"] / 1000, UTC)
        hour = (at.hour + 1) % 24  # Berlin in March, before summer time
        wanted[at.strftime("%a"), f"h{hour:02}"] = wanted.get((at.strftime("%a"), f"h{hour:02}"), 0) + 1
    assert {
        (row["weekday"], name): count for row in rows for name, count in row.items() if name != "weekday" and count
    } == wanted


def test_a_visitor_counts_once_in_each_step_of_the_funnel(asked: Asked):
    of = {"advertiser": "initech", "campaign": "spring"}
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
        for each in asked.counted("conversion", advertiser="initech")
    }
    rows = asked.panel(mail.COMPLETED, CHOSEN | {"campaign": "campaign"})
    told = {(row["campaign"], int(row["recipient"].removeprefix("visitor "))) for row in rows}
    assert told == {(name, visitor) for name, visitor in buyers & opened if visitor}
    assert all(row["clicked"] is None or row["clicked"] <= row["completed"] for row in rows)


def _opened(each: Row) -> bool:
    return each["kind"] == "open" and each["advertiser"] == "initech" and each["verdict"] == "valid"


def test_the_most_repeated_addresses_are_told_whole(asked: Asked):
    of = {"advertiser": "initech", "campaign": "spring"}
    asked_for = [each for each in asked.facts if each["kind"] in IMAGES and of.items() <= each.items()]
    rows = asked.panel(invalid.REPEATERS, CHOSEN)
    for row in rows:
        own = [each for each in asked_for if each["ip"] == f"::ffff:{row['address']}"]
        assert (row["requests"], row["duplicates"]) == (len(own), sum(each["duplicate"] for each in own))
    twice = Counter(each["ip"] for each in asked_for if each["duplicate"])
    assert sorted((row["duplicates"] for row in rows), reverse=True) == sorted(twice.values(), reverse=True)[:50]


def test_opens_are_told_by_what_they_prove(asked: Asked):
    of = {"advertiser": "initech", "campaign": "spring", "kind": "open", "duplicate": False}
    opens = [each["evidence"] for each in asked.facts if of.items() <= each.items()]
    rows = {row["evidence"]: row["opens"] for row in asked.panel(mail.EVIDENCE, CHOSEN)}
    assert rows == {evidence: opens.count(evidence) for evidence in set(opens)}


def test_choices_are_what_the_ones_before_leave(asked: Asked):
    scope = ("advertiser", "campaign", "creative")

    def names(place: int, chosen: dict[str, str]) -> list[str]:
        sql = expand(choices(scope, place), START_S, END_S, 60, chosen)
        return [next(iter(row.values())) for row in asked.rows(sql)]

    assert names(0, {}) == ["initech", "umbrella"]
    assert names(1, {"advertiser": "'initech'"}) == ["autumn", "spring"]
    assert names(1, {"advertiser": "'nobody'"}) == []
    assert names(2, {"advertiser": "advertiser", "campaign": "'spring'"}) == ["", "a", "b"]


def test_gaps_are_annotated(asked: Asked, clickhouse: str):
    row = {"advertiser": "initech", "campaign": "c", "creative": "x", "placement": "", "version": 1, "gross": 1}
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
