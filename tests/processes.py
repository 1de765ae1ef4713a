"""Processes and ports for tests that start real parts."""

import os
import random
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

#: Starts a broker on a data folder: `start(data, port, **environ) -> (process, bootstrap servers)`.
StartBroker = Callable[..., "tuple[subprocess.Popen[str], str]"]

#: What a person's browser says of itself; a program's requests are invalid traffic.
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def _candidates() -> Iterator[int]:
    """Ports below those that systems give to outgoing connections; each process of a parallel run has its own range."""
    first = 10_000 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 4 * 5_000
    return cycle(range(first + random.randrange(4_000), first + 5_000))


_ports = _candidates()


def free_port() -> int:
    """A free port, another one each time."""
    for port in _ports:
        with suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            return port
    raise AssertionError("unreachable")


def own_ports() -> dict[str, str]:
    """Settings of a stack that runs beside others."""
    return {f"PIXELTALLY_{name}_PORT": str(free_port()) for name in ("INGEST", "LIVE", "KAFKA", "CLICKHOUSE")}


def tier(name: str, data: Path, **environ: str) -> "subprocess.Popen[str]":
    """Start `pixeltally NAME` on `data`; a variable set to "" is unset."""
    env = {**os.environ, "PIXELTALLY_DATA": str(data), **environ}
    command = [sys.executable, "-m", "pixeltally", name]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_until(true: Callable[[], object], what: str, timeout_s: float = 60) -> None:
    until = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < until, f"not within {timeout_s} s: {what}"
        time.sleep(0.05)


def wait_for_kafka(servers: str, process: "subprocess.Popen[str]") -> None:
    admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})

    def answers() -> bool:
        assert process.poll() is None, process.communicate()
        try:
            return bool(admin.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    wait_until(answers, f"Kafka on {servers}")


@contextmanager
def brokers() -> Iterator[StartBroker]:
    """A function that starts a broker on a data folder; those that it started end with the block."""
    started = []

    def start(data: Path, port: int = 0, **environ: str) -> "tuple[subprocess.Popen[str], str]":
        port = port or free_port()
        process = tier("broker", data, PIXELTALLY_KAFKA_PORT=str(port), **environ)
        started.append(process)
        wait_for_kafka(f"127.0.0.1:{port}", process)
        return process, f"127.0.0.1:{port}"

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.communicate()


@dataclass
class ClickHouse:
    """A running `pixeltally clickhouse`."""

    url: str
    port: int
    process: "subprocess.Popen[str]"


@contextmanager
def start_clickhouse(data: Path, port: int = 0) -> Iterator[ClickHouse]:
    """`pixeltally clickhouse` on a data folder, until the block ends."""
    port = port or free_port()
    process = tier("clickhouse", data, PIXELTALLY_CLICKHOUSE_PORT=str(port))
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: answers(f"{url}/ping", process), f"an answer of {url}")
        yield ClickHouse(url, port, process)
    finally:
        process.terminate()
        process.communicate(timeout=60)


def answers(url: str, process: "subprocess.Popen[Any]") -> bool:
    """Whether the URL is served; fails where the process that should serve it has ended."""
    assert process.poll() is None, process.communicate()
    try:
        urllib.request.urlopen(url, timeout=5).close()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
    return True


def with_environ(name: str, value: str) -> list[psutil.Process]:
    """All running processes that were started with this environment variable."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(name) == value:
                found.append(process)
        except psutil.Error:
            continue
    return found
