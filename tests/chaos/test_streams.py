"""Workers of streams may be killed, stand still, come and go, the broker may restart: counts equal the recount."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import contextmanager, suppress

import pytest
import recount
from confluent_kafka import Consumer, Producer, TopicPartition
from facts import client
from processes import start_clickhouse, wait_until
from stream_traffic import Traffic, rule
from topic_lines import partitions

from pixeltally import topics
from pixeltally.settings import Settings

LONG = bool(os.environ.get("PIXELTALLY_CHAOS"))
SEED = int(os.environ.get("PIXELTALLY_CHAOS_SEED", "1"))
HITS = 1_000_000 if LONG else 60_000
KILLS = 10 if LONG else 2
COMINGS = 5 if LONG else 1  #: times that a worker is added, and one removed
STALLS = 3 if LONG else 1
STALLED_S = 9.0  #: longer than the group waits for a member
SECONDS = 240 if LONG else 15
PARTITIONS = 4

#: Short windows: what is remembered is forgotten while the test runs.
WINDOWS = {"PIXELTALLY_DUPLICATE_WINDOW_S": "20", "PIXELTALLY_ATTRIBUTION_WINDOW_S": "60"}
MEMORY_MS = 60_000

COLUMNS = (
    "gross",
    "invalid",
    "duplicates",
    "valid",
    "uniques",
    "clicks",
    "attributed_clicks",
    "conversions",
    "revenue",
)
UNIT = "advertiser, campaign, creative, placement"
NOTHING = "00000000-0000-0000-0000-000000000000"


class Crew:
    """Workers of the streams tier, and the sink. Who ends by itself is started again, as the supervisor does."""

    def __init__(self, count, folder, **environ):
        self._environ = {**os.environ, "PIXELTALLY_DATA": str(folder), **environ}
        self._log = (folder / "streams.log").open("w")
        self._workers = [self._start("streams") for _ in range(count)]
        self._stalled = []  #: (until when, worker)
        self._sink = self._start("sink")

    def _start(self, name):
        command = [sys.executable, "-m", "pixeltally", name]
        return subprocess.Popen(command, env=self._environ, stdout=self._log, stderr=self._log)

    def look_after(self):
        while self._stalled and self._stalled[0][0] < time.monotonic():
            self._stalled.pop(0)[1].send_signal(signal.SIGCONT)
        for place, worker in enumerate(self._workers):
            if worker.poll() is not None:
                if worker.returncode != -signal.SIGKILL:
                    print(f"a worker of streams ended with {worker.returncode}")
                self._workers[place] = self._start("streams")
        assert self._sink.poll() is None, "the sink waits for Kafka, and ends only when it is told to"

    def kill(self, draw):
        draw.choice(self._workers).kill()

    def stall(self, draw):
        """Have one stand still, and go on as if it still had its partitions."""
        worker = draw.choice(self._workers)
        worker.send_signal(signal.SIGSTOP)
        self._stalled.append((time.monotonic() + STALLED_S, worker))

    def add(self, _draw):
        self._workers.append(self._start("streams"))

    def remove(self, draw):
        worker = self._workers.pop(draw.randrange(len(self._workers)))
        worker.send_signal(signal.SIGCONT)
        worker.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            worker.wait(15)  # what the supervisor gives it, too
        worker.kill()
        worker.wait()

    def standing(self):
        """How far they have come, for whoever looks for a fault."""
        servers = self._environ["PIXELTALLY_KAFKA"]
        found = [f"alive: {[worker.poll() is None for worker in self._workers]}"]
        for topic, group in ((topics.HITS, "pixeltally-streams"), (topics.FACTS, "pixeltally-sink")):
            consumer = Consumer({"bootstrap.servers": servers, "group.id": group})
            places = consumer.committed([TopicPartition(topic, each) for each in range(PARTITIONS)], timeout=10)
            ends = [consumer.get_watermark_offsets(place, timeout=10)[1] for place in places]
            found.append(f"{topic} ends at {ends}, {group} has committed {[place.offset for place in places]}")
            consumer.close()
        return "; ".join(found)

    def end(self):
        for each in (*self._workers, self._sink):
            each.kill()
            each.wait()
        self._log.close()


@contextmanager
def crew(count, folder, **environ):
    workers = Crew(count, folder, **environ)
    try:
        yield workers
    finally:
        workers.end()


@pytest.mark.timeout(1500 if LONG else 180)
def test_counts_equal_the_recount_through_kills_rebalances_and_a_broker_restart(tmp_path, durable, start_broker):
    draw = random.Random(SEED)
    folder = tmp_path / "kafka"
    broker, servers = start_broker(folder)
    assert topics.ensure(Settings.from_env({"PIXELTALLY_KAFKA": servers})) == PARTITIONS

    def restart_broker(_draw):
        broker.terminate()
        broker.communicate(timeout=60)
        start_broker(folder, int(servers.rpartition(":")[2]))

    with start_clickhouse(tmp_path / "clickhouse") as clickhouse:
        environ = {"PIXELTALLY_KAFKA": servers, "PIXELTALLY_CLICKHOUSE_URL": clickhouse.url, **WINDOWS}
        with crew(2, tmp_path, **environ) as workers:
            events = [workers.kill] * KILLS + [workers.stall] * STALLS + [restart_broker]
            draw.shuffle(events)
            for _ in range(COMINGS):  # one comes, some time later one goes
                first, second = sorted(draw.sample(range(len(events) + 2), 2))
                events.insert(first, workers.add)
                events.insert(second, workers.remove)
            produce(servers, Traffic(SEED, HITS, PARTITIONS), workers, events, draw)
            expect_exactly(clickhouse.url, workers, oracle(servers))


def produce(servers, traffic, workers, events, draw):
    """Write all hits within `SECONDS`, and have the events happen meanwhile, evenly."""
    producer = Producer({"bootstrap.servers": servers, "enable.idempotence": True, "log_level": 0})
    due = [(number + 1) / (len(events) + 1) for number in range(len(events))]
    began = time.monotonic()
    for chunk in traffic.chunks():
        for partition, value in chunk:
            producer.produce(topics.HITS, value, partition=partition)
        producer.poll(0)
        share = traffic.sent / traffic.hits
        time.sleep(max(0.0, began + share * SECONDS - time.monotonic()))
        workers.look_after()
        if events and share > due[len(due) - len(events)]:
            event = events.pop(0)
            event(draw)
            print(f"{time.monotonic() - began:6.1f} s, {traffic.sent:,} hits: {event.__name__}")
    assert not events
    assert producer.flush(60) == 0


def oracle(servers):
    """The naive recount of all that stands in the topic: facts by id, and minutes."""
    facts, minutes = {}, defaultdict(lambda: dict.fromkeys(COLUMNS, 0))
    windows_ms = [int(seconds) * 1000 for seconds in WINDOWS.values()]
    for messages in partitions(servers, topics.HITS):
        hits = [(arrived, recount.lines(value)) for arrived, value in messages]
        found = recount.judge(hits, *windows_ms, MEMORY_MS, rule=rule)
        facts.update(found)
        for place, row in recount.minutes(found).items():
            for name in COLUMNS:  # a partition holds whole visitors
                minutes[place][name] += row[name]
    return facts, dict(minutes)


def expect_exactly(url, workers, expected):
    """All of it is in the views, soon, and stays so."""
    facts, minutes = expected
    ask = client(url)

    def all_there():
        workers.look_after()
        with suppress(Exception):
            return ask.query("SELECT uniqExact(id) FROM facts").result_rows == [(len(facts),)]

    try:
        wait_until(all_there, f"{len(facts)} facts in ClickHouse", 300 if LONG else 90)
    except AssertionError as late:
        raise AssertionError(f"{late}; {workers.standing()}") from None
    with suppress(AssertionError):
        wait_until(lambda: counted(ask) == minutes, "the minutes of the recount", 30)
    time.sleep(2)
    images = {id: rest for id, (hit, *rest) in facts.items() if hit["kind"] in recount.IMAGES}
    clicks = {id: rest for id, (hit, *rest) in facts.items() if hit["kind"] == "click"}
    same(
        judged(ask, "impressions", "''"),
        {id: [verdict, duplicate, ""] for id, (verdict, duplicate, _) in images.items()},
    )
    same(judged(ask, "clicks", "toString(impression_id)"), clicks)
    same(counted(ask), minutes)
    [(late,)] = ask.query(f"SELECT uniqExact((minute, {UNIT})) FROM minute_rows WHERE late").result_rows
    assert 0 < late < len(minutes) / 2, "some minutes are recounted from facts, most are as the windows counted"
    sums = ", ".join(f"{sum(row[name] for row in minutes.values()):,} {name}" for name in COLUMNS)
    print(f"equal to the recount: {len(images):,} impressions, {len(clicks):,} clicks")
    print(f"and {len(minutes):,} minutes ({late:,} late): {sums}")


def judged(ask, view, impression):
    rows = ask.query(f"SELECT toString(id), verdict, duplicate, {impression} FROM {view}").result_rows
    found = {id: [verdict, duplicate, "" if seen == NOTHING else seen] for id, verdict, duplicate, seen in rows}
    assert len(found) == len(rows), f"{view} has a row twice"
    return found


def counted(ask):
    rows = ask.query(f"SELECT toUnixTimestamp(minute), {UNIT}, {', '.join(COLUMNS)} FROM minutes").result_rows
    return {(minute, tuple(rest[:4])): dict(zip(COLUMNS, rest[4:], strict=True)) for minute, *rest in rows}


def same(found, expected):
    """Equal; else the first differences and how many there are."""
    wrong = {each for each in found.keys() | expected.keys() if found.get(each) != expected.get(each)}
    shown = [f"{each}: {found.get(each)} instead of {expected.get(each)}" for each in sorted(wrong, key=str)[:10]]
    assert not wrong, "\n".join([f"{len(wrong)} of {len(expected)} differ", *shown])
