"""How fast the live page is: `python -m bench.live [--rows N]`. Needs Chromium.

A month's hits are made inside a ClickHouse of its own, as streams and sink would have stored them. Then each board is
read for each range, twice (when somebody begins to look, and again), and looked at in a browser that has seen nothing
before: until the key figures, until the charts, and how long a refresh takes from the page's question until the new
numbers are drawn.
"""

import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import click
from clickhouse_connect.driver.client import Client
from playwright.sync_api import Browser, sync_playwright

from bench.processes import free_port, running
from bench.table import say
from dashboards.boards import BOARDS
from dashboards.live.clickhouse import ClickHouse
from dashboards.live.feed import Watched
from dashboards.live.view import View, path
from pixeltally.database import DATABASE, connect
from pixeltally.settings import Settings
from sinks.migrate import migrate

DAYS = 30
BATCHES = 20
SPANS = ("1h", "24h", "30d")
REFRESHES = 8

#: 60 ad units of which a few are large, visitors of whom a few come often.
_FACTS = """
INSERT INTO facts
(
    id, ts, kind, advertiser, campaign, creative, placement, visitor, ip, country, asn, isp, user_agent, browser, os,
    device, referer, verdict, duplicate, evidence, node, seq, version, `order`, value, currency
)
WITH
    number + {first:UInt64} AS n, cityHash64(n) AS a, cityHash64(n, 1) AS b, cityHash64(n, 2) AS c,
    multiIf(a % 1000 < 15, 'click', a % 1000 < 17, 'conversion', a % 1000 < 120, 'open', 'impression') AS what,
    toUInt64(pow(b % 1000003 / 1000003, 2) * 3000000) + 1 AS who, toUInt32(pow(c % 100003 / 100003, 3) * 60) AS unit
SELECT
    generateUUIDv4(), toDateTime64({start:Float64} + n * {step_s:Float64}, 3, 'UTC'), what,
    concat('advertiser-', toString(unit % 6)), concat('campaign-', toString(intDiv(unit, 6) % 3)),
    if(what = 'conversion', '', concat('creative-', toString(intDiv(unit, 18)))),
    if(what = 'conversion' OR unit % 5 < 3, '', 'news'), who, toIPv6(IPv4NumToString(toUInt32(who * 7919))),
    ['DE', 'FR', 'US', 'GB', 'AT', 'CH', 'ES', 'IT', 'PL', 'BR', 'IN', 'JP', ''][1 + who % 13], 64500 + who % 300,
    concat('Provider ', toString(who % 300)), concat('Mozilla/5.0 agent ', toString(who % 500)), 'Firefox', 'Windows',
    ['desktop', 'phone', 'tablet', ''][1 + who % 4], concat('https://news.example/', toString(c % 50)),
    if(c % 100 < 8, ['bot', 'datacenter', 'prefetch', 'burst'][1 + c % 4], 'valid'), c % 100 BETWEEN 8 AND 12,
    if(what = 'open', ['probable', 'proxy', 'machine'][1 + c % 3], ''), concat('node-', toString(n % 2)), n, n,
    if(what = 'conversion', concat('o', toString(n)), ''), if(what = 'conversion', 12.5, 0), 'EUR'
FROM numbers({count:UInt64})
"""
_MINUTES = """
INSERT INTO minute_rows
(
    minute, advertiser, campaign, creative, placement, `partition`, version,
    gross, invalid, duplicates, valid, clicks, conversions
)
WITH kind IN ('impression', 'open', 'view') AS is_image, verdict = 'valid' AND NOT duplicate AS is_counted
SELECT
    toStartOfMinute(ts) AS minute, advertiser, campaign, creative, placement, visitor % 4 AS part, max(version),
    countIf(is_image), countIf(is_image AND verdict != 'valid' AND NOT duplicate), countIf(is_image AND duplicate),
    countIf(is_image AND is_counted), countIf(kind = 'click' AND is_counted),
    countIf(kind = 'conversion' AND is_counted)
FROM facts
WHERE toDate(ts) = {day:Date}
GROUP BY minute, advertiser, campaign, creative, placement, part
"""

#: What they cost: half of the campaigns by unique IPs, which takes longest to count; each with a plan.
_TERMS = """
INSERT INTO terms_set
SELECT
    advertiser, campaign, '1970-01-01', 0, 'Europe/Berlin', 'cpm', if(cityHash64(campaign) % 2, 'unique', 'valid'),
    10, 'EUR', 5000, today() - 20, today() + 10, now64(3)
FROM (SELECT DISTINCT advertiser, campaign FROM facts)
"""

#: Times each refresh in the page: from the question until the answer is drawn, and which of it is the server's.
_WATCH = """
() => {
    window.refreshes = [];
    const {pixeltally} = window.dash_clientside, draw = pixeltally.draw;
    pixeltally.draw = (answer) => {
        draw(answer);
        requestAnimationFrame(() => setTimeout(() => {
            const asked = performance.getEntriesByType("resource").findLast(({name}) => /update-component/.test(name));
            window.refreshes.push([performance.now() - asked.startTime, asked.duration]);
        }));
    };
}
"""


@click.command()
@click.option("--rows", default=10_000_000, show_default=True)
def main(rows: int) -> None:
    """Measure and print the tables."""
    with tempfile.TemporaryDirectory() as name, _site(Path(name)) as settings:
        client = connect(settings, "default")
        client.command(f"CREATE DATABASE IF NOT EXISTS {DATABASE} ENGINE = Atomic")
        client = connect(settings)
        migrate(client)
        _fill(client, rows)
        click.echo(f"\r{rows:,} hits of {DAYS} days, {os.cpu_count()} cores{'':30}\n")
        _rounds(settings)
        _looks(settings)


@contextmanager
def _site(data: Path) -> Iterator[Settings]:
    """`pixeltally clickhouse` and `pixeltally live`, until the block ends."""
    environ = {
        "PIXELTALLY_DATA": str(data),
        "PIXELTALLY_CLICKHOUSE_PORT": str(free_port()),
        "PIXELTALLY_LIVE_PORT": str(free_port()),
    }
    settings = Settings.from_env(environ)
    tiers = [[sys.executable, "-m", "pixeltally", name] for name in ("clickhouse", "live")]
    with ExitStack() as stack:
        log = stack.enter_context((data / "log").open("wb"))
        for tier in tiers:
            stack.enter_context(running(tier, os.environ | environ, log=log))
        for address in (f"{settings.clickhouse}/ping", f"{settings.live}/healthz"):
            while not _answers(address):
                time.sleep(0.1)
        yield settings


def _answers(address: str) -> bool:
    try:
        urlopen(address, timeout=5).close()  # noqa: S310
    except (URLError, ConnectionError):
        return False
    return True


def _fill(client: Client, rows: int) -> None:
    """A month's facts up to some minutes ahead, so that the newest are of now while the page is looked at."""
    end_s, count = time.time() + 1200, rows // BATCHES
    span = {"start": end_s - DAYS * 86_400, "step_s": DAYS * 86_400 / rows, "count": count}
    for batch in range(BATCHES):
        say(f"making facts: {batch * count:,}")
        client.command(_FACTS, parameters=span | {"first": batch * count})
    for (day,) in client.query("SELECT DISTINCT toDate(ts) AS day FROM facts ORDER BY day").result_rows:
        say(f"making minutes: {day}")
        client.command(_MINUTES, parameters={"day": day})
    client.command(_TERMS)


def _rounds(settings: Settings) -> None:
    """Seconds that all questions of a board take, when it is opened and when it is refreshed."""
    click.echo(f"{'ClickHouse answers a board (first, again; s)':44}" + "".join(f"{span:>13}" for span in SPANS))
    clickhouse = ClickHouse(settings.clickhouse)
    for board in BOARDS:
        cells = []
        for span in SPANS:
            say(f"{board.title}, {span}")
            watched, took = Watched(View(board, span=span)), []
            for _ in range(2):
                began = time.monotonic()
                watched.refresh(clickhouse, time.time())
                took.append(time.monotonic() - began)
            cells.append(f"{took[0]:.2f} {took[1]:.2f}" if watched.snapshot and watched.snapshot.whole else "too slow")
        click.echo(f"\r{board.title:44}" + "".join(f"{cell:>13}" for cell in cells))


def _looks(settings: Settings) -> None:
    """Seconds in a browser."""
    heads = ("key figures", "charts", "refresh", "of it server")
    click.echo(f"\n{'in a browser, 1 h (s; refresh in ms, median)':44}" + "".join(f"{head:>13}" for head in heads))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for board in BOARDS:
            figures_s, charts_s, refresh_ms, server_ms = _look(browser, settings.live + path(board) + "?range=1h")
            cells = f"{figures_s:>13.2f}{charts_s:>13.2f}{refresh_ms:>13.0f}{server_ms:>13.0f}"
            click.echo(f"\r{board.title:44}{cells}")
        browser.close()


def _look(browser: Browser, address: str) -> tuple[float, float, float, float]:
    say(address)
    page = browser.new_page(viewport={"width": 1280, "height": 900}, bypass_csp=True)  # to be waited for by script
    began = time.monotonic()
    page.goto(address)
    page.wait_for_selector(".figure .value")
    figures_s = time.monotonic() - began
    page.wait_for_selector(".main-svg")
    charts_s = time.monotonic() - began
    page.evaluate(_WATCH)
    page.wait_for_function(f"window.refreshes.length >= {REFRESHES}", timeout=180_000)
    refreshes = page.evaluate("window.refreshes")
    page.close()
    whole, server = (statistics.median(each[part] for each in refreshes) for part in (0, 1))
    return figures_s, charts_s, whole, server


if __name__ == "__main__":
    main()
