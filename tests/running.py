"""A whole stack, run as its users run it, for tests."""

import http.client
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import clickhouse_connect
import psutil
import pytest
from processes import BROWSER, free_port, wait_until

SECRET = "of the tests"


class Running:
    """`pixeltally up` on a data folder, with ports of its own."""

    def __init__(self, data: Path, **environ: str) -> None:
        self.ports = {name: free_port() for name in ("INGEST", "LIVE", "KAFKA", "CLICKHOUSE")}
        self.environ = {
            **os.environ,
            "PIXELTALLY_DATA": str(data),
            "PIXELTALLY_SECRET": SECRET,
            "PIXELTALLY_TRUSTED_PROXIES": "127.0.0.1/32",
            **{f"PIXELTALLY_{name}_PORT": str(port) for name, port in self.ports.items()},
            **environ,
        }
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "pixeltally", "up"]
        self.process = subprocess.Popen(command, env=self.environ, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout
        for line in self.process.stdout:
            if line == "ready\n":
                break
        else:
            pytest.fail(f"`pixeltally up` ended with {self.process.wait()} before it was ready")
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def stop(self, number: int = signal.SIGINT) -> int:
        assert self.process
        self.process.send_signal(number)
        return self.process.wait(60)

    def kill(self) -> None:
        """End all of it at once, and wait until nothing is left."""
        assert self.process
        all_of = self.descendants()
        self.process.kill()
        self.process.wait(60)
        assert psutil.wait_procs(all_of, 30)[1] == []

    def descendants(self) -> list[psutil.Process]:
        assert self.process
        return psutil.Process(self.process.pid).children(recursive=True)

    def get(self, path: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        return self._ask("GET", path, None, headers)

    def post(self, path: str, body: str, headers: dict[str, str]) -> http.client.HTTPResponse:
        return self._ask("POST", path, body, headers)

    def _ask(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self.ports["INGEST"], timeout=10)
        connection.request(method, path, body, {"User-Agent": BROWSER} | headers)
        response = connection.getresponse()
        response.body = response.read()  # type: ignore[attr-defined]
        connection.close()
        return response

    def query(self, sql: str) -> list[tuple[object, ...]]:
        client = clickhouse_connect.get_client(host="127.0.0.1", port=self.ports["CLICKHOUSE"], database="pixeltally")
        try:
            return list(client.query(sql).result_rows)
        finally:
            client.close()

    def totals(self) -> tuple[object, ...]:
        return self.query("SELECT sum(gross), sum(valid), sum(duplicates), sum(uniques), sum(clicks) FROM minutes")[0]


@contextmanager
def running(data: Path, **environ: str):
    stack = Running(data, **environ)
    stack.start()
    try:
        yield stack
    finally:
        if stack.process and stack.process.poll() is None:
            stack.stop()


def ours(environ: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """A command of ours with this environment, once it has ended."""
    command = [sys.executable, "-m", "pixeltally", *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


def processes(stack, tier):
    """The tier's processes, once it has some."""
    found = []

    def look():
        for each in stack.descendants():
            with suppress(psutil.NoSuchProcess):
                if f"pixeltally {tier}" in " ".join(each.cmdline()):
                    found.append(each)
        return found

    wait_until(look, f"a process named after {tier}")
    return found
