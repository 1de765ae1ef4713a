"""Readiness of a consumer group, on the real broker and on the in-memory one."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from processes import StartBroker, wait_until

from local.readiness import has_metadata, is_consumed_by
from pixeltally import topics
from pixeltally.settings import Settings


@pytest.fixture(params=["real", "in memory"])
def servers(request: pytest.FixtureRequest, start_broker: StartBroker, tmp_path: Path) -> Iterator[str]:
    if request.param == "real":
        request.getfixturevalue("durable")
        yield request.getfixturevalue("broker")
    else:
        process, servers = start_broker(tmp_path, PATH=str(tmp_path), JAVA_HOME="")
        yield servers
        process.terminate()


def test_a_group_is_ready_once_a_member_has_joined(servers: str) -> None:
    topics.ensure(Settings.from_env({"PIXELTALLY_KAFKA": servers}))
    assert has_metadata(servers)()
    ready = is_consumed_by(servers, "ready")
    assert not ready()
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "ready", "log_level": 0})
    consumer.subscribe([topics.HITS])
    wait_until(lambda: consumer.poll(0.1) or ready(), "the group is ready")
    consumer.close()


def test_where_nothing_listens_nothing_is_ready() -> None:
    assert not has_metadata("127.0.0.1:1")()
    assert not is_consumed_by("127.0.0.1:1", "ready")()
