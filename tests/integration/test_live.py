"""What the live page reads is what plain Python counts in the same rows, and an advertiser's is its own."""

import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from facts import client, fact, insert, insert_late, make_tables, minute_rows
from processes import wait_until

from dashboards.boards import BOARDS, TENANT_BOARDS, network, pipeline
from dashboards.boards.board import SCOPES, Board
from dashboards.live.clickhouse import ClickHouse, Rows, Unanswered, Unavailable
from dashboards.live.feed import Feed, Snapshot, Watched, questions
from dashboards.live.page import FIRST_POLL_MS, Browser, numbers
from dashboards.live.server import application
from dashboards.live.view import View, path, zones
from dashboards.macros import TIMEZONE, expand
from ledger import rights
from pixeltally.keys import parse
from pixeltally.settings import Settings
from pixeltally.signing import view_link
from sinks import charges

SECRET = "of the tests, long enough"
MINUTE_MS = 60_000
#: Its ranges hold this module's rows only, though the database is shared: nobody else counts in that year.
NOW_S = 1_800_000_017.0

Fact = dict[str, Any]


@pytest.fixture(scope="module")
def reader(clickhouse: str) -> ClickHouse:
    make_tables(clickhouse)
    return ClickHouse(clickhouse)


def read(view: View, reader: ClickHouse, now_s: float) -> Snapshot:
    """What a page that is opened now shows."""
    watched = Watched(view)
    watched.refresh(reader, now_s)
    assert watched.snapshot
    assert watched.snapshot.error == ""
    return watched.snapshot


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
            country=draw.choice(["", "DE", "FR"]),
            verdict=draw.choices(["valid", "bot"], [9, 1])[0],
            duplicate=draw.random() < 0.1,
        )
        for _ in range(count)
    ]


def images(facts: Iterable[Fact]) -> list[Fact]:
    return [each for each in facts if each["kind"] in ("impression", "open", "view")]


def counted(facts: Iterable[Fact], *kinds: str) -> list[Fact]:
    return [each for each in facts if each["kind"] in kinds and each["verdict"] == "valid" and not each["duplicate"]]


def clicks(facts: Iterable[Fact]) -> int:
    return len(counted(facts, "click"))


def impressions(facts: Iterable[Fact]) -> int:
    return len(counted(facts, "impression", "open", "view"))


def duplicates(facts: Iterable[Fact]) -> int:
    return sum(each["duplicate"] for each in images(facts))


def uniques(facts: Iterable[Fact]) -> int:
    return len({each["visitor"] for each in images(facts) if each["verdict"] == "valid"} - {0})  # 0 is nobody


def share(part: float | None, whole: float | None) -> float | None:
    return part / whole if whole and part is not None else None


def change(now: float | None, before: float | None) -> float | None:
    rate = share(now, before)
    return None if rate is None else rate - 1


def key_figures(facts: list[Fact], before: list[Fact]) -> Rows:
    shown, was = impressions(facts), impressions(before)
    seen, seen_before = uniques(facts), uniques(before)
    orders, orders_before = len(counted(facts, "conversion")), len(counted(before, "conversion"))
    ctr, cvr = share(clicks(facts), shown), share(orders, seen)
    gross = len(images(facts))
    return [
        (
            *(shown, change(shown, was), seen, change(seen, seen_before)),
            *(ctr, change(ctr, share(clicks(before), was)), cvr, change(cvr, share(orders_before, seen_before))),
            *(duplicates(facts), 0, gross, clicks(facts), orders, share(duplicates(facts), gross)),
        )
    ]


def moments(facts: list[Fact], start_ms: int, end_ms: int, step_ms: int) -> dict[int, list[Fact]]:
    found = defaultdict(list)
    for each in facts:
        found[each["ts"] // step_ms * step_ms].append(each)
    return {moment: found[moment] for moment in range(start_ms // step_ms * step_ms, end_ms, step_ms)}


def ad_units(facts: list[Fact]) -> Rows:
    found = defaultdict(list)
    for each in facts:
        if each["kind"] != "conversion":
            found[each["advertiser"], each["campaign"], each["creative"], each["placement"]].append(each)
    rows = [
        (
            *unit,
            impressions(some),
            uniques(some),
            clicks(some),
            share(clicks(some), impressions(some)),
            duplicates(some),
        )
        for unit, some in found.items()
    ]
    return sorted(rows, key=lambda row: (-row[4], -row[6], row[:4]))[:20]


def recount(facts: list[Fact], start_ms: int, end_ms: int, step_ms: int) -> dict[str, Rows]:
    within = [each for each in facts if start_ms <= each["ts"] < end_ms]
    before = [each for each in facts if 2 * start_ms - end_ms <= each["ts"] < start_ms]
    by_moment = moments(within, start_ms, end_ms, step_ms).items()
    return {
        network.KEY_FIGURES.id: key_figures(within, before),
        network.REACH.id: [(at, impressions(some), uniques(some)) for at, some in by_moment],
        network.RESPONSE.id: [(at, clicks(some), share(clicks(some), impressions(some))) for at, some in by_moment],
        network.DUPLICATES.id: [
            (at, duplicates(some), share(duplicates(some), len(images(some)))) for at, some in by_moment
        ],
        network.AD_UNITS.id: ad_units(within),
    }


def rounds(rows: Rows) -> Rows:
    """The same, without what the last bits of a division differ in."""
    return [tuple(round(v, 12) if isinstance(v, float) else v for v in row) for row in rows]


def test_what_is_shown_equals_a_recount_as_time_goes_on(reader: ClickHouse, clickhouse: str):
    now_ms = round(NOW_S * 1000)
    facts = traffic(1, 6000, now_ms - 4200_000, now_ms)
    # Redelivery and replay: the same rows once more, the highest version is what counts. Images keep their verdict.
    changed = ({"duplicate": True}, {"verdict": "bot"})
    replayed = [each | {"version": 2} | changed[each["kind"] in ("click", "conversion")] for each in facts[::50]]

    for rows in (facts, facts[:1000], replayed):
        insert_late(clickhouse, rows)
    replaced = {each["id"]: each for each in facts + replayed}

    watched = [Watched(View(network.BOARD, span=span)) for span in ("15m", "1h", "6h")]
    for step_s in (0, 2, 75, 600):
        # What comes in meanwhile lies in the last minutes, some of it late.
        more = traffic(step_s + 2, 100, now_ms + (step_s - 90) * 1000, now_ms + step_s * 1000)
        insert_late(clickhouse, more)
        replaced |= {each["id"]: each for each in more}
        for each in watched:
            each.refresh(reader, NOW_S + step_s)
            shown = each.snapshot
            assert shown is not None
            assert (shown.error, shown.whole) == ("", True)
            start_s, end_s, step = shown.window
            assert end_s == (now_ms // 1000 + step_s) // 60 * 60 + 60
            wanted = recount([*replaced.values()], start_s * 1000, end_s * 1000, step * 1000)
            assert {id: rounds(shown.rows[id]) for id in wanted} == {id: rounds(rows) for id, rows in wanted.items()}
            newest = max(each["ts"] for each in replaced.values() if each["kind"] != "conversion")
            assert shown.newest == newest


GROWING = [board for board in BOARDS if any(each.grows for each in questions(View(board)))]


@pytest.mark.parametrize("board", GROWING, ids=lambda board: board.uid)
def test_reading_on_says_what_reading_whole_says(board: Board, reader: ClickHouse, clickhouse: str):
    later_s = NOW_S + (40 + BOARDS.index(board)) * 86400
    facts = traffic(7, 600, round(later_s * 1000) - 7 * 3600_000, round(later_s * 1000))
    insert(clickhouse, "facts_in", facts)
    insert(clickhouse, "minute_rows", minute_rows(facts))
    watched = Watched(View(board, "Asia/Kolkata", span="6h"))
    watched.refresh(reader, later_s)
    insert(clickhouse, "facts_in", traffic(8, 60, round(later_s * 1000) - 100_000, round(later_s * 1000) + 400_000))
    watched.refresh(reader, later_s + 400)
    assert watched.snapshot
    whole = read(watched.view, reader, later_s + 400)
    of_now = {pipeline.FRESHNESS.id, pipeline.MINUTE_LAG.id, pipeline.SPOOLS.id}
    for panel in board.panels:
        assert panel.id in of_now or watched.snapshot.rows[panel.id] == whole.rows[panel.id], panel.id


def test_a_range_without_hits_knows_of_earlier_ones(reader: ClickHouse, clickhouse: str):
    insert(clickhouse, "facts_in", [fact(round(NOW_S * 1000))])
    later = read(View(network.BOARD), reader, NOW_S + 300 * 86400)
    assert later.ever
    assert later.newest is None
    assert later.rows[network.AD_UNITS.id] == []


def test_ranges_that_follow_one_another_share_no_hit(reader: ClickHouse, clickhouse: str):
    midnight_ms = 1_810_080_000_000
    at = [midnight_ms - 1, midnight_ms, midnight_ms + 86_400_000 - 1, midnight_ms + 86_400_000]
    facts = [fact(ts, visitor=1 + place) for place, ts in enumerate(at)]
    insert(clickhouse, "facts_in", facts)
    insert(clickhouse, "minute_rows", minute_rows(facts))
    days = ("2027-05-11", "2027-05-12", "2027-05-13")
    counts = []
    for day in days:
        view = View(pipeline.BOARD, span="", first=day, last=day)
        rates = read(view, reader, midnight_ms / 1000 + 9 * 86400).rows[pipeline.RATE.id]
        shown = read(replace(view, board=network.BOARD), reader, midnight_ms / 1000 + 9 * 86400)
        counts.append(shown.rows[network.KEY_FIGURES.id][0][0])
        assert round(sum(rate for _, rate in rates) * shown.window.step_s) == counts[-1]
    assert counts == [1, 2, 1]


def test_dead_letters_are_counted_once_with_their_reasons(reader: ClickHouse, clickhouse: str):
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
    assert read(View(pipeline.BOARD), reader, at_s).rows[pipeline.DEAD_LETTERS.id] == [(2, "json, name")]
    assert read(View(network.BOARD), reader, at_s).rows[network.KEY_FIGURES.id][0][9] == 2


def test_numbers_stay_while_clickhouse_is_away(reader: ClickHouse):
    watched = Watched(View(network.BOARD))
    watched.refresh(reader, NOW_S)
    before = watched.snapshot
    watched.refresh(ClickHouse("http://127.0.0.1:9"), NOW_S + 1)
    away = watched.snapshot
    assert before is not None
    assert away is not None
    assert away.error == "ClickHouse at 127.0.0.1:9 doesn't answer."
    assert away.rows == before.rows
    assert away.asked == before.asked
    watched.refresh(reader, NOW_S + 2)
    assert watched.snapshot is not None
    assert watched.snapshot.error == ""


def test_a_password_stays_out_of_what_the_page_says():
    with pytest.raises(Unavailable) as said:
        ClickHouse("http://user:secret@127.0.0.1:9").ask("SELECT 1")
    assert "secret" not in str(said.value)


def test_a_query_that_clickhouse_refuses_is_said(reader: ClickHouse):
    with pytest.raises(Unanswered, match="refuses the page's queries"):
        reader.ask("SELECT nothing_of_that_name FROM impressions")


def test_a_question_that_fails_leaves_the_others_their_answers(reader: ClickHouse):
    broken = replace(network.REACH, sql=network.REACH.sql.replace("FROM impressions", "FROM impressions, throwIf(1)"))
    places = tuple(
        replace(each, panel=broken) if each.panel is network.REACH else each for each in network.BOARD.places
    )
    view = View(replace(network.BOARD, places=places))
    shown = read(view, reader, NOW_S)
    assert shown.whole
    assert shown.failed == {broken.id: "ClickHouse refuses the page's queries; its log says why."}
    answers = read(View(network.BOARD), reader, NOW_S).rows
    assert shown.rows == {id: rows for id, rows in answers.items() if id != broken.id}
    drawn = numbers(view, shown, Browser.of(None), Settings.from_env({}))
    assert "ClickHouse refuses" in drawn["html"][f"in-{broken.id}"]
    assert broken.id not in drawn["charts"]


def test_the_page_cannot_write(reader: ClickHouse):
    for sql in ("INSERT INTO advertisers (advertiser) VALUES ('x')", "TRUNCATE TABLE facts", "DROP VIEW impressions"):
        with pytest.raises(Unavailable):
            reader.ask(sql)


# An advertiser's view


def terms(advertiser: str, now_s: float) -> dict[str, Any]:
    """Terms from some hours ago on, with a plan, in a currency of the advertiser's own."""
    day = datetime.fromtimestamp(now_s, UTC).date()
    return {
        "advertiser": advertiser,
        "campaign": "spring",
        "since": str(day),
        "starts": int(now_s) - 4 * 3600,
        "timezone": "UTC",
        "pricing": "cpm",
        "basis": "unique",
        "price": "10",
        "currency": "EUR" if advertiser == "acme" else "XTS",
        "budget": "100",
        "plan_start": str(day - timedelta(1)),
        "plan_end": str(day + timedelta(1)),
        "set_at": int(now_s),
    }


@pytest.fixture(scope="module")
def two(reader: ClickHouse, clickhouse: str) -> float:
    """Two advertisers' facts, rows and letters, up to the moment that is returned."""
    now_s = NOW_S + 90 * 86400
    facts = [
        each | {"isp": f"isp of {each['advertiser']}", "subscriber": f"s of {each['advertiser']}"}
        for each in traffic(21, 800, round(now_s * 1000) - 3000_000, round(now_s * 1000))
    ]
    insert(clickhouse, "facts_in", facts)
    insert(clickhouse, "minute_rows", minute_rows(facts))
    late = {"minute": int(now_s) // 60 * 60 - 600, "campaign": "spring", "creative": "a", "placement": "", "version": 2}
    insert(clickhouse, "minute_rows", [late | {"advertiser": name, "late": True} for name in ("acme", "globex")])
    sent = {"campaign": "spring", "visitor": 5}
    insert(clickhouse, "sent_list", [sent | {"advertiser": name, "subscriber": name} for name in ("acme", "globex")])
    insert(clickhouse, "advertisers", [{"advertiser": name} for name in ("acme", "globex")])
    insert(clickhouse, "terms_set", [terms(name, now_s) for name in ("acme", "globex")])
    charges.keep(client(clickhouse), datetime.now(UTC))
    judged = {"at": int(now_s), "from": int(now_s) - 400, "to": int(now_s) - 100}
    insert(clickhouse, "reconciliations", [judged | {"facts": 3, "difference": 1}])
    letter = {"id": "00000000-0000-4000-8000-00000000000c", "reason": "name", "origin": "globex", "line": "globex"}
    insert(clickhouse, "dead_letters", [letter | {"ts": round(now_s * 1000)}])
    return now_s


def test_a_tenants_queries_find_its_own_rows_of_every_table(two: float, reader: ClickHouse, clickhouse: str):
    tables = reader.ask(
        "SELECT name FROM system.tables"
        " WHERE database = 'pixeltally' AND NOT match(name, '_(in|fill)$') AND name NOT LIKE '.%'"
    )
    assert len(tables) > 40
    for (name,) in tables:
        if name in rights.READABLE:
            found = reader.ask(f"SELECT advertiser FROM {name}{rights.READABLE[name]}", tenant="acme")
            assert {row[0] for row in found} <= {"acme", "~unregistered"}, name
        elif name not in rights.SHARED:
            assert reader.ask(f"SELECT * FROM {name}", tenant="acme") == [], name
    for name in (
        "facts", "minutes", "impressions", "clicks", "opens", "funnel", "sent_list", "visitor_sets", "charges_lately",
    ):  # fmt: skip
        assert reader.ask(f"SELECT 1 FROM {name} WHERE advertiser = 'acme' LIMIT 1", tenant="acme"), name


@pytest.mark.parametrize(
    "sql",
    [
        "WITH f AS (SELECT * FROM facts) SELECT count() FROM f WHERE advertiser = 'globex'",
        "SELECT (SELECT count() FROM impressions WHERE advertiser = 'globex')",
        "SELECT countIf('globex' IN (SELECT advertiser FROM minutes)) FROM (SELECT 1)",
        "SELECT count() FROM facts AS a JOIN pixeltally.facts AS b USING campaign WHERE b.advertiser = 'globex'",
        "SELECT count() FROM facts FINAL WHERE advertiser != 'acme'",
        "SELECT count() FROM (SELECT * FROM clicks UNION ALL SELECT * FROM clicks) WHERE advertiser != 'acme'",
        "SELECT count() FROM dead_letters",
    ],
)
def test_the_fence_holds_in_every_corner_of_a_query(sql: str, two: float, reader: ClickHouse):
    assert reader.ask(sql, tenant="acme") == [(0,)]


@pytest.mark.parametrize("board", TENANT_BOARDS, ids=lambda board: board.uid)
def test_a_tenants_boards_hold_nothing_of_others(board: Board, two: float, reader: ClickHouse):
    own_view = View(board, tenant="acme")
    own = read(own_view, reader, two)
    # Whatever the URL chooses, the tenant's own name takes its place.
    assert View(board, tenant="acme", chosen=(("advertiser", "globex"),)).question == own_view.question
    everybodys = read(View(board, chosen=(("advertiser", "acme"),)), reader, two)
    assert own.rows == {id: rows for id, rows in everybodys.rows.items() if id not in ("advertiser", "Gaps")}
    assert not re.search("globex|XTS", str(own.rows))
    assert any(row for rows in own.rows.values() for row in rows)


@pytest.mark.parametrize("board", TENANT_BOARDS, ids=lambda board: board.uid)
def test_a_panel_that_asked_for_all_would_still_be_fenced(board: Board, two: float, reader: ClickHouse):
    window = View(board).window(two)
    everything = {scope: scope for scope in SCOPES} | {TIMEZONE: "'UTC'"}
    for panel in board.panels:
        sql = expand(panel.sql, window.start_s, window.end_s, window.step_s, everything, until="<").strip()
        assert not re.search("globex|XTS", str(reader.ask(sql, tenant="acme"))), panel.id


TRIED = [
    *((path(board), "") for board in TENANT_BOARDS),
    ("/mail", "?advertiser=globex"),
    ("/invalid", "?advertiser=globex&campaign=spring"),
    ("/campaign", "?from=2027-01-01'%20OR%201=1&to=2027-12-31"),
    ("/network", ""),
    ("/pipeline", ""),
    ("/", "?advertiser=globex"),
    ("/campaign", "?tenant=globex&link=globex&advertiser[]=globex"),
]


@pytest.fixture(scope="module")
def page(two: float, reader: ClickHouse) -> Iterator[Callable[..., str]]:
    """Asks the page's server as a browser does: `page(cookie, path, search)` is all that it answers."""
    settings = Settings.from_env({"PIXELTALLY_SECRET": SECRET, "PIXELTALLY_LIVE_TOKEN": "a token of the tests"})
    with Feed(reader, clock=lambda: two) as feed:
        server = application(settings, feed).server

        def ask(cookie: str, path: str, search: str) -> str:
            client = server.test_client()
            client.set_cookie("pixeltally-8090", cookie)
            asked = [each for each in client.get("/_dash-dependencies").json if not each["clientside_function"]]
            said = ""
            assert len(asked) == 1
            while True:
                answer = client.post("/_dash-update-component", json=callback(asked[0], path, search))
                assert answer.status_code == 200
                said += answer.text
                if answer.json["response"]["poll"]["interval"] > FIRST_POLL_MS:
                    return said

        yield ask


def callback(asked: Any, path: str, search: str) -> Any:
    """What a browser sends for a callback of the page, by what the page says of it."""
    values = {"pathname": path, "search": search, "n_intervals": 1, "data": {"zone": "UTC"}}
    outputs = [each.rpartition(".") for each in asked["output"].strip(".").split("...")]
    given = [{"id": each["id"], "property": each["property"]} for each in asked["inputs"]]
    return {
        "output": asked["output"],
        "outputs": [{"id": id, "property": name} for id, _, name in outputs],
        "inputs": [each | {"value": values[each["property"]]} for each in given],
        "changedPropIds": ["url.search"],
        "state": [each | {"value": {"view": ""}} for each in asked["state"]],
    }


@pytest.mark.parametrize(("path", "search"), TRIED)
def test_whatever_a_tenant_asks_it_sees_its_own(path: str, search: str, page: Callable[..., str]):
    said = page(view_link(parse(SECRET)[0], "acme", int(time.time()) + 600), path, search)
    assert not re.search("globex|XTS", said)
    assert "acme" in said or "Nothing to show" in said


PARAMETERS = (*SCOPES, "zone", "range", "from", "to", "tenant", "token", "link")
INJECTED = ("globex", "x') OR 1=1 --", "x') UNION ALL SELECT * FROM facts --", "{advertiser:String}", "${zone}")


@pytest.mark.parametrize("parameter", PARAMETERS)
@pytest.mark.parametrize("board", TENANT_BOARDS, ids=lambda board: board.uid)
def test_sql_in_every_parameter_of_every_board_finds_nothing(board: Board, parameter: str, page: Callable[..., str]):
    link = view_link(parse(SECRET)[0], "acme", int(time.time()) + 600)
    for tried in INJECTED:
        said = page(link, path(board), f"?{parameter}={quote(tried)}")
        # A choice is repeated where it is said that nothing is of that name.
        assert not re.search("of globex|XTS" if tried == "globex" else "globex|XTS", said)
        assert "acme" in said or "Nothing to show" in said


def test_the_same_asked_with_the_token_shows_all(page: Callable[..., str]):
    said = page("a token of the tests", "/campaign", "")
    assert "acme" in said
    assert "globex" in said
    assert "isp of globex" in said
    assert "XTS" in said


def test_another_advertisers_signature_shows_nothing(page: Callable[..., str]):
    text = view_link(parse(SECRET)[0], "globex", int(time.time()) + 600)
    assert "acme" not in page(text, "/campaign", "?advertiser=acme")


class Noting(ClickHouse):
    """Notes for whom it was asked."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.whom: set[str] = set()

    def ask(self, sql: str, parameters: Mapping[str, str] | None = None, tenant: str = "") -> Rows:
        self.whom.add(tenant)
        return super().ask(sql, parameters, tenant)


def test_what_a_page_will_show_is_read_while_it_loads(two: float, clickhouse: str):
    noting = Noting(clickhouse)
    link = view_link(parse(SECRET)[0], "acme", int(time.time()) + 600)
    with Feed(noting, clock=lambda: two) as feed:
        client = application(Settings.from_env({"PIXELTALLY_SECRET": SECRET}), feed).server.test_client()
        client.set_cookie("pixeltally-8090", link)
        for path in ("/nowhere", "/network"):
            assert client.get("/ahead", query_string={"path": path}).status_code == 204
        asked = {"path": "/campaign", "query": "?advertiser=globex", "zone": "Europe/Berlin"}
        assert client.get("/ahead", query_string=asked).status_code == 204
        wait_until(lambda: noting.whom, "questions")
        assert noting.whom == {"acme"}


def test_whatever_is_sent_is_answered(page: Callable[..., str]):
    assert "Nothing to show" in page("a token of the tests", {"board": "/campaign"}, "")  # type: ignore[arg-type]
    assert "Network overview" in page("a token of the tests", None, ["?range=1h"])  # type: ignore[arg-type]


def test_clickhouse_knows_every_zone_on_offer(reader: ClickHouse):
    assert zones() <= {row[0] for row in reader.ask("SELECT time_zone FROM system.time_zones")}
