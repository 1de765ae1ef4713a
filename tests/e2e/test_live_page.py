"""The live page in a real browser, before a real ClickHouse."""

import random
import re
import time
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import pytest
from facts import client, fact, insert, insert_late, make_tables, minute_rows
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect

from dashboards.boards import BOARDS, TENANT_BOARDS
from dashboards.boards.board import Board
from dashboards.live.access import link
from dashboards.live.view import path
from pixeltally.settings import Settings
from sinks import charges

if TYPE_CHECKING:
    from conftest import Site

SOON_MS = 30_000

#: Cells of tables that hold more than they are wide, on a narrow screen.
CUT = """
[...document.querySelectorAll(".rows tbody td")]
    .filter(each => each.offsetWidth && each.scrollWidth > each.clientWidth + 1).map(each => each.innerText)
"""
#: Gives every table a hundred rows more.
LENGTHEN = """
document.querySelectorAll(".scroll tbody").forEach(body => {
    for (let i = 0; i < 100 && body.rows[0]; i++) body.append(body.rows[0].cloneNode(true));
})
"""
#: How far the page goes on below the last panel, in pixels.
BELOW = """
document.documentElement.scrollHeight
    - Math.max(...[...document.querySelectorAll("section")].map(each => each.getBoundingClientRect().bottom + scrollY))
"""
LOOKS = Path(__file__).with_name("looks.js").read_text()
SECRET, TOKEN = "of the tests, long enough", "a-token-of-the-tests"

#: What a panel of each picture has when it has content.
CONTENT = {
    "stat": ".figure .value",
    "series": ".main-svg .scatterlayer .trace",
    "bars": ".ranked tbody tr",
    "funnel": ".steps tbody tr",
    "table": ".rows tbody tr",
    "heat": ".hours tbody td",
    "map": ".choroplethlayer path",
}


def watched(page: Page, mine: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """(what the page's console says, whom else than `mine` it asks), as they come."""
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: request.url.startswith((*mine, "data:", "blob:")) or asked.append(request.url))
    return said, asked


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(timezone_id="Asia/Kolkata", viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose console stays silent and that speaks to nobody but its own server."""
    page = context.new_page()
    said, asked = watched(page, ("http://127.0.0.1", "http://localhost"))
    yield page
    assert asked == []
    assert said == []


def now_ms() -> int:
    return round(time.time() * 1000)


def text(page: Page, selector: str, wanted: str | re.Pattern[str]) -> None:
    expect(page.locator(selector).first).to_have_text(wanted, timeout=SOON_MS)


def figure(page: Page, title: str, wanted: str) -> None:
    """A key figure has this value."""
    shown = page.locator(".figure", has=page.get_by_text(title, exact=True)).locator(".value")
    expect(shown.first).to_contain_text(wanted, timeout=SOON_MS)


# One that is taken away


@pytest.fixture
def counting(site: "Site") -> "Site":
    """Everything runs, nothing is counted yet."""
    site.start_clickhouse()
    make_tables(site.clickhouse)
    site.start_live()
    return site


def test_numbers_appear_and_move(counting: "Site", page: Page):
    page.goto(counting.url)
    text(page, ".nothing h2", "No hits yet")
    expect(page.get_by_text("pixeltally demo")).to_be_visible()
    expect(page.get_by_text("/p/acme/spring/banner.gif")).to_be_visible()

    first = [fact(now_ms() - 90_000 + i, visitor=1 + i % 1000) for i in range(1200)]
    first += [fact(now_ms() - 80_000, "click", visitor=1), fact(now_ms() - 70_000, duplicate=True)]
    insert_late(counting.clickhouse, first)
    figure(page, "Impressions", "1,200")
    figure(page, "Unique IPs", "1,000")
    figure(page, "CTR", "0.08%")
    figure(page, "Duplicates", "1")
    figure(page, "Dead letters", "0")
    expect(page.get_by_text("valid, of 1,201 requests")).to_be_visible()
    expect(page.get_by_text("1 valid clicks ÷ 1,200 impressions")).to_be_visible()
    expect(page.get_by_role("row").filter(has_text="acme / spring / banner")).to_contain_text("1,200")

    page.evaluate(
        "window.shift = 0; new PerformanceObserver(list => {"
        " for (const entry of list.getEntries()) window.shift += entry.value;"
        "}).observe({type: 'layout-shift'})"
    )
    letter = {"id": first[0]["id"], "ts": now_ms(), "reason": "name", "origin": "spool a@1", "line": "?"}
    insert(counting.clickhouse, "dead_letters", [letter])
    insert_late(counting.clickhouse, [fact(now_ms(), visitor=5000 + i) for i in range(12_345)])
    figure(page, "Impressions", "13,545")
    figure(page, "Dead letters", "1")
    text(page, "#freshness", re.compile(r"^Newest hit counted \d s ago$"))
    assert page.evaluate("window.shift") < 0.01
    page.goto(f"{counting.url}/mail?range=1h")
    text(page, ".nothing h2", "Nothing to show in the last 1 h")


def test_it_outlives_clickhouse(site: "Site", context: BrowserContext):
    site.start_live()
    page = context.new_page()
    page.goto(site.url)
    text(page, "#freshness", re.compile(r"^ClickHouse at 127.0.0.1:\d+ doesn't answer\. Trying again\.$"))

    site.start_clickhouse()
    text(page, "#freshness", re.compile("`pixeltally sink` makes them"))
    make_tables(site.clickhouse)
    insert_late(site.clickhouse, [fact(now_ms() - 30_000)])
    figure(page, "Impressions", "1")
    text(page, "#freshness", re.compile(r"^Newest hit counted \d\d s ago: no traffic, or the pipeline lags$"))

    site.stop("clickhouse")
    text(page, "#freshness", re.compile(r"doesn't answer\. Numbers are from \d\d:\d\d:\d\d\. Trying again\.$"))
    figure(page, "Impressions", "1")
    assert urllib.request.urlopen(f"{site.url}/healthz", timeout=2).read() == b"ok\n"

    site.start_clickhouse()
    insert_late(site.clickhouse, [fact(now_ms())])
    figure(page, "Impressions", "2")

    assert site.stop("live") == 0
    text(page, "#freshness", "The live page's server doesn't answer; this page goes on when it does.")


# One with some of everything


def traffic(hours: int, count: int) -> list[dict[str, Any]]:
    """Facts of an ad network: four advertisers, e-mails and ads, bots, repeats and orders."""
    draw, end_ms = random.Random(12), now_ms()
    made = []
    for number in range(count):
        kind = draw.choices(["impression", "open", "view", "click", "conversion"], [70, 14, 3, 10, 3])[0]
        made.append(
            fact(
                end_ms - int(draw.random() * hours * 3600_000),
                kind,
                advertiser=draw.choices(["acme", "globex", "initech"], [6, 3, 2])[0],
                campaign=draw.choice(["spring", "newsletter"]),
                creative="" if kind == "conversion" else draw.choice(["banner-300x250", "video", "c" * 64]),
                placement=draw.choice(["", "news.example"]),
                visitor=1 + int(draw.random() ** 2 * 900),
                ip=f"::ffff:192.0.2.{draw.randrange(60)}",
                country=draw.choice(["", "DE", "AT", "US", "BR", "SG"]),
                asn=draw.choice([3320, 16509]),
                isp=draw.choice(["Deutsche Telekom AG", "Amazon.com, Inc."]),
                device=draw.choice(["desktop", "phone", "tablet", ""]),
                verdict=draw.choices(["valid", "bot", "datacenter"], [90, 6, 4])[0],
                duplicate=draw.random() < 0.06,
                order=f"o{number}" if kind == "conversion" else "",
                evidence=draw.choice(["probable", "proxy", "machine"]) if kind == "open" else "",
                node=draw.choice(["ingest-a", "ingest-b"]),
            )
        )
    return made


def terms(advertiser: str) -> dict[str, Any]:
    """Terms of a campaign that were changed some hours ago, with a budget."""
    today = datetime.now(UTC).date()
    of = {"advertiser": advertiser, "campaign": "spring", "pricing": "cpm", "basis": "valid", "price": "12.5"}
    plan = {"budget": "40", "plan_start": str(today - timedelta(2)), "plan_end": str(today + timedelta(4))}
    starts_s = now_ms() // 1000 - 5 * 3600
    when = {"since": str(today - timedelta(1)), "starts": starts_s, "set_at": starts_s, "timezone": "UTC"}
    return of | plan | when | {"currency": "USD" if advertiser == "globex" else "EUR"}


def reconciled(minutes: int) -> dict[str, Any]:
    """What was reconciled so long ago."""
    to_s = now_ms() // 60_000 * 60 - minutes * 60
    stages = dict.fromkeys(("answered", "spooled", "in_kafka", "facts", "facts_gross", "windows_gross"), 20)
    return {"at": to_s + 60, "from": to_s - 300, "to": to_s, "dead": 1} | stages


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[Site]":
    """A page that needs a token, with a day's traffic."""
    from conftest import Site

    site = Site(tmp_path_factory.mktemp("live"), PIXELTALLY_SECRET=SECRET, PIXELTALLY_LIVE_TOKEN=TOKEN)
    site.start_clickhouse()
    make_tables(site.clickhouse)
    facts = traffic(26, 6000)
    insert(site.clickhouse, "facts_in", facts)
    insert(site.clickhouse, "minute_rows", minute_rows(facts))
    letter = {"id": facts[0]["id"], "ts": now_ms(), "reason": "name", "origin": "spool a@1", "line": "<b>?</b>"}
    insert(site.clickhouse, "dead_letters", [letter])
    insert(site.clickhouse, "terms_set", [terms(name) for name in ("acme", "globex", "initech")])
    charges.keep(client(site.clickhouse), datetime.now(UTC))
    insert(site.clickhouse, "reconciliations", [reconciled(minutes) for minutes in (5, 10)])
    site.start_live()
    yield site
    site.stop_all()


@pytest.fixture
def inside(network: "Site", page: Page) -> Page:
    """A page that the token has let in before."""
    page.context.add_cookies([{"name": f"pixeltally-{network.live_port}", "value": TOKEN, "url": network.url}])
    return page


def whole(page: Page, board: Board) -> None:
    """Wait until every panel has content."""
    for panel in board.panels:
        section = page.locator(f"section[aria-labelledby='{panel.id}']")
        expect(section.locator(CONTENT[panel.picture]).first).to_be_attached(timeout=SOON_MS)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_board_has_content_and_can_be_read(board: Board, inside: Page, network: "Site"):
    inside.goto(f"{network.url}{path(board)}?range=24h")
    whole(inside, board)
    expect(inside).to_have_title(f"{board.title} · Pixeltally")
    expect(inside.locator("#boards a[aria-current]")).to_have_text(board.title)
    assert inside.locator("h1").all_inner_texts() == [board.title]
    assert inside.locator("h2").all_inner_texts() == [panel.title for panel in board.panels]
    assert inside.evaluate("document.documentElement.lang") == "en"
    inside.evaluate(LOOKS)
    assert inside.evaluate("looks.nameless()") == []
    for scheme in ("dark", "light"):
        inside.emulate_media(color_scheme=scheme)
        if any(panel.picture == "series" for panel in board.panels):
            quiet = {"dark": "rgb(154, 163, 169)", "light": "rgb(93, 100, 105)"}[scheme]
            for axis in inside.locator(".series .xaxislayer-above").all():
                expect(axis.locator("text").first).to_have_css("fill", quiet, timeout=SOON_MS)
        assert inside.evaluate("looks.pale()") == [], scheme
    inside.set_viewport_size({"width": 360, "height": 740})
    assert inside.evaluate("document.documentElement.scrollWidth") <= 360
    assert inside.evaluate(CUT) == []
    inside.evaluate(LENGTHEN)
    assert inside.evaluate(BELOW) < 100


def test_what_is_chosen_stands_in_the_url_and_narrows_what_follows(inside: Page, network: "Site"):
    inside.goto(f"{network.url}/network?range=24h")
    inside.get_by_role("link", name="globex").first.click()
    inside.wait_for_url("**/campaign?range=24h&advertiser=globex")
    text(inside, "h1", "Campaign globex")
    inside.locator("#campaign").click()
    offered = inside.locator(".dash-dropdown-options [role=option]")
    expect(offered).to_have_text(["newsletter", "spring"])
    offered.filter(has_text="spring").click()
    inside.wait_for_url("**/campaign?range=24h&advertiser=globex&campaign=spring")
    text(inside, "h1", "Campaign globex / spring")
    inside.locator("#advertiser").click()
    offered.filter(has_text="acme").click()
    inside.wait_for_url("**/campaign?range=24h&advertiser=acme")
    inside.go_back()
    text(inside, "h1", "Campaign globex / spring")
    inside.get_by_role("link", name="E-mail").click()
    inside.wait_for_url("**/mail?range=24h&advertiser=globex&campaign=spring")


def test_ranges_and_zones_are_chosen_by_keys_and_by_dragging(inside: Page, network: "Site"):
    inside.goto(f"{network.url}/network?range=24h")
    text(inside, "#range", re.compile(r"times of Asia/(Kolkata|Calcutta) \(UTC\+5:30\)$"))
    inside.get_by_role("radio", name="24 h").focus()
    inside.keyboard.press("ArrowLeft")
    inside.wait_for_url("**/network?range=6h")
    start = time.gmtime(time.time() // 60 * 60 - 6 * 3600 + 5.5 * 3600)
    expect(inside.locator("#range")).to_contain_text(time.strftime("%H:", start), timeout=SOON_MS)

    until = time.monotonic() + 60
    while "from=" not in inside.url:
        assert time.monotonic() < until, "no drag became the range"
        drag(inside, "section[aria-labelledby='network-reach'] .nsewdrag")
        with suppress(Error):  # a chart that was drawn anew meanwhile lets go of it
            inside.wait_for_url(re.compile("from="), timeout=5000)
    query = {name: values[0] for name, values in parse_qs(urlsplit(inside.url).query).items()}
    assert query["zone"] in ("Asia/Kolkata", "Asia/Calcutta")
    first, last = (time.mktime(time.strptime(query[end], "%Y-%m-%dT%H:%M")) for end in ("from", "to"))
    assert 80 <= (last - first) / 60 <= 100
    text(inside, "#freshness", re.compile("^Numbers are from"))
    inside.go_back()
    inside.wait_for_url("**/network?range=6h")

    inside.goto(f"{network.url}/network?from=2026-11-01&to=2026-11-02&zone=America/New_York")
    text(inside, "#range", re.compile("times of America/New_York"))
    text(inside, ".nothing h2", re.compile("^No hits in the range from 2026-11-01 to 2026-11-02$"))


def drag(page: Page, selector: str) -> None:
    """Over the second quarter of it."""
    plot = page.locator(selector).first
    expect(plot).to_be_attached(timeout=SOON_MS)
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 50, steps=5)
    page.mouse.up()


def test_it_is_walked_through_by_the_keyboard(inside: Page, network: "Site"):
    inside.goto(f"{network.url}/campaign?range=24h")
    expect(inside.locator(".figure").first).to_be_attached(timeout=SOON_MS)
    walked = []
    for _ in range(14):
        inside.keyboard.press("Tab")
        focused = inside.evaluate_handle("document.activeElement")
        walked.append(focused.evaluate("each => each.closest('[id]')?.id || each.className"))
        assert focused.evaluate("each => each.matches(':focus-visible') && each.getBoundingClientRect().width > 0")
    order = list(dict.fromkeys(walked))
    assert order[:2] == ["skip", "boards"] or order[:2] == ["react-entry-point", "boards"]
    assert [id for id in order if id in ("advertiser", "campaign", "creative", "zone")] == [
        "advertiser",
        "campaign",
        "creative",
        "zone",
    ]
    inside.keyboard.press("Home")
    inside.locator(".skip").focus()
    inside.keyboard.press("Enter")
    assert inside.evaluate("document.activeElement.id") == "board"


def test_a_url_that_shows_nothing_says_why_and_leads_on(inside: Page, network: "Site"):
    inside.goto(f"{network.url}/campaign?advertiser=%3Cscript%3E")
    text(inside, ".nothing h2", "'<script>' names no advertiser: names are of a-z 0-9 . _ -")
    inside.get_by_role("link", name="To the board Network overview").click()
    inside.wait_for_url(re.compile(r"/network\b"))
    figure(inside, "Impressions", "")


def test_a_link_from_another_site_lets_one_advertiser_in(network: "Site", context: BrowserContext):
    page = context.new_page()
    refused = page.goto(network.url)
    assert refused
    assert refused.status == 401
    settings = Settings.from_env({"PIXELTALLY_SECRET": SECRET, "PIXELTALLY_LIVE_PORT": str(network.live_port)})
    # localhost and 127.0.0.1 are two sites to a browser.
    page.goto(f"{network.url.replace('127.0.0.1', 'localhost')}/healthz")
    page.evaluate("address => { location.href = address }", link(settings, "acme", 1))
    page.wait_for_url("**/campaign?range=30d")
    text(page, "h1", "Campaign acme")
    said, asked = watched(page, (network.url,))
    whole(page, TENANT_BOARDS[0])
    assert page.locator("#boards a").all_inner_texts() == [board.title for board in TENANT_BOARDS]
    expect(page.locator("#advertiser-field")).to_be_hidden()
    page.goto(f"{network.url}/invalid?range=24h&advertiser=globex")
    whole(page, TENANT_BOARDS[2])
    assert not re.search("globex|initech", page.locator("body").inner_text())
    page.goto(f"{network.url}/network")
    text(page, ".nothing h2", "There is no board /network.")
    assert (said, asked) == ([], [])
