"""The in-memory broker: librdkafka's mock cluster, for machines without Java or Maven.

librdkafka picks the mock's port. Its one address is on this machine, so it is enough that what connects to
the port of our settings reaches it: from its metadata clients learn the real address.
"""

import asyncio
import signal
import sys
from contextlib import suppress

from confluent_kafka import Producer

from pixeltally.settings import Settings
from pixeltally.topics import ALL

#: How many partitions the mock gives a topic; it can't be told otherwise.
PARTITIONS = 4


def warning(reason: str) -> str:
    """The line that says what is lost, and why."""
    return (
        f"IN-MEMORY BROKER instead of Apache Kafka, because {reason}: what is in it is lost when it stops, "
        f"old messages are dropped after a few MB, a topic has {PARTITIONS} partitions, "
        "and only this machine reaches it."
    )


def run(settings: Settings, reason: str) -> None:
    """Serve the in-memory broker on the port of the settings until SIGTERM or SIGINT."""
    print(f"pixeltally: {warning(reason)}", file=sys.stderr, flush=True)
    mock = Producer({"test.mock.num.brokers": 1, "log_level": 3})
    # Asking for a topic is the one way to make it here: CreateTopics isn't answered.
    for topic in ALL:
        mock.list_topics(topic, timeout=10)
    [broker] = mock.list_topics(timeout=10).brokers.values()
    asyncio.run(_forward(settings.host, settings.kafka_port, broker.host, broker.port))


async def _forward(host: str, port: int, to_host: str, to_port: int) -> None:
    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            inner_reader, inner_writer = await asyncio.open_connection(to_host, to_port)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    server = await asyncio.start_server(connect, host, port)
    await stopped.wait()
    server.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while part := await reader.read(65536):
            writer.write(part)
            await writer.drain()
    finally:
        writer.close()
