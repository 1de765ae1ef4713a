"""Recounts a range of minutes stage by stage, from sources that don't know of each other, and says where they differ.

answered (counted by whoever answered) → spooled (the segments' lines, counted by whoever closed them) → in Kafka (its
topic read again) → facts (ClickHouse) → windows (counted by streams in memory) → reach (sets kept beside the facts).
Only what is settled is judged: whose segment is closed, and which all stages have passed.
"""

import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from clickhouse_connect.driver.client import Client

from pixeltally import topics
from pixeltally.arrival import PATIENCE_S, Group, settle
from pixeltally.errors import Refused
from pixeltally.settings import Settings
from sinks import kafka_recount, stages
from sinks.stages import SLICE_S, WINDOW, Span

MINUTE_S = 60

#: What is younger is not judged yet.
YOUNGEST_S = 60

#: A segment is closed within minutes. One that nobody has closed for so long is not waited for: it differs.
OVERDUE_S = 3600

#: Streams tell the rows of minutes once a second.
_TELL_S = 3.0

#: What differs may still be on its way: it is looked at so often, with so long a pause.
_LOOKS, _LOOK_AGAIN_S = 3, 3.0

Place = tuple[int, str, str, str, str]  #: minute or slice (epoch seconds), ad unit


@dataclass(frozen=True)
class Difference:
    """Where two stages differ."""

    minute: int  #: its start, epoch seconds; of `reach`, that of a quarter of an hour
    where: str  #: the ad unit; of `answered` and `spooled`, which know none, the node
    what: str
    one: str
    other: str
    counts: tuple[Any, Any]

    @property
    def size(self) -> int:
        """How many hits, or visitors, it is about."""
        return max(1, int(abs(self.counts[0] - self.counts[1])))


@dataclass
class Reconciliation:
    """What was found."""

    span: Span  #: what was judged
    asked_to: int  #: the end that was asked for, epoch seconds
    counts: dict[str, int | None] = field(default_factory=dict)  #: as the table `reconciliations` has them
    unaccounted: int = 0  #: facts of nodes that were not accounted for yet when they were counted
    differences: list[Difference] = field(default_factory=list)

    @property
    def difference(self) -> int:
        """By how many the stages differ in all."""
        return sum(each.size for each in self.differences)


def reconcile(settings: Settings, client: Client, start: int, end: int | None) -> Reconciliation:
    """Judge the minutes from `start` up to `end` (epoch seconds; None: up to what is settled) of which facts are kept.

    Raises :class:`Refused` where the tiers don't come to rest, and KafkaException.
    """
    settled = settled_to(settings, client, start)
    start = max(start, _kept_from(client))
    span = Span(start, max(start, min(end or settled, settled)))
    for _ in range(_LOOKS):
        found = judge(settings, client, span, end or settled)
        if not found.difference:
            break
        time.sleep(_LOOK_AGAIN_S)
    return found


def settled_to(settings: Settings, client: Client, start: int) -> int:
    """Up to which minute all that was answered has gone through all stages, epoch seconds."""
    now = time.time()
    settle(settings)
    time.sleep(_TELL_S)
    _settle_rows(settings)
    span = Span(start, int(now) + OVERDUE_S)
    waiting = [
        oldest for _, _, oldest, newest, _ in stages.rows(client, stages.UNACCOUNTED, span) if newest > now - OVERDUE_S
    ]
    return int(min([now - YOUNGEST_S, *waiting])) // MINUTE_S * MINUTE_S


def _kept_from(client: Client) -> int:
    """The first minute of which the retention has deleted nothing, epoch seconds."""
    [(before,)] = client.query("SELECT toUnixTimestamp(before) FROM horizon").result_rows
    return -(-int(before) // MINUTE_S) * MINUTE_S


def _settle_rows(settings: Settings) -> None:
    """Wait until the rows of minutes and segments that are in Kafka are in ClickHouse."""
    sink = Group(settings, topics.SINK_GROUP)
    ends, until = sink.ends(topics.MINUTES, topics.SEGMENTS), time.monotonic() + PATIENCE_S
    while not sink.has_passed(ends):
        if time.monotonic() > until:
            raise Refused("the sink doesn't keep up with Kafka: see that `pixeltally sink` runs, then run it again.")
        time.sleep(0.2)
    sink.close()


def judge(settings: Settings, client: Client, span: Span, asked_to: int) -> Reconciliation:
    """Judge a range that is settled. Raises KafkaException."""
    found = Reconciliation(span, asked_to)
    _judge_spool(client, found)
    _judge_kafka(settings, client, found)
    _judge_windows(client, found)
    _judge_reach(client, found)
    found.counts["difference"] = found.difference
    return found


def _judge_spool(client: Client, found: Reconciliation) -> None:
    """Answered against spooled, spooled against what became of it."""
    accounts = {row[:2]: row[2:] for row in stages.rows(client, stages.ACCOUNTS, found.span)}
    hits = {row[:2]: row[2] for row in stages.rows(client, stages.SPOOLED_FACTS, found.span)}
    dead = {row[:2]: row[2] for row in stages.rows(client, stages.SPOOLED_DEAD, found.span)}
    erased = int(client.query(stages.ERASED_LETTERS).result_rows[0][0])
    for place in sorted({*accounts, *hits, *dead}, key=lambda place: place[1]):
        node, minute = place
        answered, _, spooled, unanswered = accounts.get(place, (0, 0, 0, 0))
        became = hits.get(place, 0) + dead.get(place, 0)
        # Letters that named a forgotten person were deleted, and nobody knows of which minute they were.
        gone = min(erased, max(spooled - became, 0))
        erased -= gone
        _compare(found, (minute, node), "requests", ("answered", answered), ("spooled", spooled - unanswered))
        _compare(found, (minute, node), "requests", ("spooled", spooled - gone), ("hits and dead letters", became))
    for column, name in enumerate(("answered", "lost", "spooled")):
        found.counts[name] = sum(row[column] for row in accounts.values())
    found.counts["dead"] = sum(dead.values())
    _judge_unaccounted(client, found, {node for node, _ in accounts})


def _judge_unaccounted(client: Client, found: Reconciliation, accounted: set[str]) -> None:
    """Segments that nobody accounted for: of a node that others were accounted of, they differ."""
    for node, segment, oldest, _, count in stages.rows(client, stages.UNACCOUNTED, found.span):
        if node in accounted:
            _compare(found, (oldest, f"{node}, segment {segment}"), "hits", ("spooled", 0), ("facts", count))
        found.unaccounted += count


def _judge_kafka(settings: Settings, client: Client, found: Reconciliation) -> None:
    refused = {row[0] for row in client.query(stages.REFUSED_HITS).result_rows}
    in_kafka = kafka_recount.count(settings, found.span, refused)
    facts = Counter({row[:5]: row[5] for row in stages.rows(client, stages.FACTS, found.span)})
    found.counts["imported"], found.counts["put_back"] = next(stages.rows(client, stages.WITHOUT_SEGMENTS, found.span))
    found.counts["in_kafka"] = None if in_kafka is None else in_kafka.total()
    found.counts["facts"] = facts.total()
    if in_kafka is not None:
        for place in sorted({*in_kafka, *facts}):
            _compare(found, _at(place), "hits", ("in Kafka", in_kafka[place]), ("facts", facts[place]))


def _judge_windows(client: Client, found: Reconciliation) -> None:
    windows = {row[:5]: row[5:] for row in stages.rows(client, stages.WINDOWS, found.span)}
    facts = {row[:5]: row[5:] for row in stages.rows(client, stages.FACTS_AS_WINDOWS, found.span)}
    erased = {row[0] for row in stages.rows(client, stages.ERASED_MINUTES, found.span)}
    none = (0,) * len(WINDOW)
    for place in sorted({*windows, *facts}):
        pairs = zip(WINDOW, windows.get(place, none), facts.get(place, none), strict=True)
        for name, in_window, in_facts in pairs:
            if name != "uniques" or place[0] not in erased:
                _compare(found, _at(place), name, ("windows", in_window), ("facts", in_facts))
    found.counts["facts_gross"] = sum(row[0] for row in facts.values())
    found.counts["windows_gross"] = sum(row[0] for row in windows.values())


def _judge_reach(client: Client, found: Reconciliation) -> None:
    """Quarter hours are judged in the range in which they end."""
    span = Span(found.span.start // SLICE_S * SLICE_S, found.span.end // SLICE_S * SLICE_S)
    sets = {row[:5]: row[5] for row in stages.rows(client, stages.REACH, span)}
    facts = {row[:5]: row[5] for row in stages.rows(client, stages.FACTS_AS_REACH, span)}
    for place in sorted({*sets, *facts}):
        one, other = ("reach", sets.get(place, 0)), ("facts", facts.get(place, 0))
        _compare(found, _at(place), "uniques", one, other)
    found.counts["facts_uniques"], found.counts["reach_uniques"] = sum(facts.values()), sum(sets.values())


def _compare(
    found: Reconciliation, at: tuple[int, str], what: str, one: tuple[str, Any], other: tuple[str, Any]
) -> None:
    if one[1] != other[1]:
        found.differences.append(Difference(*at, what, one[0], other[0], (one[1], other[1])))


def _at(place: Place) -> tuple[int, str]:
    return place[0], "/".join(filter(None, place[1:]))
