"""Counts a statement's days again, from the raw lines of the archive, and says where the statement says otherwise."""

import json
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from audit import asking, chain, rulings, totals
from audit.asking import Asked, click_id
from audit.chain import Block
from audit.history import UNREGISTERED, VALID, History, Judged
from audit.store import Store, Twice

REQUESTS, ORDER = "requests/", "order/"

#: Hits whose recount differs that are shown.
SHOWN = 5

Counts = dict[str, Any]


def problems(content: Counts, root: Path) -> Iterator[str]:
    """Where the archive in the folder `root` does not hold what the statement says."""
    if not content["archive"]:
        yield "the archive: the statement names none, so there is nothing to count again"
        return
    try:
        logs = {log["log"]: chain.blocks(root, log) for log in content["archive"]["logs"]}
        for block in (block for blocks in logs.values() for block in blocks):
            block.check()  # before anything is made of it
        with Store() as store:
            recount = Recount(content, store)
            for name, blocks in logs.items():
                if name.startswith(REQUESTS):
                    recount.read(name.removeprefix(REQUESTS), blocks)
            order = [blocks for name, blocks in logs.items() if name.startswith(ORDER)]
            for blocks in order:
                recount.read_bare(blocks)
            recount.rule()
            for blocks in order:
                recount.judge(blocks)
            yield from recount.problems()
    except chain.Broken as broken:
        yield str(broken)
    except Twice as twice:
        yield f"the order: {twice} stands in it twice"


class Recount:
    """Of one statement."""

    def __init__(self, content: Counts, store: Store) -> None:
        self._content, self._store = content, store
        self._has_lists = False  #: whether the rules and lists here are those that the hits were judged by
        self._settings = content["methodology"]["settings"]
        self._names = (content["advertiser"], content["campaign"])
        self._start_ms, self._end_ms = content["start"] * 1000, content["end"] * 1000
        self._zone = ZoneInfo(content["timezone"])
        reasons = [rule["reason"] for rule in content["methodology"]["rules"] if rule["reason"]]
        self._order = [*dict.fromkeys(reasons)]
        self._pending: deque[tuple[int, Judged]] = deque()
        self._differing: list[str] = []

    def read(self, node: str, blocks: list[Block]) -> None:
        """Read a node's segments."""
        for block in blocks:
            read, kept = asking.reader(block.entry["settings"]), []
            for offset, line in block.lines():
                asked = read(line) if line else None
                if asked is not None and (asked.advertiser, asked.campaign) == self._names:
                    place = json.loads(line)["offset"] if block.entry.get("form") == "reduced" else offset
                    seq = block.entry["number"] << 40 | place
                    is_click = asked.kind == "click"
                    kept.append((seq, asked._replace(click=click_id(asked.ts, node, seq)) if is_click else asked))
            self._store.ask(node, kept)

    def read_bare(self, blocks: list[Block]) -> None:
        """Read the hits of a partition's order that have no line of their own."""
        for block in blocks:
            for _, line in block.lines():
                message = json.loads(line)
                if "lines" in message:
                    places = dict(enumerate(_places(message)))
                    for number, hit in message["lines"].items():
                        node, seq = places[int(number)]
                        self._store.ask(node, [(seq, asking.of_hit(hit, self._settings))])

    def rule(self) -> None:
        """Ask the lists."""
        questions = [*self._store.questions()]
        versions = self._store.rule(zip(questions, rulings.of(questions, self._settings), strict=True))
        self._has_lists = {each["version"] for each in self._content["rules"]} <= versions

    def judge(self, blocks: list[Block]) -> None:
        """Judge the campaign's requests of a partition in the order in which they were counted."""
        history = History(self._order)
        for block in blocks:
            settings, arrived = block.entry["settings"], 0
            for _, line in block.lines():
                message = json.loads(line)
                arrived, hits = message["arrived"], [*self._hits(message)]
                history.apply(arrived, hits, settings)
                self._pending += ((arrived, hit) for hit in hits if self._is_asked_for(hit.asked))
            # A click's impression may come later, as long as it is remembered.
            self._count(
                arrived - 2000 * max(int(settings["duplicate_window_s"]), int(settings["attribution_window_s"]), 60)
            )
        self._count(None)

    def problems(self) -> Iterator[str]:
        """Where the statement says otherwise."""
        if self._differing:
            shown = ", ".join(self._differing[:SHOWN])
            yield f"the order: {len(self._differing):,} hits were found to be something else than recounted: {shown}"
        count, first = self._store.uncounted(self._start_ms, self._end_ms)
        if count:
            yield f"the order: {count:,} of the campaign's requests stand in it nowhere, the first is {first}"
        yield from totals.problems(self._content, self._store)

    def _hits(self, message: Counts) -> Iterator[Judged]:
        """The campaign's requests of a message."""
        duplicates = set(message.get("duplicates", ()))
        verdicts = {number: reason for reason, its in message.get("invalid", {}).items() for number in its}
        places = [*enumerate(_places(message))]
        for node, run in groupby(places, lambda place: place[1][0]):
            its = [(number, seq) for number, (_, seq) in run]
            known = self._store.take(node, [seq for _, seq in its])
            for number, seq in its:
                asked = known.get(seq)
                if asked is not None and (asked.advertiser, asked.campaign) == self._names:
                    yield self._judged(asked, (node, seq), (verdicts.get(number, VALID), number in duplicates))

    def _judged(self, asked: Asked, place: tuple[str, int], recorded: tuple[str, bool]) -> Judged:
        reasons, network = self._store.ruling(asked)
        known_before = not self._is_asked_for(asked)
        takes_verdict = known_before or not self._has_lists or recorded[0] == UNREGISTERED
        return Judged(asked, *place, reasons, network, recorded, takes_verdict, known_before)

    def _is_asked_for(self, asked: Asked) -> bool:
        return bool(self._start_ms <= asked.ts < self._end_ms)

    def _count(self, before_ms: int | None) -> None:
        """Count what arrived before, for good; None: all of it."""
        done = []
        while self._pending and (before_ms is None or self._pending[0][0] < before_ms):
            hit = self._pending.popleft()[1]
            if (hit.verdict, hit.duplicate) != hit.recorded:
                self._differing.append(f"{hit.node}@{hit.seq}")
            done.append((str(datetime.fromtimestamp(hit.asked.ts / 1000, self._zone).date()), hit))
        self._store.count(done)


def _places(message: Counts) -> Iterator[tuple[str, int]]:
    """Node and `seq` of a message's hits, in their order."""
    for node, deltas in message["hits"]:
        for seq in accumulate(deltas):
            yield node, seq
