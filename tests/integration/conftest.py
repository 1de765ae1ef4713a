"""Real parts, started as their users start them."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_PIXELTALLY = "import sys; from pixeltally.cli import main; sys.argv[0] = 'pixeltally'; main()"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_tier(tier: str, **settings: object) -> subprocess.Popen[str]:
    """`pixeltally TIER` with these settings (`data=…` sets PIXELTALLY_DATA); its messages are on `stderr`."""
    environ = os.environ | {f"PIXELTALLY_{name.upper()}": str(value) for name, value in settings.items()}
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", _PIXELTALLY, tier], env=environ, stderr=subprocess.PIPE, text=True
    )


@dataclass
class ClickHouse:
    url: str
    port: int
    process: subprocess.Popen[str]


@contextmanager
def start_clickhouse(data: Path, port: int | None = None) -> Iterator[ClickHouse]:
    """The tier `pixeltally clickhouse` on the data folder, until the block ends."""
    port = port or free_port()
    process = start_tier("clickhouse", data=data, clickhouse_port=port)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for_ping(url, process)
        yield ClickHouse(url, port, process)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def _wait_for_ping(url: str, process: subprocess.Popen[str], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            with urllib.request.urlopen(f"{url}/ping", timeout=5) as answer:  # noqa: S310
                assert answer.read() == b"Ok.\n"
            return
        except (urllib.error.URLError, ConnectionError):
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < end, f"no answer from {url}"
            time.sleep(0.02)


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running embedded ClickHouse, shared by all tests of the session."""
    with start_clickhouse(tmp_path_factory.mktemp("clickhouse")) as server:
        yield server.url
