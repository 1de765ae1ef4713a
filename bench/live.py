"""How fast the live page is: `python -m bench.live [--rows N]`. Needs Chromium.

A month's hits are made inside a ClickHouse of its own, as streams and sink would have stored them. Then each board is
read for each range, twice (when somebody begins to look, and again), and looked at in a browser that has seen nothing
before, while nobody looks at another: from the start of its navigation until the key figures and the charts are
painted, and how long a refresh takes from the page's question until the new numbers are drawn.
"""

import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import click
from playwright.sync_api import Browser, sync_playwright

from bench import month
from bench.table import say
from dashboards.boards import BOARDS
from dashboards.live.clickhouse import ClickHouse
from dashboards.live.feed import WATCH_S, Watched
from dashboards.live.view import View, path
from pixeltally.settings import Settings

SPANS = ("1h", "24h", "30d")
REFRESHES = 8

#: Notes when what a selector finds is first painted, milliseconds since the navigation's start.
_NOTE = """
for (const [name, what] of [["figures", ".figure .value"], ["charts", ".main-svg"]]) {
    const observer = new MutationObserver(() => {
        if (!document.querySelector(what)) return;
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => { window[name] = performance.now(); }));
    });
    observer.observe(document, {childList: true, subtree: true});
}
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
    with tempfile.TemporaryDirectory() as name, month.site(Path(name)) as settings:
        month.fill(settings, rows)
        click.echo(f"\r{rows:,} hits of {month.DAYS} days, {os.cpu_count()} cores{'':30}\n")
        _rounds(settings)
        _looks(settings)


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
            time.sleep(2 * WATCH_S)  # the last round may be a long one
            cells = f"{figures_s:>13.2f}{charts_s:>13.2f}{refresh_ms:>13.0f}{server_ms:>13.0f}"
            click.echo(f"\r{board.title:44}{cells}")
        browser.close()


def _look(browser: Browser, address: str) -> tuple[float, float, float, float]:
    say(address)
    page = browser.new_page(viewport={"width": 1280, "height": 900}, bypass_csp=True)  # to be waited for by script
    page.add_init_script(_NOTE)
    page.goto(address)
    page.wait_for_function("window.figures && window.charts")
    figures_s, charts_s = (page.evaluate(f"window.{name}") / 1000 for name in ("figures", "charts"))
    page.evaluate(_WATCH)
    page.wait_for_function(f"window.refreshes.length >= {REFRESHES}", timeout=180_000)
    refreshes = page.evaluate("window.refreshes")
    page.close()
    whole, server = (statistics.median(each[part] for each in refreshes) for part in (0, 1))
    return figures_s, charts_s, whole, server


if __name__ == "__main__":
    main()
