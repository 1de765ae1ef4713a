"""The live page before a ClickHouse that can be taken away."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import answers, free_port, tier, wait_until


class Site:
    """`pixeltally live` and `pixeltally clickhouse` on ports and a folder of their own."""

    def __init__(self, data: Path, **environ: str) -> None:
        self._data = data
        self._environ = environ
        self._clickhouse_port, self.live_port = free_port(), free_port()
        self._running: dict[str, subprocess.Popen[str]] = {}
        self.clickhouse = f"http://127.0.0.1:{self._clickhouse_port}"
        self.url = f"http://127.0.0.1:{self.live_port}"

    def start_live(self) -> None:
        self._start("live", f"{self.url}/healthz")

    def start_clickhouse(self) -> None:
        self._start("clickhouse", f"{self.clickhouse}/ping")

    def stop(self, name: str) -> int:
        """Stop a tier as a supervisor does; its exit code."""
        process = self._running.pop(name)
        process.terminate()
        process.communicate(timeout=20)
        return process.returncode

    def stop_all(self) -> None:
        for name in list(self._running):
            self.stop(name)

    def _start(self, name: str, answers_at: str) -> None:
        ports = {"CLICKHOUSE": self._clickhouse_port, "LIVE": self.live_port}
        environ = {f"PIXELTALLY_{part}_PORT": str(port) for part, port in ports.items()} | self._environ
        process = self._running[name] = tier(name, self._data, **environ)
        wait_until(lambda: answers(answers_at, process), f"an answer of {name}")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Nothing of it runs yet."""
    site = Site(tmp_path)
    yield site
    site.stop_all()
