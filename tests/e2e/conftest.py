"""A browser before the live page, and the page before a ClickHouse that can be taken away."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest
from playwright.sync_api import Browser, sync_playwright
from processes import answers, free_port, tier, wait_until

#: The browser itself must not speak to anyone either.
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("needs Chromium on PATH; `make browser` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield browser
        browser.close()


class Site:
    """`pixeltally live` and `pixeltally clickhouse` on ports and a folder of their own."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._clickhouse_port, self._live_port = free_port(), free_port()
        self._running: dict[str, Popen[str]] = {}
        self.clickhouse = f"http://127.0.0.1:{self._clickhouse_port}"
        self.url = f"http://127.0.0.1:{self._live_port}"

    def start_live(self) -> None:
        self._start("live", f"{self.url}/healthz")

    def start_clickhouse(self) -> None:
        self._start("clickhouse", f"{self.clickhouse}/ping")

    def stop(self, name: str) -> int:
        """Stop a tier as a supervisor does; its exit code."""
        process = self._running.pop(name)
        process.terminate()
        process.communicate(timeout=40)
        return process.returncode

    def stop_all(self) -> None:
        for name in list(self._running):
            self.stop(name)

    def _start(self, name: str, answers_at: str) -> None:
        ports = {
            "PIXELTALLY_CLICKHOUSE_PORT": str(self._clickhouse_port),
            "PIXELTALLY_LIVE_PORT": str(self._live_port),
        }
        process = self._running[name] = tier(name, self._data, **ports)
        wait_until(lambda: answers(answers_at, process), name)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Nothing of it runs yet."""
    site = Site(tmp_path)
    yield site
    site.stop_all()
