"""Poison in `pixeltally.hits`: each line that is none goes to the dead letters, and the good lines beside it count."""

import uuid
from datetime import UTC, datetime

from confluent_kafka import Consumer as KafkaConsumer
from confluent_kafka import Producer, TopicPartition
from hits import encoded
from processes import wait_until

from pixeltally import topics
from pixeltally.reasons import REASONS

PARTITION = 2


def at(year):
    return round(datetime(year, 1, 2, tzinfo=UTC).timestamp() * 1000)


def poison(**changed):
    # A node of its own, since streams drop what is not above the highest number of a node.
    return encoded(1, **{"node": f"poison-{uuid.uuid4()}"} | changed)


def poisons():
    """(what it is, line) of lines that are no hits."""
    return [
        ("not UTF-8", poison(referer="@").replace(b"@", b"\xff\xfe\xc3")),
        ("not JSON", b"GET / HTTP/1.1"),
        ("a torn line", poison()[:-20]),
        ("no object", b'["impression"]'),
        ("a number", b"7"),
        ("null", b"null"),
        ("empty object", b"{}"),
        ("text for time", poison(ts="now")),
        ("fraction for time", poison(ts=1.5)),
        ("no time", poison(ts=None)),
        ("unknown kind", poison(kind="melt")),
        ("number for a name", poison(advertiser=7)),
        ("number for a visitor's text", poison(visitor="7")),
        ("visitor beyond 64 bits", poison(visitor=1 << 64)),
        ("negative visitor", poison(visitor=-1)),
        ("negative place", poison(seq=-1)),
        ("place beyond 64 bits", poison(seq=1 << 64)),
        ("params no object", poison(params=[1])),
        ("a value that is no decimal", poison(kind="conversion", value="1e9")),
        ("no id", poison(id="7")),
        ("no address", poison(ip="nowhere")),
        ("a click id that is none", poison(kind="conversion", click_id="7")),
        ("before 1970", poison(ts=-86_400_000)),
        ("in 1970", poison(ts=at(1970))),
        ("in 2200", poison(ts=at(2200))),
        ("in the year 292278994", poison(ts=(1 << 63) - 1)),
        ("beyond 64 bits of time", poison(ts=1 << 70)),
        ("names of no ad unit", poison(advertiser="Über/uns")),
        ("deep", b"[" * 200_000 + b"]" * 200_000),
        ("5 MB of one field", poison(user_agent="x" * 5_000_000)),
        ("5 MB of nothing", b"x" * 5_000_000),
    ]


def test_poison_goes_to_the_dead_letters_and_the_good_lines_beside_it_count(counting):
    servers = f"127.0.0.1:{counting.ports['KAFKA']}"
    producer = Producer({"bootstrap.servers": servers, "message.max.bytes": topics.MAX_MESSAGE_BYTES})
    reader = KafkaConsumer({"bootstrap.servers": servers, "group.id": "poisoner"})
    first = reader.get_watermark_offsets(TopicPartition(topics.HITS, PARTITION), timeout=10)[1]
    reader.close()

    def dead():
        rows = counting.query("SELECT origin, reason, line FROM dead_letters FINAL WHERE origin LIKE 'pixeltally%'")
        return {origin: (reason, line) for origin, reason, line in rows}

    before = dead().keys()
    expected = {}
    for number, (what, line) in enumerate(poisons()):
        good = [encoded(10 + 2 * number), encoded(11 + 2 * number)]
        producer.produce(topics.HITS, b"\n".join([good[0], line, good[1]]), partition=PARTITION)
        expected[f"{topics.HITS}/{PARTITION}@{first + number}#1"] = (what, line)
    assert producer.flush(30) == 0
    good = 2 * len(expected)

    def counted():
        return counting.query("SELECT count(), uniqExact(visitor) FROM impressions WHERE advertiser = 'poisoned'")[0]

    wait_until(lambda: counted()[1] >= good, "the good lines counted", 30)
    try:
        wait_until(lambda: set(expected) <= set(dead()), "each poison among the dead", 5)
    except AssertionError:
        missing = [what for origin, (what, _) in expected.items() if origin not in dead()]
        raise AssertionError(f"not among the dead: {missing}") from None
    letters = dead()
    for origin, (what, line) in expected.items():
        reason, kept = letters[origin]
        assert reason in REASONS, what
        assert kept, what
        assert line.decode("utf-8", "replace").startswith(kept[:1000]), what
    assert counted() == (good, good)
    told = "SELECT sum(gross), sum(uniques) FROM minutes WHERE advertiser = 'poisoned'"
    wait_until(lambda: counting.query(told)[0][0] >= good, "their minutes", 10)
    assert counting.query(told)[0] == (good, good)
    assert [origin for origin in letters.keys() - before if not origin.startswith(topics.HITS)] == []
