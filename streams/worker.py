"""The Faust app: one agent over `pixeltally.hits`, facts and minutes out.

Outputs are functions of the input (see `streams.tally`), so a message may be worked on again at any time, by anyone.
It is acknowledged once its facts are in Kafka. Whatever goes wrong ends the process; the next one takes up the count
from the facts.
"""

import asyncio
import gc
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import faust
import msgspec
from faust.types import TP
from setproctitle import setproctitle

from pixeltally import metrics, topics
from pixeltally.hit import Dead
from pixeltally.process import say_ready
from pixeltally.settings import Settings
from pixeltally.topics import COUNTED_BY, HEAD, RESTORED
from streams.batch import parse
from streams.enrich import Enricher
from streams.poison import Poison, Poisoned
from streams.restore import restore
from streams.tally import Tally

log = logging.getLogger("streams")

#: Messages taken at a time, and how long to gather them; one may hold a thousand hits.
TAKE_MESSAGES = 200
TAKE_S = 0.1

#: Settings that say what is counted and what is a duplicate or attributed: the archive names them.
COUNT_BY = ("duplicate_window_s", "attribution_window_s", "advertisers", "max_units")

#: How often the rows of open minutes are told.
TELL_S = 1.0

#: How often the same message may stand in the log.
SPARSE_S = 60.0


def run(settings: Settings) -> None:
    """Run one worker until SIGTERM."""
    for chatty in ("mode", "faust", "aiokafka"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Sparse())
    # State is millions of small objects and no cycles: to look through all of them often would be most of the work.
    gc.set_threshold(100_000, 10, 100)
    metrics.serve(settings.host, settings.streams_metrics_port)
    topics.ensure(settings)
    app = build(settings)
    process = _Process(app, quiet=True, override_logging=False, redirect_stdouts=False)
    process.spinner = None
    process.execute_from_commandline()


class Sparse(logging.Filter):
    """Lets each message through once a minute: with Kafka away, its client says thousands of times that it is."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, object], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is let through."""
        what = (record.name, record.msg)
        if record.created - self._said.get(what, 0.0) < SPARSE_S:
            return False
        self._said[what] = record.created
        return True


class _Process(faust.Worker):
    """Faust's process, under its tier's name."""

    def _setproctitle(self, info: str, *, ident: str = "") -> None:
        setproctitle("pixeltally streams")


def build(settings: Settings) -> faust.App:
    """The app; each setting beyond the addresses is one that exactness or speed depends on."""
    app = faust.App(
        topics.STREAMS_GROUP,
        broker="kafka://" + settings.kafka_servers.replace(",", ";kafka://"),
        store="memory://",
        datadir=str(settings.data / "streams"),
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        stream_buffer_maxsize=256,
        agent_supervisor="mode.supervisors:CrashingSupervisor",
        broker_commit_interval=1.0,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.5,
        consumer_max_fetch_size=4 * 1024 * 1024,
        consumer_auto_offset_reset="earliest",
        producer_acks=-1,
        producer_compression_type="zstd",
        producer_max_request_size=topics.MAX_MESSAGE_BYTES,
    )
    Worker(app, settings)
    return app


class Worker:
    """What one process does with the partitions that it is given."""

    def __init__(self, app: faust.App, settings: Settings) -> None:
        self._app = app
        self._settings = settings
        self._enricher = Enricher(settings)
        self._counted_by = msgspec.json.encode({name: settings.text(name) for name in COUNT_BY})
        self._tallies: dict[int, Tally] = {}
        self._said_ready = False
        self._busy = asyncio.Lock()
        self._poison = Poison(settings.max_dead_percent)
        self._on_their_way: asyncio.Future[None] | None = None
        raw: dict[str, Any] = {"key_serializer": "raw", "value_serializer": "raw"}
        self._facts = app.topic(topics.FACTS, **raw)
        self._minutes = app.topic(topics.MINUTES, **raw)
        self._dead = app.topic(topics.DEAD, **raw)
        hits = app.topic(topics.HITS, **raw)
        app.agent(hits, name="count", concurrency=1)(self.count)
        app.timer(TELL_S)(self.tell)

    async def count(self, stream: Any) -> None:
        """The agent: messages in, facts out. While these are on their way, the next messages are counted."""
        async for events in stream.noack_take(TAKE_MESSAGES, within=TAKE_S):
            async with self._busy:
                sent = [each for event in events for each in await self._apply(event.message)]
                with timed("wait for Kafka"):
                    await self._arrived()
                self._on_their_way = asyncio.ensure_future(_acknowledge(events, sent))

    async def tell(self) -> None:
        """The timer: take up what was newly assigned, and tell the rows that have changed."""
        async with self._busy:
            await self._arrived()
            assigned = {tp.partition for tp in self._app.consumer.assignment() if tp.topic == topics.HITS}
            if assigned and not self._said_ready:
                say_ready()
                self._said_ready = True
            for partition in self._tallies.keys() - assigned:
                del self._tallies[partition]
            for partition in assigned:
                tally = await self._tally(partition)
                self._measure(partition, tally)
                with timed("tell"):
                    rows = tally.tell()
                if rows:
                    value = b"\n".join(map(msgspec.json.encode, rows))
                    await (await self._minutes.send(partition=partition, value=value))
                tally.told()

    async def _arrived(self) -> None:
        """Wait until what was sent last is in Kafka."""
        if self._on_their_way is not None:
            await self._on_their_way

    async def _apply(self, message: Any) -> list[Any]:
        """Count a message in, unless it has been; what was sent of it."""
        tally = await self._tally(message.partition)
        if message.offset > tally.head.offset + 1:
            # Another worker had the partition meanwhile: its facts say how far it came.
            del self._tallies[message.partition]
            tally = await self._tally(message.partition)
        if message.offset <= tally.head.offset:
            return []
        if message.offset > tally.head.offset + 1:
            raise RuntimeError(
                f"{topics.HITS}/{message.partition}: after offset {tally.head.offset} came {message.offset};"
                " the hits between are gone from Kafka and can't be counted from it"
            )
        restored = dict(message.headers or ()).get(RESTORED)
        arrived = int(restored) if restored else round(message.timestamp * 1000)
        with timed("parse"):
            batch, dead = parse(topics.HITS, message.partition, message.offset, arrived, message.value or b"")
        self._stop_if_poisoned(len(batch.hits) + len(dead), len(dead))
        metrics.STREAMS_BATCH.observe(len(batch.hits))
        with timed("count"):
            facts = tally.apply(batch)
        headers = {HEAD: msgspec.json.encode(tally.head), COUNTED_BY: self._counted_by}
        headers |= {RESTORED: restored} if restored else {}
        sent = [await self._facts.send(partition=message.partition, value=facts, headers=headers)]
        if dead:
            sent.append(await self._send_dead(message.partition, dead))
        return sent

    def _stop_if_poisoned(self, lines: int, dead: int) -> None:
        try:
            self._poison.note(lines, dead)
        except Poisoned as poisoned:
            log.critical("%s", poisoned)
            os._exit(1)  # with this one line: nothing is held that the facts don't hold

    def _measure(self, partition: int, tally: Tally) -> None:
        end = self._app.consumer.highwater(TP(topics.HITS, partition))
        metrics.STREAMS_LAG.labels(partition).set(max((end or 0) - tally.head.offset - 1, 0))
        metrics.STREAMS_WATERMARK_AGE.labels(partition).set(time.time() - tally.head.watermark / 1000)
        metrics.STREAMS_STATE.labels(partition).set(len(tally))

    async def _send_dead(self, partition: int, dead: list[Dead]) -> Any:
        log.warning("%d lines can't be read as hits; they are in %s", len(dead), topics.DEAD)
        return await self._dead.send(partition=partition, value=b"\n".join(map(msgspec.json.encode, dead)))

    async def _tally(self, partition: int) -> Tally:
        tally = self._tallies.get(partition)
        if tally is None:
            with timed("restore"):
                tally = await asyncio.to_thread(restore, self._settings, self._enricher, partition)
            self._tallies[partition] = tally
        return tally


@contextmanager
def timed(step: str) -> Iterator[None]:
    """Add the seconds that the block takes to a step's."""
    began = time.perf_counter()
    try:
        yield
    finally:
        metrics.STREAMS_STEP.labels(step).inc(time.perf_counter() - began)


async def _acknowledge(events: list[Any], sent: list[Any]) -> None:
    """Acknowledge messages once what was sent of them is in Kafka."""
    try:
        await asyncio.gather(*sent)
    except Exception as error:
        # At once: what follows must not reach Kafka without what failed.
        log.critical("facts could not be handed to Kafka: %s", error)
        os._exit(1)
    for event in events:
        event.ack()
