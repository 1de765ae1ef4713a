"""Whatever pages are mapped to, import by import, each line is counted once for each ad unit that it was mapped to."""

import time
from collections import Counter, defaultdict
from io import BytesIO

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import combined, log_lines
from ingest.log_batch import Batches
from ingest.log_counted import Counted
from ingest.log_file import Log, parts
from ingest.log_judge import page
from pixeltally.hit import Hit
from pixeltally.settings import Settings
from streams.redelivery import Node

NOW, PARTITIONS = time.time(), 3
STAMP = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(NOW - 60))
CHOSEN = Settings.from_env({"PIXELTALLY_SECRET": "s"})

#: Paths, and maps of some or all of them to two ad units.
PATHS = ("/blog/1", "/blog/2", "/shop/1", "/p/acme/site/pixel.gif")
GLOBS = {"/blog/1": PATHS[:1], "/blog/*": PATHS[:2], "/shop/*": PATHS[2:3], "*": PATHS[:3]}
MAPS = st.lists(st.tuples(st.sampled_from(sorted(GLOBS)), st.sampled_from("ab")), max_size=3)
#: A third of the lines, whose agent is escaped, is judged one by one.
LINES = st.tuples(st.sampled_from(PATHS), st.integers(1, 5), st.sampled_from(["x", "x", "\\x22"]))


class Pipeline:
    """Streams, by their own rule of what was seen, and ClickHouse, which has what they counted."""

    def __init__(self):
        self.seen = defaultdict(lambda: Node([], 0))
        self.facts = []  #: (partition, hit), in the order of their insert

    def count(self, sent):
        self.facts += [(place, hit) for place, hit in sent if self.seen[place, hit.node].is_fresh(hit.seq)]


def send(text, maps, facts):
    """What an import sends that finds these facts: (partition, hit), in the order of each partition."""
    batches = Batches(CHOSEN, [page(f"{glob}=acme/site/{unit}") for glob, unit in maps], NOW, PARTITIONS)
    known = defaultdict(list)
    for place, hit in facts:
        known[hit.node].append((hit.seq, place))
    log, lines, sent, first = Log("log", BytesIO(text)), log_lines.read(text), [], 0
    for end, node in parts(log, known):
        counted = Counted(node, first, end, PARTITIONS)
        for name in filter(counted.owns, known):
            counted.found(name, *np.array(known[name]).T)
        judged = batches.judge(lines.part(first, end), node, first, combined.parse, counted)
        for _, place, value in judged.messages:
            sent += [(place, msgspec.json.decode(line, type=Hit)) for line in value.split(b"\n")]
        first = end
    return sent


def beginning(draw, sent):
    """So much of what was sent as arrived, of each partition its beginning."""
    ends = [draw(st.integers(0, len(sent))) for _ in range(PARTITIONS)]
    met = Counter()
    arrived = []
    for place, hit in sent:
        met[place] += 1
        arrived += [(place, hit)] if met[place] <= ends[place] else []
    return arrived


def wanted(lines, maps):
    """(place, creative) of each line that is a hit."""
    found = set()
    for place, (path, _, _) in enumerate(lines):
        unit = next((unit for glob, unit in maps if path in GLOBS[glob]), None)
        if path.startswith("/p/"):
            found.add((place, "pixel"))
        elif unit:
            found.add((place, unit))
    return found


@settings(max_examples=300, deadline=None)
@given(st.lists(LINES, min_size=1, max_size=25), st.lists(MAPS, min_size=1, max_size=5), st.data())
def test_each_line_counts_once_for_each_ad_unit(lines, runs, data):
    text = [
        f'192.0.2.{who} - - [{STAMP}] "GET {path} HTTP/1.1" 200 1 "-" "{agent}"\n'.encode()
        for path, who, agent in lines
    ]
    pipeline, allowed, end = Pipeline(), set(), 1
    for maps in runs:
        end = data.draw(st.integers(end, len(lines)), "the log has grown to")
        file = b"".join(text[:end])
        before, sent = pipeline.facts[:], send(file, maps, pipeline.facts)
        how = data.draw(st.sampled_from(["whole", "killed", "twice at once"]))
        allowed |= wanted(lines[:end], maps)
        pipeline.count(beginning(data.draw, sent) if how == "killed" else sent)
        if how == "twice at once":
            arrived = beginning(data.draw, pipeline.facts[len(before) :])
            pipeline.count(send(file, maps, before + arrived))
        places = [(hit.seq, hit.creative) for _, hit in pipeline.facts]
        assert len(places) == len(set(places)) == len({hit.id for _, hit in pipeline.facts})
        assert set(places) <= allowed
        if how != "killed":
            assert set(places) >= wanted(lines[:end], maps)
