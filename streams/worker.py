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
from typing import Any, NoReturn

import faust
import msgspec
from faust.types import TP
from setproctitle import setproctitle

from pixeltally import metrics, packed, topics
from pixeltally.errors import Refused
from pixeltally.hit import Dead
from pixeltally.process import say_ready, share_heap
from pixeltally.settings import Settings
from pixeltally.topics import COUNTED_BY, HEAD, RESTORED
from streams.batch import Batch, Message, parse, together
from streams.enrich import Enricher
from streams.outlet import Outlet, Sent
from streams.poison import Poison, Poisoned
from streams.restore import restore
from streams.sparse import Sparse
from streams.tally import Tally
from streams.warm import warm
from streams.watch import Watch

log = logging.getLogger("streams")

#: Messages taken at a time, and how long to gather them; one may hold two thousand hits.
TAKE_MESSAGES = 100
TAKE_S = 0.1

#: Memory of this size is kept for the next message: given back, each page would be taken anew (10 % of CPU).
KEPT_BYTES = 32 << 20

#: Settings that say what is counted and what is a duplicate or attributed: the archive names them.
COUNT_BY = ("duplicate_window_s", "attribution_window_s", "advertisers", "max_units")

#: How often the rows of open minutes are told.
TELL_S = 1.0


def run(settings: Settings) -> None:
    """Run one worker until SIGTERM."""
    for chatty in ("mode", "faust", "aiokafka"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.addFilter(Sparse())
    # State is millions of small objects and no cycles: to look through all of them often would be most of the work.
    gc.set_threshold(100_000, 10, 100)
    share_heap(kept_bytes=KEPT_BYTES)
    metrics.serve(settings.host, settings.streams_metrics_port)
    enricher = Enricher(settings)
    warm(enricher)
    topics.ensure(settings)
    topics.await_coordinator(settings, topics.STREAMS_GROUP)
    app = build(settings, enricher)
    process = _Process(app, quiet=True, override_logging=False, redirect_stdouts=False)
    process.spinner = None
    process.execute_from_commandline()


class _Process(faust.Worker):
    """Faust's process, under its tier's name."""

    def _setproctitle(self, info: str, *, ident: str = "") -> None:
        setproctitle("pixeltally streams")


def build(settings: Settings, enricher: Enricher) -> faust.App:
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
        stream_buffer_maxsize=128,
        agent_supervisor="mode.supervisors:CrashingSupervisor",
        broker_commit_interval=1.0,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=1.5,
        consumer_max_fetch_size=4 * 1024 * 1024,
        consumer_auto_offset_reset="earliest",
    )
    Worker(app, settings, enricher)
    return app


class Worker:
    """What one process does with the partitions that it is given."""

    def __init__(self, app: faust.App, settings: Settings, enricher: Enricher) -> None:
        self._app = app
        self._settings = settings
        self._enricher = enricher
        self._counted_by = msgspec.json.encode({name: settings.text(name) for name in COUNT_BY})
        self._tallies: dict[int, Tally] = {}
        self._said_ready = False
        self._restoring = False
        self._busy = asyncio.Lock()
        self._poison = Poison(settings.max_dead_percent)
        self._outlet = Outlet(settings)
        self._on_their_way: asyncio.Future[None] | None = None
        hits = app.topic(topics.HITS, key_serializer="raw", value_serializer="raw")
        app.agent(hits, name="count", concurrency=1)(self.count)
        app.timer(TELL_S)(self.tell)

    async def count(self, stream: Any) -> None:
        """The agent: messages in, facts out. While these are on their way, the next messages are counted."""
        async for events in stream.noack_take(TAKE_MESSAGES, within=TAKE_S):
            async with self._busy:
                for messages in together([_message(event.message) for event in events]):
                    with timed("parse"):
                        parsed = parse(self._enricher, messages)
                    for message, (batch, dead) in zip(messages, parsed, strict=True):
                        await self._apply(message, batch, dead)
                with timed("wait for Kafka"):
                    await self._arrived()
                self._on_their_way = asyncio.ensure_future(_acknowledge(events, self._outlet.sent()))

    async def tell(self) -> None:
        """The timer: take up what was newly assigned, and tell the rows that have changed."""
        async with self._busy:
            await self._arrived()
            assigned = {tp.partition for tp in self._app.consumer.assignment() if tp.topic == topics.HITS}
            if assigned and not self._said_ready:
                say_ready()
                self._said_ready = True
                Watch(self._settings, self._watched).start()
            for partition in self._tallies.keys() - assigned:
                del self._tallies[partition]
            for partition in assigned:
                tally = await self._tally(partition)
                self._measure(partition, tally)
                with timed("tell"):
                    rows = tally.tell()
                for value in packed.values(rows):
                    self._outlet.send(topics.MINUTES, partition, value)
                await self._outlet.sent().wait()
                tally.told()

    async def _arrived(self) -> None:
        """Wait until what was sent last is in Kafka."""
        if self._on_their_way is not None:
            await self._on_their_way

    async def _apply(self, message: Message, batch: Batch, dead: list[Dead]) -> None:
        """Count a message in, unless it has been, and send what came of it."""
        partition = message.partition
        tally = await self._tally(partition)
        if batch.offset > tally.head.offset + 1:
            # Another worker had the partition meanwhile: its facts say how far it came.
            del self._tallies[partition]
            tally = await self._tally(partition)
        if batch.offset <= tally.head.offset:
            return
        if batch.offset > tally.head.offset + 1:
            raise RuntimeError(
                f"{topics.HITS}/{partition}: after offset {tally.head.offset} came {batch.offset};"
                " the hits between are gone from Kafka and can't be counted from it"
            )
        self._stop_if_poisoned(len(batch) + len(dead), len(dead))
        with timed("count"):
            applied = tally.apply(batch)
        metrics.STREAMS_BATCH.observe(applied.hits)
        metrics.STREAMS_HITS.inc(applied.hits)
        metrics.STREAMS_DUPLICATES.inc(applied.duplicates)
        metrics.STREAMS_LATE.inc(applied.late)
        with timed("send"):
            headers = [(HEAD, msgspec.json.encode(tally.head)), (COUNTED_BY, self._counted_by)]
            headers += [(RESTORED, message.restored)] if message.restored else []
            for head, corrections in applied.ahead:
                self._outlet.send(topics.FACTS, partition, corrections, [(HEAD, msgspec.json.encode(head))])
            self._outlet.send(topics.FACTS, partition, applied.facts, headers)
            if dead:
                log.warning("%d lines can't be read as hits; they are in %s", len(dead), topics.DEAD)
                for value in packed.values(dead):
                    self._outlet.send(topics.DEAD, partition, value)

    def _watched(self) -> list[int] | None:
        """The partitions that must not stand still, as :class:`Watch` asks for them."""
        return None if self._restoring else [*self._tallies]

    def _stop_if_poisoned(self, lines: int, dead: int) -> None:
        try:
            self._poison.note(lines, dead)
        except Poisoned as poisoned:
            _end(str(poisoned))

    def _measure(self, partition: int, tally: Tally) -> None:
        end = self._app.consumer.highwater(TP(topics.HITS, partition))
        metrics.STREAMS_LAG.labels(partition).set(max((end or 0) - tally.head.offset - 1, 0))
        metrics.STREAMS_WATERMARK_AGE.labels(partition).set(time.time() - tally.head.watermark / 1000)
        metrics.STREAMS_STATE.labels(partition).set(len(tally))

    async def _tally(self, partition: int) -> Tally:
        tally = self._tallies.get(partition)
        if tally is None:
            self._restoring = True
            try:
                with timed("restore"):
                    tally = await asyncio.to_thread(restore, self._settings, self._enricher, partition)
            except Refused as refused:
                _end(str(refused))
            self._restoring = False
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


def _end(why: str) -> NoReturn:
    """End the process, with this one line: nothing is held that the facts don't hold."""
    log.critical("%s", why)
    os._exit(1)


def _message(message: Any) -> Message:
    """One of Faust's messages."""
    headers, timestamp_ms = dict(message.headers or ()), round(message.timestamp * 1000)
    return Message.of(message.partition, message.offset, timestamp_ms, headers, message.value or b"")


async def _acknowledge(events: list[Any], sent: Sent) -> None:
    """Acknowledge messages once what was sent of them is in Kafka."""
    await sent.wait()
    for event in events:
        event.ack()
