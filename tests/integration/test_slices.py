"""Counted days and months change no number: whatever came late or again, and whenever they were counted."""

import random
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from itertools import count, product
from zoneinfo import ZoneInfo

import pytest
from facts import fact, insert_into, minute_rows, own_database
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from processes import wait_until

from dashboards.boards import campaign, invalid, network, pipeline
from dashboards.macros import expand
from sinks import first_visits, retention, slices

IMAGES = ("impression", "open", "view")
ZONES = ("UTC", "Europe/Berlin", "Pacific/Kiritimati", "Etc/GMT+12", "America/St_Johns")
LEVELS = {
    "reach": ("advertiser", "campaign", "creative", "placement"),
    "campaign_reach": ("advertiser", "campaign"),
    "advertiser_reach": ("advertiser",),
}

NUMBERS = count()

#: Days of two months that are over: where they begin and end, by whichever zone.
FIRST = datetime(2025, 9, 30, tzinfo=UTC)
DAYS = (0, 1, 31, 32)


@pytest.fixture(scope="module")
def database(clickhouse):
    with own_database(clickhouse, "slicing") as ours:
        yield ours


def rows(ours, query):
    return ours.query(query).result_rows


def count_now(ours):
    """As if what is there had been at rest."""
    slices.count(ours, rows(ours, "SELECT now64(3)")[0][0])


def hit(draw, advertiser):
    """One of a few visitors' hits."""
    return fact(
        round(FIRST.timestamp() * 1000) + draw.choice(DAYS) * 86_400_000 + draw.randrange(86_400_000),
        draw.choice([*IMAGES, "impression", "click", "conversion"]),
        advertiser=advertiser,
        campaign=draw.choice(["spring", "autumn"]),
        creative=draw.choice("ab"),
        visitor=draw.randrange(12),
        verdict=draw.choices(["valid", "bot", "rate"], [6, 1, 1])[0],
        duplicate=draw.random() < 0.1,
        country=draw.choice(["", "AT", "DE"]),
        isp=draw.choice(["", "One", "Two"]),
        device=draw.choice(["", "mobile"]),
    )


def tell(ours, hits, told, version, draw):
    """Store hits and what windows say of their minutes, or that they were late."""
    insert_into(ours, "facts_in", told)
    minutes = {each["ts"] // 60_000 for each in told}
    counted = minute_rows([each for each in hits if each["ts"] // 60_000 in minutes])
    late = draw.random() < 0.5
    keys = ("minute", "advertiser", "campaign", "creative", "placement")
    marks = [{name: row[name] for name in keys} | {"late": True, "version": version} for row in counted]
    insert_into(ours, "minute_rows", marks if late else [row | {"version": version} for row in counted])


def slice_of(each):
    return each["ts"] // 900_000 * 900


def recounted(hits):
    """By quarter hour and ad unit: gross, valid, duplicates, invalid, clicks, conversions."""
    found = defaultdict(lambda: [0] * 6)
    for each in hits:
        row = found[slice_of(each), each["campaign"], each["creative"]]
        counts = each["verdict"] == "valid" and not each["duplicate"]
        if each["kind"] in IMAGES:
            row[0] += 1
            row[2 if each["duplicate"] else 1 if counts else 3] += 1
        elif counts:
            row[4 if each["kind"] == "click" else 5] += 1
    return {key: tuple(row) for key, row in found.items() if any(row)}


def counted(ours, advertiser):
    query = (
        "SELECT toUnixTimestamp(slice), campaign, creative, sum(p.gross) AS gross, sum(p.valid), sum(p.duplicates),"
        " sum(p.invalid), sum(p.clicks) AS clicks, sum(p.conversions) AS conversions"
        f" FROM slice_parts AS p WHERE advertiser = '{advertiser}' GROUP BY ALL"
        " HAVING gross + clicks + conversions > 0"
    )
    return {row[:3]: row[3:] for row in rows(ours, query)}


def reached(hits, names, zone):
    """By month and part of the ads: unique visitors."""
    found = defaultdict(set)
    for each in hits:
        if each["kind"] in IMAGES and each["verdict"] == "valid" and each["visitor"]:
            month = datetime.fromtimestamp(each["ts"] / 1000, ZoneInfo(zone)).date().replace(day=1)
            found[month, *(each[name] for name in names)].add(each["visitor"])
    return {key: len(visitors) for key, visitors in found.items()}


def reach(ours, view, zone, advertiser):
    names = LEVELS[view]
    query = (
        f"SELECT start, {', '.join(names)}, uniques FROM {view}(period = 'month', tz = '{zone}')"
        f" WHERE advertiser = '{advertiser}' AND uniques > 0"
    )
    return {row[:-1]: row[-1] for row in rows(ours, query)}


def holds(ours, hits, advertiser, draw):
    assert counted(ours, advertiser) == recounted(hits)
    view, zone = draw.choice([*LEVELS]), draw.choice(ZONES)
    assert reach(ours, view, zone, advertiser) == reached(hits, LEVELS[view], zone), (view, zone)


@settings(max_examples=6, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(st.sampled_from(["new", "again", "count", "ask"]), min_size=3, max_size=7),
    seed=st.integers(0, 2**32),
)
def test_no_number_changes_whatever_comes_and_whenever_it_is_counted(database, steps, seed):
    draw, hits, advertiser = random.Random(seed), [], f"a{next(NUMBERS)}"
    for version, step in enumerate(["new", *steps, "ask"], 1):
        if step == "new":
            told = [hit(draw, advertiser) for _ in range(draw.randrange(1, 40))]
            hits += told
            tell(database, hits, told, version, draw)
        elif step == "again":
            tell(database, hits, draw.sample(hits, len(hits) // 2 + 1), version, draw)
        elif step == "count":
            count_now(database)
        else:
            holds(database, hits, advertiser, draw)


def test_what_inserts_left_in_parts_is_merged_and_says_the_same(clickhouse):
    with own_database(clickhouse, "merging") as ours:
        ours.command("SYSTEM STOP MERGES first_visits")
        draw = random.Random(11)
        hits = [hit(draw, "merged") for _ in range(60)]
        for each in hits:
            insert_into(ours, "facts_in", [each])
        insert_into(ours, "minute_rows", minute_rows(hits))
        parts = (
            "SELECT count() FROM system.parts WHERE database = 'merging' AND table = 'first_visits' AND active"
            " GROUP BY partition"
        )
        assert max(rows(ours, parts)) > (9,)
        ours.command("SYSTEM START MERGES first_visits")
        first_visits.merge(ours)
        assert set(rows(ours, parts)) == {(1,)}
        for zone in ZONES:
            names = LEVELS["campaign_reach"]
            assert reach(ours, "campaign_reach", zone, "merged") == reached(hits, names, zone), zone


def test_what_is_at_rest_is_counted_and_read_until_something_comes_late(database):
    draw, advertiser = random.Random(5), "resting"
    hits = [hit(draw, advertiser) for _ in range(200)]
    tell(database, hits, hits, 1, draw)
    state = "SELECT count(), countIf(is_counted) FROM {}"
    last = rows(database, "SELECT max(touched) FROM days")[0][0]
    slices.count(database, last - timedelta(seconds=1))
    days = rows(database, state.format("days"))[0]
    assert days[1] < days[0], "the newest have not been at rest since"
    count_now(database)
    assert [rows(database, state.format(name)) for name in ("days", "months")] == [[(days[0],) * 2], [(3, 3)]]
    # What was counted is what is read.
    database.command("ALTER TABLE visitor_sets DELETE WHERE advertiser = 'resting'", settings={"mutations_sync": 1})
    for zone in ZONES:
        for view, names in LEVELS.items():
            assert reach(database, view, zone, advertiser) == reached(hits, names, zone), (view, zone)
    assert counted(database, advertiser) == recounted(hits)
    late = fact(hits[0]["ts"], advertiser=advertiser, creative="z")
    tell(database, [late], [late], 2, draw)
    day = datetime.fromtimestamp(late["ts"] / 1000, UTC).date()
    assert rows(database, "SELECT day FROM days WHERE NOT is_counted") == [(day,)]
    assert counted(database, advertiser) == recounted([*hits, late])


PANELS = (
    network.RESPONSE,
    network.DUPLICATES,
    invalid.KEY_FIGURES,
    invalid.TREND,
    invalid.REASONS_OVER_TIME,
    campaign.WEEK,
    campaign.COUNTRIES,
    campaign.PROVIDERS,
    campaign.DEVICES,
    pipeline.RATE,
)
#: Starts and lengths in minutes from `FIRST`, and steps in seconds: along quarter hours, across them, within one.
RANGES = [(0, 1440, 900), (0, 2880, 86_400), (7, 1463, 3600), (37, 2000, 600), (1440, 1440, 720), (62, 9, 900)]


@pytest.mark.parametrize("until", ["<", "<="])
def test_panels_of_counts_say_the_same_of_days_that_are_counted(database, until):
    draw, advertiser = random.Random(7), f"panels{len(until)}"
    hits = [hit(draw, advertiser) for _ in range(400)]
    tell(database, hits, hits, 1, draw)
    chosen = {"advertiser": f"'{advertiser}'", "campaign": "campaign", "creative": "creative"}
    variables = chosen | {"__timezone": "'Asia/Kathmandu'"}
    start_s = int(FIRST.timestamp())

    def answers():
        ends = [(start_s + 60 * first, start_s + 60 * (first + length), step) for first, length, step in RANGES]
        return [[rows(database, expand(panel.sql, *its, variables, until=until)) for its in ends] for panel in PANELS]

    before = answers()
    assert rows(database, "SELECT countIf(is_counted) FROM days WHERE day < '2025-10-03'") == [(0,)]
    count_now(database)
    assert rows(database, "SELECT countIf(is_counted) FROM days WHERE day < '2025-10-03'") == [(2,)]
    assert answers() == before
    assert all(any(answer) for answer in before)


ORIGINS = [(campaign.COUNTRIES, "country"), (campaign.PROVIDERS, "isp"), (campaign.DEVICES, "device")]


@settings(max_examples=10)
@given(st.lists(st.sampled_from(["hits", "count"]), max_size=4), st.integers(0, 2**32))
def test_origins_are_those_of_days_that_are_counted_and_of_facts(database, steps, seed):
    """Also where a day between counted ones isn't, or the range cuts days."""
    draw, advertiser, hits = random.Random(seed), f"origins{next(NUMBERS)}", []
    for version, step in enumerate(["hits", "hits", "hits", *steps, "count", "hits"], 1):
        if step == "count":
            count_now(database)
        else:
            told = [hit(draw, advertiser) for _ in range(draw.choice([1, 1, 2, 20]))]
            hits += told
            tell(database, told, told, version, draw)
    chosen = {"advertiser": f"'{advertiser}'", "campaign": "campaign", "creative": "creative"}
    cuts = sorted(draw.sample([day * 86_400 + cut for day in (0, 1, 31, 33) for cut in (0, 3600)], 2))
    ranges = [[int(FIRST.timestamp()) + each for each in its] for its in (cuts, (0, 33 * 86_400))]
    for bounds, (panel, name) in product(ranges, ORIGINS):
        found = rows(database, expand(panel.sql, *bounds, 3600, chosen | {"__timezone": "'UTC'"}, until="<"))
        wanted = Counter(
            each[name] or "unknown"
            for each in hits
            if bounds[0] <= each["ts"] / 1000 < bounds[1]
            and each["kind"] in IMAGES
            and each["verdict"] == "valid"
            and not each["duplicate"]
            and (each[name] or name != "country")
        )
        assert dict(found) == wanted


def test_origins_of_a_counted_day_are_read_until_something_comes_late(database):
    draw, advertiser = random.Random(9), "counted origins"
    hits = [hit(draw, advertiser) for _ in range(100)]
    tell(database, hits, hits, 1, draw)
    start_s = int(FIRST.timestamp())
    chosen = {"advertiser": f"'{advertiser}'", "campaign": "campaign", "creative": "creative"}
    sql = expand(campaign.DEVICES.sql, start_s, start_s + 2 * 86_400, 3600, chosen, until="<")
    before = rows(database, sql)
    count_now(database)
    remove = f"ALTER TABLE facts DELETE WHERE advertiser = '{advertiser}'"
    database.command(remove, settings={"mutations_sync": 1})
    assert rows(database, sql) == before
    late = [fact((start_s + day * 86_400) * 1000, advertiser=advertiser, device="tv") for day in range(2)]
    tell(database, late, late, 2, draw)
    assert rows(database, sql) == [("tv", 2)]


@pytest.mark.parametrize("until", ["<", "<="])
def test_panels_with_unique_ips_say_what_plain_python_counts(database, until):
    draw, advertiser = random.Random(8), f"uniques{len(until)}"
    hits = [hit(draw, advertiser) for _ in range(600)]
    hits += [hit(draw, advertiser) | {"kind": "conversion", "creative": ""} for _ in range(9)]
    tell(database, hits, hits, 1, draw)
    chosen = {"advertiser": f"'{advertiser}'", "campaign": "campaign", "creative": "creative"}
    zone = ZoneInfo("Asia/Kathmandu")

    def named(panel, start_s, length_s, step_s):
        sql = expand(panel.sql, start_s, start_s + length_s, step_s, chosen | {"__timezone": f"'{zone}'"}, until=until)
        found = list(database.query(sql).named_results())
        return [row for row in found if row.get("advertiser", advertiser) == advertiser]

    def told(panel, key, *its):
        sums = ("impressions", "uniques", "clicks")
        return {
            tuple(row[name] for name in key): {name: row[name] for name in sums if name in row}
            for row in named(panel, *its)
        }

    for _ in range(2):
        for first, length, step in RANGES:
            its = (int(FIRST.timestamp()) + 60 * first, 60 * length, step)
            of = [each for each in hits if its[0] <= each["ts"] / 1000 < its[0] + its[1]]
            assert told(campaign.KEY_FIGURES, (), *its) == {(): summed(of)}
            assert told(network.ADVERTISERS, ("advertiser",), *its) == by(of, ("advertiser",))
            for panel in (network.AD_UNITS, campaign.UNITS):
                assert told(panel, LEVELS["reach"], *its) == by(of, LEVELS["reach"])
            days = {
                (row["day"].replace(tzinfo=UTC).astimezone(zone).date()): (row["impressions"], row["uniques"])
                for row in named(campaign.DAYS, *its)
            }
            images = [(datetime.fromtimestamp(each["ts"] / 1000, zone).date(), each) for each in of]
            for day, found in days.items():
                wanted = summed([each for at, each in images if at == day])
                assert found == (wanted["impressions"], wanted["uniques"])
            assert days.keys() >= {at for at, each in images if each["kind"] in IMAGES}
            assert told_funnel(named(campaign.FUNNEL, *its)) == seen_and_clicked(of)
        count_now(database)


def summed(hits):
    valid = [each for each in hits if each["verdict"] == "valid"]
    counted = [each for each in valid if not each["duplicate"]]
    return {
        "impressions": sum(each["kind"] in IMAGES for each in counted),
        "uniques": len({each["visitor"] for each in valid if each["kind"] in IMAGES} - {0}),
        "clicks": sum(each["kind"] == "click" for each in counted),
    }


def by(hits, key):
    """Sums of each that has an image or a click that counts."""
    found = defaultdict(list)
    for each in hits:
        found[tuple(each[name] for name in key)].append(each)
    return {
        name: summed(own)
        for name, own in found.items()
        if any(each["kind"] in IMAGES for each in own) or summed(own)["clicks"]
    }


def told_funnel(rows):
    return {row["step"]: row["visitors"] for row in rows if row["step"] != "Converted"}


def seen_and_clicked(hits):
    def visitors(kinds):
        valid = [each for each in hits if each["verdict"] == "valid" and each["visitor"] and each["kind"] in kinds]
        return len({(each["campaign"], each["visitor"]) for each in valid})

    return {"Seen": visitors(IMAGES), "Clicked": visitors(("click",))}


def test_a_late_hit_of_a_minutes_last_second_is_in_it(database):
    start_s = int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())
    last = fact(start_s * 1000 + 59_500, advertiser="last")
    insert_into(database, "facts_in", [last])
    unit = {name: last[name] for name in LEVELS["reach"]}
    insert_into(database, "minute_rows", [unit | {"minute": start_s, "late": True, "version": 1}])
    assert rows(database, "SELECT gross, valid FROM minutes WHERE advertiser = 'last'") == [(1, 1)]


def test_days_that_are_not_over_wait(database):
    now = datetime.now(UTC)
    insert_into(database, "facts_in", [fact(round(now.timestamp() * 1000), advertiser="today")])
    count_now(database)
    found = rows(database, f"SELECT is_counted FROM days WHERE day >= '{date(now.year, now.month, now.day)}'")
    assert set(found) == {(False,)}
    assert rows(database, f"SELECT count() FROM months WHERE is_counted AND month >= '{now:%Y-%m-01}'") == [(0,)]


def test_months_that_were_counted_outlive_their_facts(database):
    hits = [fact(round(FIRST.timestamp() * 1000) + n * 86_400_000, advertiser="old", visitor=n % 9) for n in range(30)]
    insert_into(database, "facts_in", hits)
    insert_into(database, "minute_rows", minute_rows(hits))
    count_now(database)
    before = reach(database, "campaign_reach", "Asia/Tokyo", "old")
    retention.apply(database, 30)
    running = "SELECT 1 FROM system.mutations WHERE database = currentDatabase() AND NOT is_done"
    wait_until(lambda: not rows(database, running), "ClickHouse has gone over the parts that were there")
    for table in ("facts", "visitor_sets"):
        database.command(f"OPTIMIZE TABLE {table} FINAL")
        assert rows(database, f"SELECT count() FROM {table} WHERE advertiser = 'old'") == [(0,)]
    assert reach(database, "campaign_reach", "Asia/Tokyo", "old") == before
    # A minute that is told again makes nothing be counted from what is not there any more.
    insert_into(database, "minute_rows", minute_rows(hits))
    count_now(database)
    assert reach(database, "campaign_reach", "Asia/Tokyo", "old") == before
