"""Imports servers' logs: through Kafka, as hits of the past, each line once however often it is imported."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import IO, Protocol

from ingest import log_file, log_lines
from ingest.log_batch import Batches
from ingest.log_counted import Counted
from ingest.log_file import Log, Part
from ingest.log_judge import Left, Page, parser
from ingest.log_lines import LogLines
from ingest.sending import Sender, partition_count
from pixeltally.arrival import follow, settle
from pixeltally.database import reach
from pixeltally.hit import IMPORTED
from pixeltally.settings import Settings

#: Bad lines of a log that are shown, and so much of each.
SHOWN = 5
SHOWN_BYTES = 200

_NODES = f"SELECT DISTINCT node FROM facts WHERE startsWith(node, '{IMPORTED}')"  # noqa: S608  # of a constant
_COUNT = "SELECT count() FROM facts WHERE node IN %(names)s"


class Bar(Protocol):
    """What shows how far something is."""

    def update(self, n: float) -> object:
        """It is so much further."""


#: Begins to show something: (its name, how much of it there is, in what unit).
Show = Callable[[str, int, str], AbstractContextManager[Bar]]


@dataclass
class Tally:
    """What a log held."""

    name: str
    lines: int = 0
    hits: int = 0
    left: Counter[Left] = field(default_factory=Counter)
    shown: list[tuple[int, str, str]] = field(default_factory=list)  #: bad lines: (number from 1, why, line)


class Import:
    """One run, over any number of logs."""

    def __init__(self, settings: Settings, pages: Sequence[Page], form: str, bad: IO[bytes] | None, show: Show) -> None:
        """`form`: `combined`, `json`, or empty: what a log's first line is. `bad` takes the bad lines as they came."""
        self._settings, self._form, self._bad, self._show = settings, form, bad, show
        self._client = reach(settings)
        self._sender = Sender(settings)
        self._partition_count = partition_count(settings)
        self._batches = Batches(settings, pages, time.time(), self._partition_count)
        settle(settings)  # what a run that was killed has sent must be there to be known
        self._known: set[str] = {row[0] for row in self._client.query(_NODES).result_rows}
        self._counted: dict[str, Counted] = {}  #: by node

    def add(self, log: Log) -> Tally:
        """Send the hits of a log that are not counted yet."""
        with self._show(f"{log.name}: reading", log.size_bytes, "B") as bar:
            parts = log_file.parts(log, self._known | set(self._counted), bar.update)
        tally = Tally(log.name)
        with self._show(f"{log.name}: sending", parts[-1].end if parts else 0, " lines") as bar:
            ahead = log.blocks()
            lines = log_lines.read(b"")
            for part in parts:
                counted = self._counted_of(part, tally.lines)
                while tally.lines < part.end and (lines := lines or log_lines.read(next(ahead, b""))):
                    size = min(part.end - tally.lines, len(lines))
                    self._send(tally, part.node, lines.part(0, size), counted)
                    bar.update(size)
                    lines = lines.part(size, len(lines))
        self._sender.finish()
        return tally

    def hits(self) -> int:
        """How many hits the logs hold together."""
        return sum(counted.hits() for counted in self._counted.values())

    def wait(self) -> int:
        """Wait until ClickHouse has all that is in Kafka; how many of the logs' hits it has then."""
        sent = {name: count for counted in self._counted.values() for name, count in counted.sent.items()}
        expected = sum(sent.values())
        if not expected:
            return self.hits()
        names = tuple(sorted(sent))
        before = sum(counted.rows[name] for counted in self._counted.values() for name in names)
        with self._show("ClickHouse", expected, " hits") as bar:
            shown = 0

            def count() -> int:
                nonlocal shown
                last, shown = shown, self._client.query(_COUNT, {"names": names}).result_rows[0][0] - before
                if shown >= expected:  # perhaps: some may be there twice
                    shown = expected - self._missing()
                bar.update(shown - last)
                return shown

            follow(self._settings, count, expected)
        return self.hits() - (self._missing() if shown < expected else 0)

    def _counted_of(self, part: Part, first: int) -> Counted:
        """What is counted of a node, whose lines begin with the place `first`."""
        if part.node not in self._counted:
            self._counted[part.node] = Counted(part.node, first, part.end, self._partition_count)
            self._counted[part.node].load(self._client, self._known)
        return self._counted[part.node]

    def _missing(self) -> int:
        """How many hits ClickHouse doesn't have yet."""
        return sum(counted.missing(self._client) for counted in self._counted.values())

    def _send(self, tally: Tally, node: str, lines: LogLines, counted: Counted) -> None:
        """Send the hits of a log's next lines, which are all of one node."""
        if not tally.lines:
            self._parse = parser(self._form, lines)
        judged = self._batches.judge(lines, node, tally.lines, self._parse, counted)
        for message in judged.messages:
            self._sender.send(message)
        for index, left in judged.left:
            self._leave(tally, tally.lines + index, lines.line(index), left)
        tally.left.update(judged.counts)
        tally.lines += len(lines)
        tally.hits += judged.hits

    def _leave(self, tally: Tally, place: int, line: bytes, left: Left) -> None:
        tally.left[left] += 1
        if left.kind == "bad":
            if self._bad is not None:
                self._bad.write(line + b"\n")
            if len(tally.shown) < SHOWN:
                tally.shown.append((place + 1, left.why, line[:SHOWN_BYTES].decode("utf-8", "replace")))
