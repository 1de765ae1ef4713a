"""A browser before the live page, and the page before a ClickHouse that can be taken away."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

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
        self._clickhouse_port, self._live_port = _free_port(), _free_port()
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self.clickhouse = f"http://127.0.0.1:{self._clickhouse_port}"
        self.url = f"http://127.0.0.1:{self._live_port}"

    def start_live(self) -> None:
        self._start("live", f"{self.url}/healthz")

    def start_clickhouse(self) -> None:
        self._start("clickhouse", f"{self.clickhouse}/ping")

    def stop(self, tier: str) -> int:
        """Stop a tier as a supervisor does; its exit code."""
        process = self._running.pop(tier)
        process.terminate()
        return process.wait(20)

    def stop_all(self) -> None:
        for tier in list(self._running):
            self.stop(tier)

    def _start(self, tier: str, answers_at: str) -> None:
        environ = {
            "PIXELTALLY_DATA": str(self._data),
            "PIXELTALLY_CLICKHOUSE_PORT": str(self._clickhouse_port),
            "PIXELTALLY_LIVE_PORT": str(self._live_port),
        }
        command = [sys.executable, "-c", "from pixeltally.cli import main; main()", tier]
        process = self._running[tier] = subprocess.Popen(command, env=os.environ | environ)
        while not _answers(answers_at):
            assert process.poll() is None, f"{tier} ended"
            time.sleep(0.05)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Nothing of it runs yet."""
    site = Site(tmp_path)
    yield site
    site.stop_all()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True
