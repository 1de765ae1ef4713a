"""Who asks for it is forgotten: nothing kept names them, every total stays, and replay does not bring them back."""

import json
import random
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from click.testing import CliRunner
from facts import client, fact, insert_into, make_tables, own_database

from ledger import forget as erasure
from pixeltally.cli import main
from pixeltally.identity import visitor_key, visitor_number
from pixeltally.settings import Settings

KEY = visitor_key(b"of the tests")
ANNA, HER_ADDRESS = "anna@example.org", "198.51.100.7"
NOW_MS = int(datetime.now(UTC).timestamp() * 1000)
DAY_MS = 86_400_000

#: What a forgotten hit keeps: what it was counted as, and what a purchase is. All else is erased or replaced.
KEPT = {
    "id", "ts", "kind", "advertiser", "campaign", "creative", "placement", "verdict", "reasons", "rules_version",
    "duplicate", "click_id", "impression_id", "seconds_to_click", "seconds_to_conversion", "order", "value", "currency",
    "node", "seq", "version", "purpose", "evidence",
}  # fmt: skip
ERASED = {
    "subscriber", "visitor", "ip", "country", "asn", "isp", "user_agent", "browser", "os", "device", "referer",
    "params",
}  # fmt: skip


def settings(**environ):
    return Settings.from_env({"PIXELTALLY_SECRET": "of the tests", **environ})


def number(who):
    return visitor_number(KEY, who)


def seen_by(ts, address, subscriber="", agent="Mozilla", **values):
    """A hit as ingest and streams would tell it."""
    who = f"s:{subscriber}" if subscriber else address
    known = {"ip": address, "subscriber": subscriber, "user_agent": agent, "visitor": number(who)}
    looked_up = {
        "country": "DE",
        "asn": 3320,
        "isp": "Telekom",
        "browser": "Firefox",
        "os": "Linux",
        "device": "desktop",
    }
    return fact(ts, **{**known, **looked_up, "referer": "https://r.example/", "params": {"x": address}, **values})


def many():
    """Hits of two advertisers over two months, by addresses and by subscribers at them."""
    rolls = random.Random(3)
    hits = []
    for n in range(600):
        ts = NOW_MS - 3_600_000 - rolls.randrange(60 * DAY_MS)
        address = f"198.51.100.{rolls.randrange(12)}"
        name = rolls.choice(["", "", ANNA, "ben", "cem"])
        unit = {"advertiser": rolls.choice(["acme", "zeta"]), "creative": rolls.choice("bc")}
        judged = {"verdict": rolls.choice(["valid"] * 4 + ["bot"]), "duplicate": rolls.random() < 0.1}
        kind = rolls.choice(["impression"] * 5 + ["open", "click", "conversion"])
        sold = {"order": f"o{n % 40}", "value": "2.5", "currency": "EUR"} if kind == "conversion" else {}
        clicks = [hit["id"] for hit in hits if hit["kind"] == "click"]
        sold |= {"click_id": rolls.choice(clicks)} if sold and clicks and n % 2 else {}
        hits.append(seen_by(ts, address, name, kind=kind, **unit, **judged, **sold))
    return hits


def told_late(hits):
    """Rows that make the view `minutes` count these hits from facts; half of them, so that both ways are there."""
    names = ("advertiser", "campaign", "creative", "placement")
    places = sorted({(hit["ts"] // 60_000 * 60, *(hit[name] for name in names)) for hit in hits})
    rows = [dict(zip(("minute", *names), place, strict=True)) | {"partition": 0, "version": 1} for place in places]
    return [row | ({"late": True} if n % 2 else {"gross": 1, "valid": 1, "uniques": 1}) for n, row in enumerate(rows)]


@pytest.fixture(scope="module")
def module_database(clickhouse):
    with own_database(clickhouse, "forgetting") as ours:
        yield ours


@pytest.fixture
def database(module_database):
    """A client of a database with empty tables."""
    for (table,) in rows(module_database, STORED):
        module_database.command(f"TRUNCATE TABLE {table}")
    return module_database


def put(ours, hits):
    insert_into(ours, "facts_in", hits)


def forget(ours, advertiser="", **who):
    """Forget `ip` or `subscriber`, as the command does."""
    if "ip" in who:
        person = erasure.address(ours, settings(), ip_address(who["ip"]))
    else:
        person = erasure.subscriber(settings(), who["subscriber"])
    return erasure.forget(ours, person, advertiser)


def rows(ours, query):
    return ours.query(query).result_rows


#: What is stored, but for which migrations were run.
STORED = (
    "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    " AND name != 'schema_migrations'"
)

TOTALS = [
    "SELECT * FROM minutes ORDER BY ALL",
    "SELECT * FROM ctr ORDER BY ALL",
    "SELECT * FROM reach(period = 'day', tz = 'Europe/Berlin') ORDER BY ALL",
    "SELECT * FROM campaign_reach(period = 'week', tz = 'Europe/Berlin') ORDER BY ALL",
    "SELECT * FROM advertiser_reach(period = 'month', tz = 'Europe/Berlin') ORDER BY ALL",
    "SELECT * FROM campaign_reach(period = 'month', tz = 'Pacific/Apia') ORDER BY ALL",
    "SELECT advertiser, campaign, creative, kind, verdict, duplicate, count(), uniqExact(visitor) FROM facts FINAL"
    " GROUP BY ALL ORDER BY ALL",
    "SELECT toStartOfMonth(ts) AS month, advertiser, uniqExact(visitor) FROM impressions GROUP BY ALL ORDER BY ALL",
    "SELECT advertiser, campaign, order, value, currency, verdict, duplicate FROM conversions ORDER BY ALL",
    "SELECT * FROM spend ORDER BY ALL",
    "SELECT * FROM campaign_days ORDER BY ALL",
    "SELECT * FROM campaign_reach_between(first = '1970-01-01', last = '2105-12-31', tz = 'UTC') ORDER BY ALL",
    "SELECT advertiser, sent, opened, clicked, converted, count(), sum(f.conversions) FROM funnel AS f"
    " GROUP BY ALL ORDER BY ALL",
]

#: As exact as bytes: facts, without what ClickHouse merges when it likes.
FACTS = "SELECT * FROM facts FINAL ORDER BY id"
#: Who is in reach's sets.
IN_SETS = "SELECT DISTINCT arrayJoin(visitors) FROM visitor_sets"


def leftovers(ours, text, visitor):
    """Tables that hold the text or the visitor's number, but for those that remember whom to forget."""
    found = []
    tables = rows(
        ours, "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree'"
    )
    for (table,) in tables:
        if table.startswith("forgotten_"):
            continue
        columns = rows(
            ours, f"SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{table}'"
        )
        texts = [f"position(toString(`{name}`), '{text}') > 0" for (name,) in columns if name != "visitors"]
        texts += ["visitor = " + str(visitor)] if ("visitor",) in columns else []
        if rows(ours, f"SELECT 1 FROM {table} WHERE {' OR '.join(texts)} LIMIT 1"):
            found.append(table)
    return found + (["visitor_sets"] if (visitor,) in rows(ours, IN_SETS) else [])


@pytest.mark.parametrize(
    ("who", "text", "visitor"),
    [({"ip": HER_ADDRESS}, HER_ADDRESS, HER_ADDRESS), ({"subscriber": ANNA}, ANNA, f"s:{ANNA}")],
)
def test_nothing_names_them_and_every_total_stays_and_replay_changes_nothing(database, who, text, visitor):
    hits = many()
    put(database, hits)
    insert_into(database, "minute_rows", told_late(hits))
    listed = [
        {"advertiser": "acme", "campaign": "spring", "visitor": number(f"s:{name}"), "subscriber": name}
        for name in (ANNA, "ben", "dora")
    ]
    insert_into(database, "sent_list", listed)
    for n, pricing in enumerate(("cpm", "cpc", "cpa")):
        start_s = n and NOW_MS // DAY_MS * 86_400 - (60 - 20 * n) * 86_400
        since = datetime.fromtimestamp(start_s, UTC).date()
        by_uniques = f"'spring', '{since}', {start_s}, 'UTC', '{pricing}', 'unique', 10, 'USD', 0, NULL, NULL, 0"
        for advertiser in ("acme", "zeta"):
            database.command(f"INSERT INTO terms_set VALUES ('{advertiser}', {by_uniques})")
    paid_once = "SELECT sum(billable_uniques), sum(billable_clickers), sum(billable_converters) FROM campaign_days"
    assert min(rows(database, paid_once)[0]) > 3
    before = [rows(database, query) for query in TOTALS]
    assert set(leftovers(database, text, number(visitor))) >= {"facts", "visitor_sets"}

    erased = forget(database, **who)

    assert leftovers(database, text, number(visitor)) == []
    assert [rows(database, query) for query in TOTALS] == before
    theirs = [hit for hit in hits if hit["visitor"] == number(visitor) or hit["ip"] == text]
    assert sum(row["hits"] for row in erased.hits) == len(theirs)
    assert erased.on_lists == (1 if "subscriber" in who else 0)
    ledger = "SELECT kind, advertiser, campaign, month, sum(hits) FROM erasures FINAL GROUP BY ALL ORDER BY ALL"
    months = {
        (hit["advertiser"], datetime.fromtimestamp(hit["ts"] / 1000, UTC).date().replace(day=1)) for hit in theirs
    }
    assert rows(database, ledger) == [
        (
            *who,
            advertiser,
            "spring",
            month,
            sum((hit["advertiser"], day(hit).replace(day=1)) == (advertiser, month) for hit in theirs),
        )
        for advertiser, month in sorted(months)
    ]

    kept = rows(database, FACTS)
    put(database, hits)
    put(database, hits[::2])
    assert rows(database, FACTS) == kept
    assert [rows(database, query) for query in TOTALS] == before
    assert leftovers(database, text, number(visitor)) == []


def day(hit):
    return datetime.fromtimestamp(hit["ts"] / 1000, UTC).date()


def test_a_forgotten_hit_keeps_what_it_was_counted_as_and_nothing_else(database):
    columns = dict(
        rows(database, "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = 'facts'")
    )
    assert columns.keys() <= KEPT | ERASED
    full = seen_by(NOW_MS - DAY_MS, HER_ADDRESS, ANNA, kind="click", params={"to": "https://shop.example/", "x": "1"})
    hit = full | {"click_id": full["id"], "impression_id": full["id"], "order": "7", "value": "1.5", "currency": "EUR"}
    put(
        database,
        [
            hit
            | {
                "reasons": ["x"],
                "rules_version": "1",
                "node": "n",
                "seq": 3,
                "seconds_to_click": 1.5,
                "duplicate": True,
            }
        ],
    )
    [before] = database.query(FACTS).named_results()
    forget(database, subscriber=ANNA)
    [after] = database.query(FACTS).named_results()
    same = {name for name in columns if before[name] == after[name]}
    assert same == KEPT & columns.keys()
    assert {name: after[name] for name in ERASED - {"visitor", "ip", "asn", "params"}} == dict.fromkeys(
        ERASED - {"visitor", "ip", "asn", "params"}, ""
    )
    assert (str(after["ip"]), after["asn"], after["params"]) == ("::", 0, {"to": "https://shop.example/"})
    assert after["visitor"] not in (0, before["visitor"])


def test_what_was_on_its_way_is_stored_as_theirs_no_more_and_what_they_do_later_is_new(database):
    put(database, [seen_by(NOW_MS - 5000, HER_ADDRESS)])
    forget(database, ip=HER_ADDRESS)
    put(database, [seen_by(NOW_MS - 4000, HER_ADDRESS)])
    [(stand_in, count)] = rows(database, "SELECT visitor, count() FROM impressions GROUP BY visitor")
    assert count == 2
    assert stand_in != number(HER_ADDRESS)
    later = seen_by(NOW_MS + DAY_MS, HER_ADDRESS)
    put(database, [later])
    assert rows(database, f"SELECT id::String, ip FROM facts WHERE visitor = {later['visitor']}") == [
        (later["id"], ip_address("::ffff:" + HER_ADDRESS))
    ]


def test_an_address_leaves_a_subscribers_hits_and_the_subscriber_stays(database):
    put(database, [seen_by(NOW_MS - 5000, HER_ADDRESS, ANNA), seen_by(NOW_MS - 5000, "198.51.100.8", ANNA)])
    forget(database, ip=HER_ADDRESS)
    found = rows(database, "SELECT subscriber, visitor, ip, user_agent FROM facts ORDER BY ip")
    assert found == [
        (ANNA, number(f"s:{ANNA}"), ip_address("::"), ""),
        (ANNA, number(f"s:{ANNA}"), ip_address("::ffff:198.51.100.8"), "Mozilla"),
    ]


def test_one_advertisers_subscriber_is_not_anothers(database):
    put(database, [seen_by(NOW_MS - 5000, HER_ADDRESS, "17", advertiser=name) for name in ("acme", "zeta")])
    erased = forget(database, "acme", subscriber="17")
    assert [row["advertiser"] for row in erased.hits] == ["acme"]
    put(database, [seen_by(NOW_MS - 4000, HER_ADDRESS, "17", advertiser=name) for name in ("acme", "zeta")])
    assert rows(
        database, "SELECT advertiser, count() FROM facts FINAL WHERE subscriber = '17' GROUP BY advertiser"
    ) == [("zeta", 2)]
    assert rows(database, "SELECT advertiser, uniqExactArray(visitors) FROM visitor_sets GROUP BY 1 ORDER BY 1") == [
        ("acme", 1),
        ("zeta", 1),
    ]
    assert (number("s:17"),) in rows(database, f"{IN_SETS} WHERE advertiser = 'zeta'")
    assert (number("s:17"),) not in rows(database, f"{IN_SETS} WHERE advertiser = 'acme'")


def test_who_comes_back_and_asks_again_is_forgotten_again(database):
    put(database, [seen_by(NOW_MS - 5000, HER_ADDRESS)])
    assert sum(row["hits"] for row in forget(database, ip=HER_ADDRESS).hits) == 1
    back = int(datetime.now(UTC).timestamp() * 1000)
    put(database, [seen_by(back, HER_ADDRESS)])
    assert sum(row["hits"] for row in forget(database, ip=HER_ADDRESS).hits) == 1
    assert forget(database, ip=HER_ADDRESS).hits == []
    assert leftovers(database, HER_ADDRESS, number(HER_ADDRESS)) == []
    assert rows(database, "SELECT count(), uniqExact(visitor) FROM facts FINAL") == [(2, 2)]
    put(database, [seen_by(NOW_MS - 5000, HER_ADDRESS)])
    assert leftovers(database, HER_ADDRESS, number(HER_ADDRESS)) == []


def test_once_kafka_cannot_bring_them_again_nothing_links_the_number_and_an_old_log_stays_out(database):
    old = datetime.now(UTC) - timedelta(days=9)
    forgotten = {"visitor": number(HER_ADDRESS), "advertiser": "", "until": old.timestamp(), "stand_in": 5}
    insert_into(database, "forgotten_visitors", [forgotten])
    insert_into(database, "forgotten_addresses", [{"ip": HER_ADDRESS, "advertiser": "", "until": old.timestamp()}])
    for table in ("forgotten_visitors", "forgotten_addresses"):
        database.command(f"OPTIMIZE TABLE {table} FINAL")
    assert rows(database, "SELECT visitor, stand_in FROM forgotten_visitors") == [(number(HER_ADDRESS), 0)]
    assert rows(database, "SELECT count() FROM forgotten_addresses") == [(0,)]
    before = int(old.timestamp() * 1000) - DAY_MS
    put(database, [seen_by(before, HER_ADDRESS), seen_by(before + 3 * DAY_MS, HER_ADDRESS)])
    assert rows(database, f"SELECT ts > toDateTime({int(old.timestamp())}) FROM facts") == [(1,)]


@pytest.mark.parametrize(
    ("environ", "kept_as"),
    [
        ({"PIXELTALLY_STORE_IP": "truncated"}, "198.51.100.0"),
        ({"PIXELTALLY_STORE_IP": "none"}, "::"),
        ({"PIXELTALLY_VISITOR": "ip+ua"}, None),
        ({"PIXELTALLY_VISITOR": "ip+ua", "PIXELTALLY_STORE_IP": "truncated"}, "198.51.100.0"),
        ({"PIXELTALLY_VISITOR": "ip+ua", "PIXELTALLY_STORE_IP": "none"}, "::"),
    ],
)
def test_an_address_is_found_however_it_was_kept(database, environ, kept_as):
    both = environ.get("PIXELTALLY_VISITOR") == "ip+ua"
    hits = [
        seen_by(
            NOW_MS - 5000, kept_as or address, agent=agent, visitor=number(f"{address} {agent}" if both else address)
        )
        for address in (HER_ADDRESS, "198.51.100.99")
        for agent in ("one", "two")
    ]
    put(database, hits)
    person = erasure.address(database, settings(**environ), ip_address(HER_ADDRESS))
    erasure.forget(database, person)
    left = {row[0] for row in rows(database, "SELECT DISTINCT visitor FROM facts WHERE user_agent != ''")}
    assert left == {hit["visitor"] for hit in hits[2:]}
    assert rows(database, "SELECT uniqExact(visitor) FROM facts") == [(4 if both else 2,)]


def test_dead_letters_that_name_them_go_and_do_not_come_again(database):
    def letter(n, line):
        return {
            "id": f"00000000-0000-7000-8000-{n:012}",
            "ts": n,
            "reason": "bad-name",
            "origin": "spool x@1",
            "line": line,
        }

    named = [f'{{"time":1,"uri":"/p/a.gif","peer":"{HER_ADDRESS}"}}', f"torn, {HER_ADDRESS}:443 and more"]
    others = ['{"uri":"/p/x.gif?s=ben","peer":"198.51.100.77"}', '{"peer":"198.51.100.70"}']
    letters = [letter(n, line) for n, line in enumerate([*named, *others])]
    insert_into(database, "dead_letters_in", letters)
    assert forget(database, ip=HER_ADDRESS).letters == 2
    insert_into(database, "dead_letters_in", letters)
    assert rows(database, "SELECT line FROM dead_letters FINAL ORDER BY ts") == [(line,) for line in others]


def test_clickhouse_keeps_no_statement_that_names_them(database):
    put(database, [seen_by(NOW_MS - 5000, HER_ADDRESS)])
    forget(database, ip=HER_ADDRESS)
    [(stand_in,)] = rows(database, "SELECT visitor FROM facts")
    commands = rows(database, "SELECT command FROM system.mutations WHERE database = currentDatabase()")
    assert len(commands) >= 2
    for secret in (HER_ADDRESS, str(number(HER_ADDRESS)), str(stand_in)):
        assert not [command for (command,) in commands if secret in command]


def test_the_command(clickhouse):
    make_tables(clickhouse)
    put(client(clickhouse), [seen_by(NOW_MS - 5000, "2001:db8::7", advertiser="forgetful")])
    environ = {"PIXELTALLY_CLICKHOUSE_URL": clickhouse, "PIXELTALLY_SECRET": "of the tests"}

    def run(*arguments):
        return CliRunner().invoke(main, ["forget", *arguments], env=environ, catch_exceptions=False)

    done = run("--ip", "2001:DB8:0::7")
    assert done.exit_code == 0
    assert "forgetful   spring" in done.stdout
    assert "1 hits are nobody's now; 0 places on lists and 0 dead letters were erased" in done.stdout
    assert run("--ip", "2001:db8::7").stdout.startswith("0 hits are nobody's now")
    put(client(clickhouse), [seen_by(NOW_MS - 5000, "192.0.2.200", advertiser="forgetful")])
    assert "1 hits are nobody's now" in run("--ip", "::ffff:192.0.2.200").stdout
    for wrong in (
        (),
        ("--ip", "anna"),
        ("--ip", "1.2.3.4", "--subscriber", "anna"),
        ("--ip", "::1", "--advertiser", "A/b"),
    ):
        assert run(*wrong).exit_code == 2
    assert json.dumps(done.stdout).find("2001") == -1
