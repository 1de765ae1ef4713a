"""The tier `pixeltally broker`: the real Kafka, and the in-memory one where Java is missing."""

import socket
import sys
from pathlib import Path
from subprocess import Popen

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient
from processes import StartBroker, free_port, tier, wait_until, with_environ

from pixeltally import topics
from pixeltally.settings import Settings


def settings_of(servers: str) -> Settings:
    return Settings.from_env({"PIXELTALLY_KAFKA": servers})


def produce(servers: str, values: list[bytes], topic: str = topics.HITS) -> None:
    """Produce, and return once the broker has acknowledged all."""
    producer = Producer(
        {"bootstrap.servers": servers, "enable.idempotence": True, "log_level": 0, "compression.type": "lz4"}
    )
    for value in values:
        producer.produce(topic, value, key=b"k")
    assert producer.flush(30) == 0


def consume(servers: str, count: int, group: str = "test", topic: str = topics.HITS) -> list[bytes]:
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "log_level": 0,
            "fetch.message.max.bytes": topics.MAX_MESSAGE_BYTES,
        }
    )
    consumer.subscribe([topic])
    values: list[bytes] = []

    def enough() -> bool:
        values.extend(m.value() or b"" for m in consumer.consume(count, timeout=0.2) if not m.error())
        return len(values) >= count

    wait_until(enough, f"{count} messages")
    consumer.close()
    return values


@pytest.fixture(scope="session")
def no_java(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment without Java."""
    return {"PATH": str(tmp_path_factory.mktemp("empty")), "JAVA_HOME": ""}


def test_topics_are_made_and_messages_pass(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = start_broker(tmp_path)[1]
    assert topics.ensure(settings_of(broker)) == 4
    produce(broker, [b"1", b"2"])
    assert consume(broker, 2) == [b"1", b"2"]


@pytest.mark.usefixtures("durable")
def test_the_first_group_can_be_joined_once_it_was_waited_for(start_broker: StartBroker, tmp_path: Path) -> None:
    settings = settings_of(start_broker(tmp_path)[1])
    admin = AdminClient({"bootstrap.servers": settings.kafka_servers, "log_level": 0})
    topics.await_coordinator(settings, "first")
    assert admin.describe_consumer_groups(["first"])["first"].result().group_id == "first"


@pytest.mark.usefixtures("durable")
def test_a_message_of_the_largest_size_passes(start_broker: StartBroker, tmp_path: Path) -> None:
    broker = start_broker(tmp_path)[1]
    topics.ensure(settings_of(broker))
    value = b"x" * (topics.MAX_MESSAGE_BYTES - 1000)
    producer = Producer({"bootstrap.servers": broker, "message.max.bytes": topics.MAX_MESSAGE_BYTES})
    producer.produce(topics.FACTS, value)
    assert producer.flush(30) == 0
    assert consume(broker, 1, topic=topics.FACTS) == [value]


@pytest.mark.usefixtures("durable")
@pytest.mark.parametrize("stop", ["terminate", "kill"])
def test_what_was_acknowledged_outlives_a_restart(start_broker: StartBroker, tmp_path: Path, stop: str) -> None:
    values = [b"%d" % number for number in range(1000)]
    process, servers = start_broker(tmp_path)
    topics.ensure(settings_of(servers))
    produce(servers, values)
    assert consume(servers, 500, group="half")[:500] == values[:500]
    # What Java unpacks for lz4 stays after a kill: there, and not among the system's temporary files.
    assert list((tmp_path / "kafka" / "temporary").glob("liblz4-java*.so"))
    getattr(process, stop)()
    process.communicate(timeout=30)
    _, servers = start_broker(tmp_path, int(servers.split(":")[1]))
    assert consume(servers, 1000) == values


@pytest.mark.usefixtures("durable")
def test_it_is_one_process_named_after_its_tier(start_broker: StartBroker, tmp_path: Path) -> None:
    process, _ = start_broker(tmp_path)
    [only] = with_environ("PIXELTALLY_DATA", str(tmp_path))
    assert only.pid == process.pid
    assert "pixeltally broker" in " ".join(only.cmdline())


@pytest.mark.usefixtures("durable")
def test_any_folder_name_will_do(start_broker: StartBroker, tmp_path: Path) -> None:
    data = tmp_path / "dätä, mine = 日本"
    process, _ = start_broker(data, LC_ALL="C")
    assert (data / "kafka" / "log" / "meta.properties").exists()
    process.terminate()
    assert process.communicate(timeout=30) == ("", "")


@pytest.mark.usefixtures("durable")
def test_a_second_broker_on_the_same_folder_is_refused(start_broker: StartBroker, tmp_path: Path) -> None:
    start_broker(tmp_path)
    assert_refused(
        tier("broker", tmp_path, PIXELTALLY_KAFKA_PORT=str(free_port())),
        f"pixeltally: another broker runs on {tmp_path / 'kafka'}: stop it, or name another folder by PIXELTALLY_DATA.",
    )


def test_a_taken_port_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_refused(
            tier("broker", tmp_path, PIXELTALLY_KAFKA_PORT=str(port)),
            f"pixeltally: port {port} on 127.0.0.1 can't be used (Address already in use): "
            "stop what holds it, or set PIXELTALLY_KAFKA_PORT to a free one.",
        )


def test_a_folder_that_cant_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    data = tmp_path / "file" / "data"
    assert_refused(
        tier("broker", data, PIXELTALLY_KAFKA_PORT=str(free_port())),
        f"pixeltally: the folder {data / 'kafka'} can't be written (Not a directory): "
        "mend that, or name another by PIXELTALLY_DATA.",
    )


def test_a_full_disk_is_refused(small_disk: Path) -> None:
    (small_disk / "kafka").mkdir()
    assert_refused(
        tier("broker", small_disk, PIXELTALLY_KAFKA_PORT=str(free_port())),
        f"pixeltally: the disk of {small_disk / 'kafka'} has only 1 MB left and 200 MB are needed: "
        "free some, or name another folder by PIXELTALLY_DATA.",
    )


def test_what_kafka_has_kept_is_not_hidden_by_an_empty_broker(tmp_path: Path, no_java: dict[str, str]) -> None:
    kept = tmp_path / "kafka" / "log" / "meta.properties"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert_refused(
        tier("broker", tmp_path, PIXELTALLY_KAFKA_PORT=str(free_port()), **no_java),
        f"pixeltally: {tmp_path / 'kafka'} holds what Apache Kafka has kept, but there is no java on PATH "
        "or in JAVA_HOME: mend that, or name another folder by PIXELTALLY_DATA.",
    )


def test_without_java_messages_pass_in_memory(
    start_broker: StartBroker, tmp_path: Path, no_java: dict[str, str]
) -> None:
    process, servers = start_broker(tmp_path, **no_java)
    assert topics.ensure(settings_of(servers)) == 4
    topics.await_coordinator(settings_of(servers), "first")
    produce(servers, [b"1", b"2"])
    assert consume(servers, 2) == [b"1", b"2"]
    process.terminate()
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0
    [line] = errors.splitlines()
    assert line.startswith(
        "pixeltally: IN-MEMORY BROKER instead of Apache Kafka, because there is no java on PATH "
        "or in JAVA_HOME: what is in it is lost when it stops"
    )


def test_an_old_java_is_no_java(start_broker: StartBroker, tmp_path: Path) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!{sys.executable}\nimport sys\nsys.stderr.write('openjdk version \"11.0.2\"')\n")
    java.chmod(0o755)
    process, _ = start_broker(tmp_path, PATH=str(tmp_path), JAVA_HOME="")
    process.terminate()
    _, errors = process.communicate(timeout=10)
    assert f"because {java} is older than Java 17" in errors


def assert_refused(process: "Popen[str]", sentence: str) -> None:
    output, errors = process.communicate(timeout=30)
    assert (process.returncode, output, errors) == (2, "", sentence + "\n")
