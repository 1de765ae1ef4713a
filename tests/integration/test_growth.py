"""`pixeltally.hits` gets more partitions, by Kafka's own tools: counts stay exact, and wrong growths are refused."""

import json
import random
import time
import uuid
from collections import defaultdict
from decimal import Decimal

import recount
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions
from processes import BROWSER, tier, wait_until
from topic_lines import consume, partitions

from pixeltally import topics
from pixeltally.partition import key
from pixeltally.partition import partitions as partitions_of
from pixeltally.settings import Settings

DUPLICATE_MS, ATTRIBUTION_MS = 2_000, 60_000
WINDOWS = {"PIXELTALLY_DUPLICATE_WINDOW_S": "2", "PIXELTALLY_ATTRIBUTION_WINDOW_S": "60"}


class Crowd:
    """Visitors who come back, from two nodes."""

    def __init__(self, servers):
        self._draw = random.Random(7)
        self._servers = servers
        self._seq = 0

    def come(self, hits, count):
        """So many hits, in messages of up to five, to their partitions of `count`."""
        producer = Producer({"bootstrap.servers": self._servers})
        for _ in range(hits // 5):
            waiting = defaultdict(list)
            for _ in range(5):
                hit = self._hit()
                (place,) = partitions_of([key("acme", hit["campaign"], hit["visitor"])], count)
                waiting[place].append(hit)
            for place, lines in waiting.items():
                value = b"\n".join(json.dumps(line).encode() for line in lines)
                producer.produce(topics.HITS, value, partition=place)
        assert producer.flush(30) == 0

    def _hit(self):
        self._seq += 1
        kind = self._draw.choice(("impression",) * 5 + ("click",))
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_OID, str(self._seq))),
            "ts": time.time_ns() // 1_000_000 - (3_000 if kind == "impression" and self._seq % 4 == 0 else 0),
            "kind": kind,
            "advertiser": "acme",
            "campaign": self._draw.choice(("spring", "summer")),
            "creative": "banner",
            "visitor": self._draw.randint(1, 40),
            "node": f"node-{self._seq % 2}",
            "seq": self._seq,
            "ip": "91.0.0.1",
            "user_agent": BROWSER,
        }


def grow(servers, count, names=topics.ALL):
    admin = AdminClient({"bootstrap.servers": servers})
    for grown in admin.create_partitions([NewPartitions(name, count) for name in names]).values():
        grown.result()


def facts(servers):
    """The facts, of each the one with the highest version."""
    found = {}
    for fact in consume(servers, topics.FACTS):
        if fact["id"] not in found or found[fact["id"]]["version"] <= fact["version"]:
            found[fact["id"]] = fact
    return found


def test_counts_stay_exact_where_partitions_are_tripled(tmp_path, durable, start_broker):
    servers = start_broker(tmp_path / "kafka")[1]
    environ = {"PIXELTALLY_KAFKA": servers, "PIXELTALLY_PARTITIONS": "2", **WINDOWS}
    assert topics.ensure(Settings.from_env(environ)) == 2
    crowd, worker = Crowd(servers), tier("streams", tmp_path, **environ)
    try:
        crowd.come(400, 2)
        wait_until(lambda: len(facts(servers)) == 400, "all counted before", 60)
        worker.kill()
        worker.communicate()
        crowd.come(100, 2)  # nobody counts these before there are more partitions
        grow(servers, 6, names=[topics.HITS])
        worker = tier("streams", tmp_path, **environ)
        assert worker.wait(60) == 1
        assert "pixeltally.facts has fewer partitions than pixeltally.hits" in worker.communicate()[1]
        grow(servers, 6, names=[topics.FACTS, topics.MINUTES, topics.DEAD])
        crowd.come(400, 6)
        worker = tier("streams", tmp_path, **environ)
        wait_until(lambda: len(facts(servers)) == 900, "all counted after", 60)
        expect_exactly(servers)
    finally:
        worker.kill()
        worker.communicate()


def expect_exactly(servers):
    # Of one partition many came in the same millisecond: they stay in order.
    messages = [message for each in partitions(servers, topics.HITS) for message in each]
    messages.sort(key=lambda message: message[0])
    expected = recount.judge(
        [(arrived, recount.lines(value)) for arrived, value in messages], DUPLICATE_MS, ATTRIBUTION_MS, ATTRIBUTION_MS
    )
    judged = {
        id: (fact["verdict"], fact.get("duplicate", False), fact.get("impression_id", ""))
        for id, fact in facts(servers).items()
    }
    assert judged == {id: tuple(rest) for id, (_, *rest) in expected.items()}
    assert any(duplicate for _, duplicate, _ in judged.values())
    wanted = recount.minutes(expected)
    wait_until(lambda: counted(servers).keys() == wanted.keys(), "all minutes", 20)
    wait_until(lambda: sum(row["gross"] for row in counted(servers).values()) >= 700, "all their hits", 20)
    late = {place for place, row in counted(servers).items() if row["late"]}
    found = {place: {name: row[name] for name in wanted[place]} for place, row in counted(servers).items()}
    assert {place: row for place, row in found.items() if place not in late} == {
        place: row for place, row in wanted.items() if place not in late
    }


def counted(servers):
    """What the rows say of each minute and ad unit, each partition's newest added up; `late` where any says so."""
    newest = {}
    for row in consume(servers, topics.MINUTES):
        place = row["minute"], tuple(row[name] for name in ("advertiser", "campaign", "creative", "placement"))
        each = place, row["partition"], row["late"]
        if each not in newest or newest[each]["version"] <= row["version"]:
            newest[each] = row
    result = defaultdict(lambda: defaultdict(Decimal))
    for (place, _, _), row in newest.items():
        for name, value in row.items():
            if isinstance(value, int) or name == "revenue":
                result[place][name] += Decimal(value)
    return result
