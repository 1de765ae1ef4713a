"""Real parts for the tests of this folder."""

import os
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest
from processes import StartBroker, answers, free_port, tier, wait_for_kafka, wait_until

from local import kafka


@pytest.fixture(scope="session")
def start_broker() -> Iterator[StartBroker]:
    """A function that starts a broker on a data folder: (its process, its bootstrap servers)."""
    started = []

    def start(data: Path, port: int = 0, **environ: str) -> "tuple[Popen[str], str]":
        port = port or free_port()
        process = tier("broker", data, PIXELTALLY_KAFKA_PORT=str(port), **environ)
        started.append(process)
        wait_for_kafka(f"127.0.0.1:{port}", process)
        return process, f"127.0.0.1:{port}"

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def broker(start_broker: StartBroker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Bootstrap servers of a broker that all tests of the session share."""
    return start_broker(tmp_path_factory.mktemp("broker"))[1]


@pytest.fixture(scope="session")
def durable() -> None:
    """For tests of what only the real Kafka can do: keep messages."""
    try:
        kafka.prepare()
    except kafka.Unavailable as reason:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"needs Apache Kafka: {reason}")


@pytest.fixture(scope="session")
def clickhouse(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of a running `pixeltally clickhouse` that all tests of the session share."""
    port = free_port()
    process = tier("clickhouse", tmp_path_factory.mktemp("clickhouse"), PIXELTALLY_CLICKHOUSE_PORT=str(port))
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(f"{url}/ping", process), "ClickHouse")
    yield url
    process.terminate()
    process.communicate()
