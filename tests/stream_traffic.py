"""Hits as several ingest nodes ship them, with all that goes wrong on the way; for tests that write into the topic.

Event time runs ahead of the run's own, from `MINUTES` ago up to now, so that minutes close while the test runs.
"""

import json
import random
import time
import uuid
from collections import deque

from processes import BROWSER

from pixeltally.partition import key, partitions

MINUTES = 12
CHUNK_HITS = 400
VISITORS = 3000
CAMPAIGNS = ("spring", "summer", "autumn")

#: Each node's hits are so much older than the newest. The last one ships an outage's backlog, of few ad units: the
#: others' minutes get no late hits, and stand as the windows counted them.
BEHIND_MS = {"node-a": 0, "node-b": 1_500, "node-c": 240_000}
PROGRAM = "curl/8.5.0"


def rule(hit):
    """What the verdict of one of these hits is, by itself."""
    return "non-browser" if hit["user_agent"] == PROGRAM else "valid"


class Traffic:
    """`hits` hits, chunk by chunk: what one node ships at a time, as messages [(partition, value)]."""

    def __init__(self, seed, hits, partition_count):
        self._draw = random.Random(seed)
        self._count = partition_count
        self.hits = hits
        self.sent = 0  #: hits so far, those that were shipped again not counted
        self._began_ms = time.time_ns() // 1_000_000 - MINUTES * 60_000
        self._shipped = {node: deque(maxlen=3 * CHUNK_HITS) for node in BEHIND_MS}
        self._seq = dict.fromkeys(BEHIND_MS, 0)
        self._seen = deque(maxlen=5000)
        self._clicked = deque(maxlen=500)

    def chunks(self):
        backlog = []
        while self.sent < self.hits:
            node = self._draw.choices(list(BEHIND_MS), (6, 3, 1))[0]
            fresh = [self._hit(node) for _ in range(min(CHUNK_HITS, self.hits - self.sent))]
            if node == "node-c":  # what is clicked meanwhile, comes after its click
                backlog, fresh = fresh, backlog
            shipped = self._shipped[node]
            again = self._draw.randrange(len(shipped)) if shipped and self._draw.random() < 0.08 else 0
            yield self._messages((list(shipped)[-again:] if again else []) + fresh)
            shipped.extend(fresh)
        yield self._messages(backlog)

    def _messages(self, hits):
        keys = [key(hit["advertiser"], hit["campaign"], hit["visitor"]) for hit in hits]
        found = {}
        for hit, partition in zip(hits, partitions(keys, self._count), strict=True):
            told = {name: value for name, value in hit.items() if value != ""}
            found.setdefault(partition, []).append(json.dumps(told, separators=(",", ":")))
        return [(partition, "\n".join(lines).encode()) for partition, lines in found.items()]

    def _hit(self, node):
        draw = self._draw
        self.sent += 1
        self._seq[node] += 1
        span_ms = MINUTES * 60_000
        ts = self._began_ms + span_ms * self.sent // self.hits - BEHIND_MS[node] - draw.randrange(300)
        if draw.random() < 0.002:
            ts = time.time_ns() // 1_000_000 + draw.choice((20_000, 50_000, 3_600_000))  # a clock that runs ahead
        hit = {
            "id": str(uuid.UUID(int=draw.getrandbits(128), version=4)),
            "ts": ts,
            "kind": draw.choices(("impression", "open", "view"), (90, 5, 5))[0],
            "advertiser": "acme",
            "campaign": "autumn" if node == "node-c" else draw.choice(CAMPAIGNS),
            "visitor": self._visitor(),
            "node": node,
            "seq": self._seq[node],
            "creative": f"banner-{draw.randrange(3 if node == 'node-c' else 12)}",
            "placement": draw.choice(("", "blog")),
            "ip": f"91.0.{draw.randrange(256)}.{draw.randrange(256)}",  # people's, by every list
            "user_agent": PROGRAM if draw.random() < 0.03 else BROWSER,
            "referer": "https://news.example/",
        }
        chance = 1 if node == "node-c" else draw.random()
        if chance < 0.03 and self._seen:
            self._follow(hit, draw.choice(self._seen))
        elif chance < 0.04 and self._clicked:
            self._convert(hit, draw.choice(self._clicked))
        elif chance < 0.12 and self._seen:
            hit |= _place(draw.choice(self._seen))  # seen again
        else:
            self._seen.append(hit)
        return hit

    def _visitor(self):
        """The lower the likelier, and up to 64 bits; 0 is nobody."""
        if self._draw.random() < 0.02:
            return 0
        return int(VISITORS * self._draw.random() ** 3) * 6_148_914_691_236_517 + 1

    def _follow(self, hit, seen):
        """Make it a click on what was seen, by whichever node."""
        hit |= {"kind": "click"} | _place(seen)
        if self._draw.random() < 0.2:
            hit["ts"] = seen["ts"] + self._draw.choice((0, 1, 59_999, 60_000, 60_001))
        self._clicked.append(hit)

    def _convert(self, hit, click):
        """Make it a conversion after a click, which it names or not; an order may be told twice."""
        named = self._draw.random() < 0.5
        hit |= {
            "kind": "conversion",
            "campaign": click["campaign"],
            "visitor": click["visitor"],
            "creative": "",
            "placement": "",
            "order": self._draw.choice(("", f"order-{self._draw.randrange(2000)}")),
            "value": self._draw.choice(("", "0.1", "12.3456", "99999999.99")),
            "currency": "EUR",
            "click_id": click["id"] if named else "",
        }


def _place(hit):
    """Which ad unit, and who."""
    return {name: hit[name] for name in ("advertiser", "campaign", "creative", "placement", "visitor")}
