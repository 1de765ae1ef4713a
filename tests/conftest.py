"""Real parts that tests share, started as their users start them."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from subprocess import run

import pytest
from hypothesis import settings
from playwright.sync_api import Browser, sync_playwright
from processes import StartBroker, brokers, start_clickhouse
from running import Running, running

from local import kafka

# How long an example takes says more of the machine than of the code.
settings.register_profile("ours", deadline=None)
settings.load_profile("ours")

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


@pytest.fixture
def start_broker() -> Iterator[StartBroker]:
    """A function that starts a broker on a data folder: (its process, its bootstrap servers)."""
    with brokers() as start:
        yield start


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap servers of a broker that all tests of the session share."""
    with brokers() as start:
        yield start(tmp_path_factory.mktemp("broker"))[1]


@pytest.fixture(scope="session")
def durable() -> None:
    """For tests of what only the real Kafka can do: keep messages."""
    try:
        kafka.prepare()
    except kafka.Unavailable as reason:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs Apache Kafka: {reason}")


@pytest.fixture(scope="session")
def counting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A whole stack that tests share, each with ad units of its own."""
    with running(tmp_path_factory.mktemp("counting")) as stack:
        yield stack


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of its own, of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "small", str(folder)]
    if not shutil.which("mount") or run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a disk")
    yield folder
    run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running embedded ClickHouse, shared by all tests of the session."""
    with start_clickhouse(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server.url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.fail("needs Chromium on PATH; `make browser` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=QUIET)
        yield browser
        browser.close()
