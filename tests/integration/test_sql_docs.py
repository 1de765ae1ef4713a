"""Each query of docs/sql.md, run as it stands there, answers what a recount in plain Python does."""

import random
import re
import time
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import recount
from facts import fact, insert_into, own_database

DOCS = (Path(__file__).parents[2] / "docs" / "sql.md").read_text()
QUERIES = dict(re.findall(r"^### ([^\n]+)$(?:(?!^###).)*?^```sql\n(.+?)^```", DOCS, re.MULTILINE | re.DOTALL))
BERLIN = ZoneInfo("Europe/Berlin")
#: Two weeks; clocks go back an hour in Berlin on the 25th.
START_MS = int(datetime(2026, 10, 19, tzinfo=UTC).timestamp() * 1000)
UNIT = ("advertiser", "campaign", "creative", "placement")
EXPECTED = {}


def answers(question):
    """The recount of this question of the page: (hits) → rows, in the order that the query gives."""

    def remember(recount):
        EXPECTED[question] = recount
        return recount

    return remember


@pytest.fixture(scope="module")
def hits():
    rolls = random.Random(11)
    moments = iter(rolls.sample(range(14 * 86_400_000), 4000))
    hits = []

    def add(kind, who, **values):
        address = IPv4Address(0x0A000000 + who % 90)
        verdict = rolls.choice(["valid"] * 7 + ["bot", "datacenter", "prefetch"])
        where = {"country": rolls.choice(["DE", "FR", ""]), "isp": f"isp {who % 4}", "asn": who % 4}
        agent = {"browser": rolls.choice(["Firefox", "Chrome"]), "os": rolls.choice("ab"), "device": "phone"}
        page = rolls.choice(["https://www.news.example/a", "https://blog.example/b?c", ""])
        known = {"visitor": who, "ip": str(address), "user_agent": f"agent {who % 3}", "referer": page}
        judged = {"verdict": verdict, "duplicate": rolls.random() < 0.1}
        row = fact(START_MS + next(moments), kind, **{**known, **where, **agent, **judged, **values})
        hits.append(row)
        return row

    for _ in range(1500):
        campaign = rolls.choice(["spring", "spring", "autumn"])
        unit = {"campaign": campaign, "creative": rolls.choice(["banner", "video"]), "placement": rolls.choice("xyz")}
        advertiser = rolls.choice(["acme"] * 5 + ["zeta"])
        seen = add("impression", rolls.choice([0, *range(1, 300)]), advertiser=advertiser, **unit)
        if rolls.random() < 0.2:
            joined = {"impression_id": seen["id"], "seconds_to_click": rolls.randrange(9000) / 10}
            values = joined if rolls.random() < 0.7 else {}
            click = add("click", seen["visitor"], advertiser=advertiser, **unit, **values)
            if rolls.random() < 0.5:
                order = {"order": f"o{rolls.randrange(60)}", "value": f"{rolls.randrange(5000) / 100}"}
                money = {"currency": rolls.choice(["EUR", "USD"]), "click_id": click["id"]}
                who = seen["visitor"]
                add(
                    "conversion",
                    who,
                    advertiser=advertiser,
                    **{**unit, "creative": "", "placement": ""},
                    **order,
                    **money,
                )
    for who in range(1000, 1040):
        mail = {"campaign": "mail", "creative": "letter", "subscriber": f"s{who}"}
        add("open", who, **mail)
        if rolls.random() < 0.4:
            add("click", who, **mail)
    return hits


@pytest.fixture(scope="module")
def database(clickhouse, hits):
    """A client of a database of our own with the hits in it."""
    with own_database(clickhouse, "cookbook") as ours:
        insert_into(ours, "facts_in", hits)
        late = {(row["ts"] // 60_000 * 60, *(row[name] for name in UNIT)) for row in hits}
        told = {"partition": 0, "version": 1, "late": True}
        insert_into(ours, "minute_rows", [dict(zip(("minute", *UNIT), place, strict=True)) | told for place in late])
        plan = "'cpm', 'valid', 10, 'USD', 20, '2026-10-19', '2026-11-07', 0"
        ours.command(f"INSERT INTO terms_set VALUES ('acme', 'spring', '1970-01-01', 0, 'Europe/Berlin', {plan})")
        letters = [("bad-name", 3), ("bad-value", 5), ("bad-name", 4)]
        places = [{"id": f"00000000-0000-7000-8000-{n:012}", "origin": "spool x@1", "line": "{}"} for n in range(3)]
        told = [place | {"reason": name, "ts": ts} for place, (name, ts) in zip(places, letters, strict=True)]
        insert_into(ours, "dead_letters_in", told)
        yield ours


def test_the_page_has_enough_questions_and_each_has_a_recount():
    assert len(QUERIES) >= 15
    assert DOCS.count("```sql") == len(QUERIES)
    assert set(EXPECTED) == set(QUERIES)


@pytest.mark.parametrize("question", QUERIES)
def test_a_query_of_the_page_answers_as_the_recount_does(question, database, hits):
    found = database.query(QUERIES[question], settings={"readonly": 2}).result_rows
    expected = EXPECTED[question](hits)
    assert expected, "the data must have an answer"
    assert [tuple(map(plain, row)) for row in found] == expected


def plain(value):
    """As the recounts write it: no zone (all is UTC), and no digits that a sum of floats may differ in."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)
    return round(value, 6) if isinstance(value, float) else value


def day(hit):
    return datetime.fromtimestamp(hit["ts"] / 1000, BERLIN).date()


def at(hit):
    return datetime.fromtimestamp(hit["ts"] / 1000, UTC).replace(tzinfo=None)


def images(hits, campaign="spring", **equal):
    return [
        hit
        for hit in hits
        if hit["kind"] in ("impression", "open", "view")
        and hit["advertiser"] == "acme"
        and campaign in (None, hit["campaign"])
        and all(hit[name] == value for name, value in equal.items())
    ]


def seen(hits, campaign="spring", **equal):
    """Requests that tell who saw it."""
    return [hit for hit in images(hits, campaign, verdict="valid", **equal) if hit["visitor"]]


def counted(hits, campaign="spring"):
    return images(hits, campaign, verdict="valid", duplicate=False)


def orders(hits):
    """The row of each order that counts."""
    return recount.orders([hit for hit in hits if hit["advertiser"] == "acme"])


def grouped(rows, key):
    groups = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def unique(rows):
    return len({row["visitor"] for row in rows} - {0})


def by_size(counts):
    """(key…, count) rows, largest first, then by key."""
    return [(*key, count) for key, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))]


def first_days(hits):
    return {who: min(map(day, rows)) for who, rows in grouped(seen(hits), lambda hit: hit["visitor"]).items()}


@answers("How many unique IPs saw a campaign each day?")
def per_day(hits):
    rows = []
    for when, group in sorted(grouped(images(hits, verdict="valid"), day).items()):
        once = [hit for hit in group if not hit["duplicate"]]
        repeated = sum(day(hit) == when for hit in images(hits, duplicate=True))
        rows.append((when, unique(group), len(once), repeated, round(len(once) / unique(group), 2)))
    return rows


@answers("And each week and month?")
def per_week_and_month(hits):
    months = grouped(images(hits, verdict="valid"), lambda hit: day(hit).replace(day=1))
    weeks = grouped(images(hits, verdict="valid"), lambda hit: day(hit) - timedelta(days=day(hit).weekday()))
    return [
        (period, start, unique(rows))
        for period, groups in (("month", months), ("week", weeks))
        for start, rows in sorted(groups.items())
    ]


@answers("How many in any span of days?")
def in_a_span(hits):
    found = [hit for hit in images(hits) if date(2026, 10, 21) <= day(hit) <= date(2026, 10, 27)]
    unique_ips = unique(hit for hit in found if hit["verdict"] == "valid")
    valid = sum(map(recount.counts, found))
    return [(unique_ips, valid, sum(hit["duplicate"] for hit in found), round(valid / unique_ips, 2))]


@answers("How does reach grow, day after day?")
def growth(hits):
    new, total, rows = Counter(first_days(hits).values()), 0, []
    for when, count in sorted(new.items()):
        total += count
        rows.append((when, count, total))
    return rows


@answers("Who is new, who came back?")
def new_and_returning(hits):
    first = first_days(hits)
    rows = []
    for when, group in sorted(grouped(seen(hits), day).items()):
        new = unique(hit for hit in group if first[hit["visitor"]] == when)
        rows.append((when, new, unique(group) - new))
    return rows


@answers("How many saw it once, twice, three times …?")
def frequencies(hits):
    times = Counter(hit["visitor"] for hit in counted(hits) if hit["visitor"])
    return sorted(Counter(min(count, 10) for count in times.values()).items())


@answers("The same ad runs with several marketers: what does each bring, and what nobody else does?")
def marketers(hits):
    through = {who: {row["placement"] for row in rows} for who, rows in by_visitor(hits, creative="banner").items()}
    rows = []
    for placement in {each for places in through.values() for each in places}:
        theirs = [places for places in through.values() if placement in places]
        rows.append((placement, len(theirs), sum(len(places) == 1 for places in theirs)))
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def by_visitor(hits, campaign="spring", **equal):
    return grouped(seen(hits, campaign, **equal), lambda hit: hit["visitor"])


@answers("How many saw both of two campaigns?")
def overlap(hits):
    spring, autumn = ({hit["visitor"] for hit in seen(hits, name)} for name in ("spring", "autumn"))
    return [(len(spring), len(autumn), len(spring & autumn))]


@answers("What is owed at $10 a thousand unique IPs?")
def owed(hits):
    groups = grouped(seen(hits, None), lambda hit: (hit["campaign"], day(hit).replace(day=1)))
    return [(*key, unique(rows), Decimal(unique(rows)) / 100) for key, rows in sorted(groups.items())]


@answers("What did campaigns cost each day, and are they on plan?")
def cost(hits):
    rows, spent = [], Decimal(0)
    days = sorted(
        {day(hit) for hit in images(hits)} | {day(hit) for hit in orders(hits) if hit["campaign"] == "spring"}
    )
    for number, when in enumerate(days, start=1):
        valid = sum(day(hit) == when for hit in counted(hits))
        spent += Decimal(valid) / 100
        rows.append((when, "spring", valid, Decimal(valid) / 100, "USD", spent, Decimal(number)))
    return rows


@answers("What did conversions bring in?")
def revenue(hits):
    groups = grouped(orders(hits), lambda hit: (hit["campaign"], hit["currency"]))
    return [(*key, len(rows), sum(Decimal(hit["value"]) for hit in rows)) for key, rows in sorted(groups.items())]


@answers("How many requests were duplicates?")
def duplicates(hits):
    rows = []
    for placement, group in sorted(grouped(images(hits), lambda hit: hit["placement"]).items()):
        repeated = sum(hit["duplicate"] for hit in group)
        rows.append((placement, len(group), repeated, round(100 * repeated / len(group), 1)))
    return rows


@answers("What was invalid, and why?")
def verdicts(hits):
    found = images(hits)
    sizes = by_size(Counter((hit["verdict"],) for hit in found))
    return [(verdict, count, round(100 * count / len(found), 1)) for verdict, count in sizes]


@answers("Which addresses ask suspiciously often?")
def busy_addresses(hits):
    rows = []
    for (address, isp), group in grouped(images(hits, None), lambda hit: (hit["ip"], hit["isp"])).items():
        valid = sum(hit["verdict"] == "valid" and not hit["duplicate"] for hit in group)
        rows.append((address, isp, len(group), valid, len({hit["user_agent"] for hit in group})))
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))[:10]


@answers("What could not be counted at all?")
def letters(_hits):
    epoch = datetime(1970, 1, 1)
    return [("bad-name", 2, epoch + timedelta(milliseconds=4)), ("bad-value", 1, epoch + timedelta(milliseconds=5))]


@answers("Which countries and ISPs?")
def places(hits):
    groups = grouped(counted(hits), lambda hit: (hit["country"], hit["isp"]))
    rows = [(*key, len(rows), len({hit["visitor"] for hit in rows})) for key, rows in groups.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))[:20]


@answers("Which browsers, systems and devices?")
def agents(hits):
    return by_size(Counter((hit["device"], hit["os"], hit["browser"]) for hit in counted(hits)))[:20]


@answers("Which sites is it shown on?")
def sites(hits):
    names = {"https://www.news.example/a": "news.example", "https://blog.example/b?c": "blog.example", "": ""}
    return by_size(Counter((names[hit["referer"]],) for hit in counted(hits)))[:20]


@answers("At which hours of which weekdays?")
def hours(hits):
    local = [datetime.fromtimestamp(hit["ts"] / 1000, BERLIN) for hit in counted(hits)]
    return [(*key, count) for key, count in sorted(Counter((when.isoweekday(), when.hour) for when in local).items())]


@answers("How often is each placement clicked?")
def ctr(hits):
    rows = []
    for key, group in sorted(grouped(counted(hits), lambda hit: (hit["creative"], hit["placement"])).items()):
        clicks = sum((hit["creative"], hit["placement"]) == key for hit in valid_clicks(hits))
        rows.append((*key, len(group), clicks, round(100 * clicks / len(group), 2)))
    return rows


def valid_clicks(hits, campaign="spring"):
    return [
        hit
        for hit in hits
        if (hit["kind"], hit["advertiser"], hit["campaign"]) == ("click", "acme", campaign)
        and hit["verdict"] == "valid"
        and not hit["duplicate"]
    ]


@answers("How long until they click?")
def time_to_click(hits):
    seconds = sorted(hit["seconds_to_click"] for hit in valid_clicks(hits) if "impression_id" in hit)
    # quantileExact is the element at place count × level.
    return [(len(seconds), seconds[len(seconds) // 2], seconds[int(len(seconds) * 0.9)])]


@answers("How many of those who saw it converted?")
def cvr(hits):
    rows = []
    for campaign in sorted({hit["campaign"] for hit in images(hits, None)}):
        clickers = {hit["id"]: hit["visitor"] for hit in hits if hit["kind"] == "click"}
        bought = [hit for hit in orders(hits) if hit["campaign"] == campaign]
        sold = sum(bool(clickers.get(hit["click_id"]) or hit["visitor"]) for hit in bought)
        saw = unique(seen(hits, campaign))
        rows.append((campaign, sold, saw, round(100 * sold / saw, 2)))
    return rows


@answers("Which placement was seen or clicked last before a conversion?")
def last_touch(hits):
    touches = [hit for hit in hits if hit["kind"] != "conversion" and hit["verdict"] == "valid"]
    found = defaultdict(list)
    for order in orders(hits):
        if order["campaign"] != "spring" or not order["visitor"]:
            continue
        names = ("advertiser", "campaign", "visitor")
        before = [
            hit for hit in touches if all(hit[name] == order[name] for name in names) and hit["ts"] <= order["ts"]
        ]
        if before:
            found[max(before, key=lambda hit: hit["ts"])["placement"]].append(Decimal(order["value"]))
    rows = [(placement, len(values), sum(values)) for placement, values in found.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


@answers("Who opened a mail and did not click?")
def opened_only(hits):
    clicked = {hit["visitor"] for hit in hits if hit["kind"] == "click" and hit["verdict"] == "valid"}
    opened = [hit for hit in seen(hits, "mail") if hit["visitor"] not in clicked]
    return [(hit["subscriber"], at(hit)) for hit in sorted(opened, key=lambda hit: hit["ts"])]


@answers("Which minute was the busiest?")
def busiest(hits):
    minutes = Counter(hit["ts"] // 60_000 for hit in images(hits, None))
    minute, requests = min(minutes.items(), key=lambda each: (-each[1], each[0]))
    return [(datetime.fromtimestamp(minute * 60, UTC).replace(tzinfo=None), requests)]


@answers("How fresh is it?")
def freshness(hits):
    newest = max(hit["ts"] for hit in hits if hit["kind"] in ("impression", "open", "view"))
    return [(at({"ts": newest}), pytest.approx(time.time() - newest / 1000, abs=60))]
