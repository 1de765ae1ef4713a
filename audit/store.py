"""What a recount holds, on the disk: a month of requests need not fit into memory."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from audit.asking import Asked
from audit.history import IMAGES, Judged
from audit.rulings import Ruling

_TABLES = """
CREATE TABLE asked
(
    node TEXT, seq TEXT, ts INT, kind TEXT, advertiser TEXT, campaign TEXT, creative TEXT, placement TEXT, who TEXT,
    ip TEXT, user_agent TEXT, purpose TEXT, "order" TEXT, value TEXT, currency TEXT, click TEXT, counted INT DEFAULT 0,
    PRIMARY KEY (node, seq)
) WITHOUT ROWID;
CREATE INDEX clicks ON asked (click) WHERE kind = 'click';
CREATE TABLE ruled
(
    kind TEXT, ip TEXT, user_agent TEXT, purpose TEXT, reasons TEXT, network TEXT,
    PRIMARY KEY (kind, ip, user_agent, purpose)
) WITHOUT ROWID;
CREATE TABLE judged
(
    day TEXT, creative TEXT, placement TEXT, what TEXT, verdict TEXT, duplicate INT, attributed INT, who TEXT,
    "order" TEXT, value TEXT, currency TEXT, click TEXT, ts INT, place TEXT
);
"""

_WHAT = {**dict.fromkeys(IMAGES, "impressions"), "click": "clicks", "conversion": "conversions"}


class Twice(Exception):
    """A request that was counted twice."""


class Store:
    """A database of its own, as a context: gone when it is left."""

    def __enter__(self) -> "Store":
        self._folder = tempfile.TemporaryDirectory(prefix="pixeltally-verify-")
        self._database = sqlite3.connect(Path(self._folder.name) / "recount", isolation_level=None)
        # Nothing is lost with it.
        self._database.executescript(f"PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN; {_TABLES}")
        return self

    def __exit__(self, _type: type | None, _error: BaseException | None, _trace: TracebackType | None) -> None:
        self._database.close()
        self._folder.cleanup()

    def ask(self, node: str, requests: Iterable[tuple[int, Asked]]) -> None:
        """Keep requests of a node's, with their `seq`."""
        rows = ((node, _key(seq), *asked) for seq, asked in requests)
        self._database.executemany(f"INSERT INTO asked VALUES ({', '.join('?' * 16)}, 0)", rows)

    def questions(self) -> Iterator[tuple[str, ...]]:
        """What must be asked of the lists: each once."""
        yield from self._database.execute("SELECT DISTINCT kind, ip, user_agent, purpose FROM asked")

    def rule(self, rulings: Iterable[tuple[tuple[str, ...], Ruling]]) -> set[str]:
        """Keep the answers; the versions of lists that they were found in."""
        versions = set()

        def rows() -> Iterator[tuple[str, ...]]:
            for question, ruling in rulings:
                versions.add(ruling.version)
                yield *question, " ".join(ruling.reasons), ruling.network

        self._database.executemany("INSERT INTO ruled VALUES (?, ?, ?, ?, ?, ?)", rows())
        return versions

    def ruling(self, asked: Asked) -> tuple[set[str], str]:
        """A request's reasons by the lists, and whether its network is shared, local or neither."""
        key = (asked.kind, asked.ip, asked.user_agent, asked.purpose)
        [(reasons, network)] = self._database.execute(
            "SELECT reasons, network FROM ruled WHERE (kind, ip, user_agent, purpose) = (?, ?, ?, ?)", key
        )
        return set(reasons.split()), network

    def take(self, node: str, seqs: Iterable[int]) -> dict[int, Asked]:
        """Those of the requests that are known; from now on they are counted. Raises :class:`Twice`."""
        keys = [_key(seq) for seq in seqs]
        found = self._database.execute(
            "SELECT * FROM asked WHERE node = ? AND seq BETWEEN ? AND ?", (node, min(keys), max(keys))
        ).fetchall()
        wanted = set(keys)
        mine = [row for row in found if row[1] in wanted]
        for row in mine:
            if row[-1]:
                raise Twice(f"{node}@{int(row[1], 16)}")
        self._database.executemany(
            "UPDATE asked SET counted = 1 WHERE node = ? AND seq = ?", [(node, row[1]) for row in mine]
        )
        return {int(row[1], 16): Asked(*row[2:-1]) for row in mine}

    def count(self, hits: Iterable[tuple[str, Judged]]) -> None:
        """Keep what requests of the period are, with their days."""
        rows = (
            (
                day, hit.asked.creative, hit.asked.placement, _WHAT[hit.asked.kind], hit.verdict, hit.duplicate,
                hit.attributed, hit.asked.who, hit.asked.order, hit.asked.value, hit.asked.currency,
                hit.asked.click, hit.asked.ts, f"{hit.node}@{hit.seq}",
            )
            for day, hit in hits
        )  # fmt: skip
        self._database.executemany(f"INSERT INTO judged VALUES ({', '.join('?' * 14)})", rows)

    def uncounted(self, start_ms: int, end_ms: int) -> tuple[int, str]:
        """How many requests of the period were never counted, and which is the first."""
        rows = self._database.execute(
            "SELECT count(*), min(node || '@' || seq) FROM asked WHERE NOT counted AND ts >= ? AND ts < ?",
            (start_ms, end_ms),
        )
        count, first = rows.fetchone()
        return count, first or ""

    def rows(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """The answer to a question about the tables."""
        yield from self._database.execute(query, values)


def _key(seq: int) -> str:
    """A number as SQLite sorts it: its integers have a sign."""
    return f"{seq:016x}"
