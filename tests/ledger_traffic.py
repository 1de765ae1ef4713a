"""Three data sets of an ad network's weeks: people who come back, bots, redelivery, late hits, changes of clocks.

Told through the streams tier's own tally, as a worker does, so that facts and rows are what streams tell.
"""

import json
import os
import random
import zlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from ipaddress import ip_address
from itertools import groupby, islice

import msgspec
import recount
from books import Terms
from processes import BROWSER

from pixeltally.identity import hit_id, visitor_key, visitor_number
from pixeltally.settings import Settings
from streams.batch import Message, parse
from streams.enrich import Enricher
from streams.tally import Head, Rules, Tally

#: 100,000 in the long form.
HITS = int(os.environ.get("PIXELTALLY_TEST_HITS", "2000"))

RULES = Rules(duplicate_window_ms=60_000, attribution_window_ms=1_800_000, lateness_ms=60_000)
PARTITIONS = 3
AGENTS = {
    "curl/8.5.0": "non-browser",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": "bot",
}
KEY = visitor_key(b"of the tests")


@dataclass(frozen=True)
class DataSet:
    """Whose weeks, and what was agreed on, in the order that it was."""

    advertiser: str
    first: date
    days: int
    addresses: str  #: the first
    terms: list[Terms]


def sessions(data: DataSet, rolls: random.Random):
    """Hits without a place in a spool, each with when it is shipped."""
    start = int(datetime.combine(data.first, datetime.min.time(), UTC).timestamp() * 1000)
    people = max(HITS // 6, 40)
    while True:
        who = min(rolls.randrange(people), rolls.randrange(people))
        address = str(ip_address(data.addresses) + who)
        # Nobody asked not to be known; subscribers are told by their name.
        visitor = 0 if who % 31 == 7 else visitor_number(KEY, f"s:s{who}" if who % 5 == 0 else address)
        agent = rolls.choice([BROWSER] * 12 + list(AGENTS))
        unit = {
            "advertiser": data.advertiser,
            "campaign": rolls.choice(["spring", "spring", "mail", "free"]),
            "creative": rolls.choice(["banner", "video"]),
            "placement": rolls.choice(["blog", "news"]),
        }
        known = {"visitor": visitor, "ip": address, "user_agent": agent}
        known |= {"subscriber": f"s{who}"} if who % 5 == 0 and visitor else {}
        at = start + rolls.randrange(data.days * 86_400_000)
        late = rolls.randrange(2 * 86_400_000) if rolls.random() < 0.05 else 0

        def hit(kind, after_ms, at=at, late=late, base=unit | known, **values):
            return at + after_ms + late, base | {"ts": at + after_ms, "kind": kind} | values

        image = rolls.choice(["impression", "impression", "view", "open"])
        yield hit(image, 0, **({"purpose": "prefetch"} if rolls.random() < 0.05 else {}))
        for after_ms in rolls.sample([1_000, 30_000, 59_999, 60_000, 200_000], rolls.randrange(3)):
            yield hit(image, after_ms)
        if rolls.random() < 0.3:
            after_ms = rolls.choice([50, 4_000, 900_000])
            click = hit("click", after_ms)
            yield click
            if rolls.random() < 0.5:
                order = {"order": f"o{rolls.randrange(HITS // 10)}", "value": str(rolls.randrange(10**6) / 10_000)}
                money = {"currency": rolls.choice(["EUR", "EUR", "JPY"])}
                page = {"creative": "", "placement": ""}
                named = {"named": click[1]} if rolls.random() < 0.5 else {}
                yield hit("conversion", after_ms + 20_000, **page, **order, **money, **named)


def messages(data: DataSet):
    """{partition: [(arrived, [hit])]} as the topic of hits holds them, with hits that were shipped twice."""
    rolls = random.Random(data.advertiser)
    hits = sorted(islice(sessions(data, rolls), HITS), key=lambda each: each[0])
    for seq, (_, hit) in enumerate(hits):
        hit |= {"node": "ab"[seq % 2], "seq": seq}
        hit["id"] = hit_id(hit["ts"], hit["node"], seq)
    for _, hit in hits:
        if (click := hit.pop("named", None)) is not None:
            hit["click_id"] = click["id"]
    topic: dict[int, list] = {partition: [] for partition in range(PARTITIONS)}
    for start in range(0, len(hits), 40):
        shipped = hits[start : start + 40]
        arrived = shipped[-1][0]
        for partition, group in groupby(sorted(shipped, key=_partition), _partition):
            again = topic[partition][-1][1][:2] if topic[partition] and rolls.random() < 0.2 else []
            topic[partition].append((arrived, [*again, *(hit for _, hit in group)]))
    return topic


def told(topic):
    """What streams tell of it: (lines of facts, lines of minute rows), some of both twice."""
    enricher, facts, rows = Enricher(Settings.from_env({})), [], []
    for partition, messages in topic.items():
        tally = Tally(partition, RULES, enricher, Head(-1, 0, 0))
        for offset, (arrived, hits) in enumerate(messages):
            value = b"\n".join(json.dumps(hit).encode() for hit in hits)
            [(batch, dead)] = parse(enricher, [Message(partition, offset, arrived, value)])
            assert not dead
            facts.append(tally.apply(batch).facts)
            if offset % 7 == 0 or offset == len(messages) - 1:
                rows += [msgspec.json.encode(row) for row in tally.tell()]
                tally.told()
    return [*facts, *facts[::9]], [*rows, *rows[::9]]


def facts(topic):
    """The same by the recount: each hit with its verdict, as a dict."""
    found = []
    for messages in topic.values():
        judged = recount.judge(
            messages, RULES.duplicate_window_ms, RULES.attribution_window_ms, RULES.memory_ms, rule=_verdict
        )
        for hit, verdict, duplicate, leader in judged.values():
            follows = {"click_id": hit.get("click_id") or leader} if hit["kind"] == "conversion" else {}
            found.append(hit | follows | {"verdict": verdict, "duplicate": duplicate})
    return found


def _verdict(hit):
    return "prefetch" if "purpose" in hit else AGENTS.get(hit["user_agent"], "valid")


def _partition(shipped):
    _, hit = shipped
    return zlib.crc32(f"{hit['campaign']}|{hit['visitor']}".encode()) % PARTITIONS
