"""The sink writes what Kafka holds into ClickHouse: each row once, the bad ones buried, nothing lost meanwhile."""

import json
import threading
import time
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from confluent_kafka import Consumer, Producer
from facts import client, fact, insert, make_tables
from processes import StartBroker, start_clickhouse, tier, wait_until

from pixeltally import topics
from pixeltally.database import connect
from pixeltally.settings import Settings
from sinks.sink import TABLES, Sink


@pytest.fixture
def kafka(start_broker: StartBroker, tmp_path_factory):
    servers = start_broker(tmp_path_factory.mktemp("kafka"))[1]
    topics.ensure(Settings.from_env({"PIXELTALLY_KAFKA": servers}))
    return servers


def produce(servers, topic, *values, partition=0):
    producer = Producer({"bootstrap.servers": servers})
    for value in values:
        producer.produce(topic, value, partition=partition)
    assert producer.flush(30) == 0


def lines(rows):
    return "\n".join(map(json.dumps, rows)).encode()


def test_redelivered_rows_count_once_and_a_bad_line_is_buried(kafka, tmp_path):
    now = time.time_ns() // 1_000_000
    facts = [fact(now + number, visitor=number % 7) for number in range(50)]
    bad = {**fact(now), "id": "no uuid"}
    with start_clickhouse(tmp_path / "clickhouse") as server:
        sink = tier("sink", tmp_path, PIXELTALLY_KAFKA=kafka, PIXELTALLY_CLICKHOUSE_URL=server.url)
        produce(kafka, topics.FACTS, lines(facts), lines([bad, *facts[:20]]), b"", lines(facts[10:]))
        reader = None

        def ask(sql):
            nonlocal reader
            reader = reader or client(server.url)
            return reader.query(sql).result_rows

        wait_until(lambda: server_has(ask, 50), "fifty impressions")
        wait_until(lambda: ask("SELECT count() FROM dead_letters FINAL") == [(1,)], "the bad line among the dead")
        assert ask("SELECT reason, origin, JSONExtractString(line, 'id') FROM dead_letters FINAL") == [
            ("refused-by-clickhouse", f"{topics.FACTS}/0@1#0", "no uuid")
        ]
        assert ask("SELECT count(), uniqExact(visitor) FROM impressions") == [(50, 7)]
        sink.terminate()
        assert sink.wait(20) == 0
        sink.communicate()


def server_has(ask, count):
    try:
        return ask("SELECT count() FROM impressions") == [(count,)]
    except Exception:
        return False


def has(url, count):
    return server_has(lambda sql: client(url).query(sql).result_rows, count)


def test_clickhouse_away_is_waited_for(kafka, tmp_path):
    now = time.time_ns() // 1_000_000
    with start_clickhouse(tmp_path / "clickhouse") as server:
        sink = tier("sink", tmp_path, PIXELTALLY_KAFKA=kafka, PIXELTALLY_CLICKHOUSE_URL=server.url)
        produce(kafka, topics.FACTS, lines([fact(now)]))
        wait_until(lambda: has(server.url, 1), "the first")
        port = server.port
    produce(kafka, topics.FACTS, *[lines([fact(now + number)]) for number in range(1, 101)])
    time.sleep(2)
    assert sink.poll() is None
    with start_clickhouse(tmp_path / "clickhouse", port) as server:
        wait_until(lambda: has(server.url, 101), "the rest")
        sink.terminate()
        assert sink.wait(20) == 0
        sink.communicate()


def test_kafka_away_is_two_lines_of_the_log(start_broker, tmp_path):
    now = time.time_ns() // 1_000_000
    broker, servers = start_broker(tmp_path / "kafka")
    topics.ensure(Settings.from_env({"PIXELTALLY_KAFKA": servers}))
    with start_clickhouse(tmp_path / "clickhouse") as server:
        sink = tier("sink", tmp_path, PIXELTALLY_KAFKA=servers, PIXELTALLY_CLICKHOUSE_URL=server.url)
        produce(servers, topics.FACTS, lines([fact(now)]))
        wait_until(lambda: has(server.url, 1), "the first")
        broker.terminate()
        broker.communicate(timeout=60)
        time.sleep(8)
        start_broker(tmp_path / "kafka", int(servers.rpartition(":")[2]))
        produce(servers, topics.FACTS, lines([fact(now + 1)]))
        wait_until(lambda: has(server.url, 2), "what came then")
        time.sleep(6)
        sink.terminate()
        assert sink.wait(20) == 0
        said = [line for text in sink.communicate() for line in text.splitlines() if "kafka" in line.lower()]
    assert len(said) < 6, said
    assert sum("is away" in line for line in said) == 1
    assert sum("is back after" in line for line in said) == 1


def test_what_a_rebalance_brings_while_clickhouse_is_away_is_not_passed_over(kafka, tmp_path, monkeypatch):
    monkeypatch.setattr("sinks.sink._RETRY_S", 5.0)  # long enough that a message comes before the next try
    now = time.time_ns() // 1_000_000
    with start_clickhouse(tmp_path) as server:
        make_tables(server.url)
        settings = Settings.from_env({"PIXELTALLY_KAFKA": kafka, "PIXELTALLY_CLICKHOUSE_URL": server.url})
        sink = Sink(settings, connect(settings))
        running = threading.Thread(target=sink.run, daemon=True)
        running.start()
        produce(kafka, topics.FACTS, lines([fact(now)]))
        wait_until(lambda: has(server.url, 1), "the first")
    produce(kafka, topics.FACTS, lines([fact(now + 1)]))
    time.sleep(2)  # that one is in its hands
    for partition in range(1, 4):
        produce(kafka, topics.FACTS, lines([fact(now + 1 + partition)]), partition=partition)
    come_and_go(kafka)
    with start_clickhouse(tmp_path, server.port):
        wait_until(lambda: has(server.url, 5), "all of them")
        sink.stop()
        running.join(30)


def come_and_go(servers):
    """Be another sink for a moment: the first one's partitions are taken away, and given back."""
    other = Consumer({"bootstrap.servers": servers, "group.id": topics.SINK_GROUP, "enable.auto.commit": False})
    other.subscribe(list(TABLES))

    def has_partitions():
        other.poll(0.1)
        return other.assignment()

    wait_until(has_partitions, "partitions for another sink")
    other.close()


@pytest.fixture
def tables(tmp_path):
    with start_clickhouse(tmp_path) as server:
        make_tables(server.url)
        yield server.url


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "Australia/Lord_Howe"])
def test_reach_is_exact_in_every_zone_over_a_change_of_clocks(tables, zone):
    rows = []
    for number in range(2000):
        # Every 13 minutes from mid-October to early November: daylight saving ends in between.
        ts = int(datetime(2026, 10, 20, tzinfo=UTC).timestamp() * 1000) + number * 13 * 60_000
        rows.append(fact(ts, visitor=number * 7919 % 400 + 1, creative=f"c{number % 3}", duplicate=number % 11 == 0))
    insert(tables, "facts_in", rows)
    insert(tables, "facts_in", rows[::3])
    late = {(row["ts"] // 60_000 * 60, row["creative"]) for row in rows}
    insert(
        tables,
        "minute_rows",
        [
            {**{name: rows[0][name] for name in ("advertiser", "campaign", "placement")}, "minute": minute,
             "creative": creative, "partition": 0, "version": 1, "late": True}
            for minute, creative in late
        ],
    )  # fmt: skip
    for period, start in (("day", lambda day: day), ("week", monday), ("month", lambda day: day.replace(day=1))):
        expected = {}
        for row in rows:
            day = datetime.fromtimestamp(row["ts"] / 1000, ZoneInfo(zone)).date()
            seen, valid, repeated = expected.setdefault((start(day), row["creative"]), (set(), [], []))
            seen.add(row["visitor"])
            (repeated if row["duplicate"] else valid).append(row)
        found = client(tables).query(
            "SELECT start, creative, impressions, uniques, duplicates, frequency"
            f" FROM reach(period = '{period}', tz = '{zone}')"
        )
        assert {row[:2]: row[2:] for row in found.result_rows} == {
            place: (len(valid), len(seen), len(repeated), len(valid) / len(seen))
            for place, (seen, valid, repeated) in expected.items()
        }


def monday(day: date) -> date:
    return date.fromordinal(day.toordinal() - day.weekday())
