"""The live page in a real browser, before a real ClickHouse."""

import re
import time
import urllib.request
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from facts import fact, insert, make_tables
from playwright.sync_api import Browser, BrowserContext, Page, expect

if TYPE_CHECKING:
    from conftest import Site

#: The page polls every 2 s.
SOON_MS = 15_000


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(timezone_id="Asia/Kolkata", viewport={"width": 1280, "height": 900})
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A page whose console stays silent and that speaks to nobody but its own server."""
    page = context.new_page()
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    own = re.match(r"https?://[^/]+/", page.url)
    assert own
    assert [url for url in asked if not url.startswith((own[0], "data:", "blob:"))] == []
    assert said == []


@pytest.fixture
def counting(site: "Site") -> "Site":
    """Everything runs, nothing is counted yet."""
    site.start_clickhouse()
    make_tables(site.clickhouse)
    site.start_live()
    return site


def now_ms() -> int:
    return round(time.time() * 1000)


def see(page: Page, id: str, text: str | re.Pattern[str]) -> None:
    expect(page.locator(f"#{id}")).to_have_text(text, timeout=SOON_MS)


def test_numbers_appear_and_move(counting: "Site", page: Page):
    page.goto(counting.url)
    see(page, "empty-title", "No hits yet")
    expect(page.get_by_text("pixeltally demo")).to_be_visible()
    expect(page.get_by_text("/p/acme/spring/banner.gif")).to_be_visible()

    first = [fact(now_ms() - 90_000 + i, visitor=1 + i % 1000) for i in range(1200)]
    first += [fact(now_ms() - 80_000, "click", visitor=1), fact(now_ms() - 70_000, duplicate=True)]
    insert(counting.clickhouse, "facts_in", first)
    see(page, "value-impressions", "1,200")
    see(page, "note-impressions", "valid, of 1,201 requests")
    see(page, "value-uniques", "1,000")
    see(page, "value-ctr", "0.08%")
    see(page, "note-ctr", "1 valid clicks ÷ 1,200 impressions")
    see(page, "value-duplicates", "1")
    expect(page.get_by_role("row").filter(has_text="acme / spring / banner")).to_contain_text("1,200")
    expect(page.locator("#empty")).to_be_hidden()
    expect(page.locator("#tile-dead_letters")).to_be_hidden()

    insert(counting.clickhouse, "facts_in", [fact(now_ms(), visitor=5000)])
    see(page, "value-impressions", "1,201")
    see(page, "freshness", re.compile(r"^Newest hit counted \d s ago$"))

    letter = {"id": first[0]["id"], "ts": now_ms(), "reason": "name", "origin": "spool a@1", "line": "?"}
    insert(counting.clickhouse, "dead_letters", [letter])
    see(page, "note-dead_letters", "not counted: name")


def test_old_numbers_are_called_old(counting: "Site", page: Page):
    insert(counting.clickhouse, "facts_in", [fact(now_ms() - 30_000)])
    page.goto(counting.url)
    see(page, "freshness", re.compile(r"^Newest hit counted 3\d s ago: no traffic since, or .* is behind\.$"))
    expect(page.locator("#freshness")).to_have_class(re.compile("stale"))


def test_it_outlives_clickhouse(site: "Site", page: Page):
    site.start_live()
    page.goto(site.url)
    see(page, "freshness", re.compile(r"^ClickHouse at 127.0.0.1:\d+ doesn't answer\. Trying again\.$"))
    see(page, "value-impressions", "\N{EN DASH}")

    site.start_clickhouse()
    see(page, "freshness", re.compile("`pixeltally sink` makes them"))
    make_tables(site.clickhouse)
    insert(site.clickhouse, "facts_in", [fact(now_ms())])
    see(page, "value-impressions", "1")

    site.stop("clickhouse")
    see(page, "freshness", re.compile(r"doesn't answer\. Numbers are from \d\d:\d\d:\d\d\. Trying again\.$"))
    see(page, "value-impressions", "1")
    assert urllib.request.urlopen(f"{site.url}/healthz", timeout=2).read() == b"ok\n"

    site.start_clickhouse()
    insert(site.clickhouse, "facts_in", [fact(now_ms())])
    see(page, "value-impressions", "2")


def test_live_ends_cleanly(site: "Site"):
    site.start_live()
    assert site.stop("live") == 0


def test_a_shorter_range_points_to_a_longer_one(counting: "Site", page: Page):
    insert(counting.clickhouse, "facts_in", [fact(now_ms() - 1800_000)])
    page.goto(counting.url)
    see(page, "empty-title", "No hits in the last 15 min")
    expect(page.get_by_text("pixeltally demo")).to_be_hidden()
    page.get_by_role("radio", name="15 min").focus()
    page.keyboard.press("ArrowRight")
    see(page, "value-impressions", "1")


def test_times_are_the_viewers(counting: "Site", page: Page):
    insert(counting.clickhouse, "facts_in", [fact(now_ms())])
    page.goto(counting.url)
    see(page, "range", re.compile(r"^\d\d:\d\d to now · times in Asia/(Kolkata|Calcutta) \(UTC\+5:30\)$"))
    start = time.gmtime(time.time() // 60 * 60 - 900 + 5.5 * 3600)
    expect(page.locator("#range")).to_contain_text(time.strftime("%H:%M", start))


def test_a_zoomed_chart_stays_zoomed(counting: "Site", page: Page):
    insert(counting.clickhouse, "facts_in", [fact(now_ms() - i * 1000, visitor=1 + i) for i in range(600)])
    page.goto(counting.url)
    see(page, "value-impressions", "600")
    plot = page.locator("#chart-reach .nsewdrag").first
    box = plot.bounding_box()
    assert box
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 50, steps=5)
    page.mouse.up()
    axis = "document.querySelector('#chart-reach .js-plotly-plot').layout.xaxis"
    page.wait_for_function(f"{axis}.autorange === false")
    zoomed = page.evaluate(f"{axis}.range")
    for more in (601, 602):
        insert(counting.clickhouse, "facts_in", [fact(now_ms())])
        see(page, "value-impressions", str(more))
        assert page.evaluate(f"{axis}.range") == zoomed
    page.mouse.dblclick(box["x"] + box["width"] * 0.5, box["y"] + 50)
    page.wait_for_function(f"{axis}.autorange")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(counting: "Site", browser: Browser, scheme: str):
    insert(counting.clickhouse, "facts_in", [fact(now_ms(), creative="a" * 64, placement="b" * 64)])
    phone = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
    phone.goto(counting.url)
    see(phone, "value-impressions", "1")
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    phone.close()


def test_nothing_moves_when_numbers_do(counting: "Site", page: Page):
    insert(counting.clickhouse, "facts_in", [fact(now_ms())])
    page.goto(counting.url)
    see(page, "value-impressions", "1")
    page.evaluate(
        "window.shift = 0; new PerformanceObserver(list => {"
        " for (const entry of list.getEntries()) window.shift += entry.value;"
        "}).observe({type: 'layout-shift'})"
    )
    insert(counting.clickhouse, "facts_in", [fact(now_ms(), visitor=1 + i) for i in range(12_345)])
    see(page, "value-impressions", "12,346")
    page.wait_for_timeout(200)
    assert page.evaluate("window.shift") < 0.01
