"""Real parts for the tests of this folder."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running `pixeltally clickhouse`."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    environ = {
        "PIXELTALLY_DATA": str(tmp_path_factory.mktemp("clickhouse")),
        "PIXELTALLY_CLICKHOUSE_PORT": str(port),
    }
    command = [sys.executable, "-c", "from pixeltally.cli import main; main()", "clickhouse"]
    process = subprocess.Popen(command, env=os.environ | environ)
    url = f"http://127.0.0.1:{port}"
    while True:
        assert process.poll() is None
        try:
            urllib.request.urlopen(f"{url}/ping", timeout=1).close()
            break
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
    yield url
    process.terminate()
    process.wait(20)
