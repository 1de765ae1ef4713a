"""The archive: logs that only grow, in compressed blocks, each chained to the one before by its hash.

A log is a folder. `2026-11-23.ndjson.zst` holds the blocks that were added that day (UTC), each a zstd frame, so that
`zstdcat` shows the day's lines; `2026-11-23.chain.ndjson` has a line for each block, its entry. An entry names the
hash of the entry before it, so the last one's hash stands for the whole log. Entries stay when blocks expire.

- `requests/NODE`: the segments of a node's spool, as `ingest/closing.py` found them.
- `order/CLUSTER-PARTITION`: in which order streams counted them, as `sinks/order.py` read it from Kafka.
"""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path

import msgspec
import zstandard

REQUESTS, ORDER = "requests", "order"

#: What the first entry of a log names as the one before it.
NONE = "0" * 64

#: Forms of a block of requests: as they came, or without what PIXELTALLY_STORE_IP and PIXELTALLY_GPC don't let be kept.
RAW, REDUCED = "raw", "reduced"

BLOCKS, CHAIN = ".ndjson.zst", ".chain.ndjson"


class Account(msgspec.Struct):
    """What a node's segment held, minute by minute: entry `n` of each list is of minute `n`.

    `answered` and `lost` were counted by whoever answered, `spooled` and `unanswered` by whoever closed the segment.
    """

    node: str
    segment: int
    minutes: list[int] = []  #: their starts, epoch seconds; 0: what can't be read, whose time nobody knows
    answered: list[int] = []  #: requests that were answered, lost ones included
    lost: list[int] = []  #: of them, those that the spool could not take
    spooled: list[int] = []  #: lines that stand in the segment
    unanswered: list[int] = []  #: of them, those whose writer was killed before it could let the answer go
    other_methods: int = 0  #: lines of nginx's that are answered and never counted, such as HEAD; in none of the lists
    closed: int = 0  #: when, epoch milliseconds


class Entry(msgspec.Struct, omit_defaults=True):
    """One block of a log."""

    log: str  #: `requests/NODE`, `order/CLUSTER-PARTITION`
    number: int  #: of the segment; the offset in `pixeltally.facts` that follows what was read. Grows within a log
    before: str  #: the hash of the entry before
    sha256: str  #: of the block's lines
    bytes: int  #: of the block's lines
    lines: int
    file: str
    at: int  #: where the block begins in the file
    size: int  #: what it takes there
    packed: str  #: SHA-256 of these bytes
    first: int = 0  #: earliest and latest time of a hit in it, epoch milliseconds; 0 where there is none
    last: int = 0
    form: str = ""
    settings: dict[str, str] = {}  #: those that its lines were read, or counted, by
    account: Account | None = None  #: of a segment
    counted_to: int = -1  #: of a block of order: the offset in `pixeltally.hits` of its last message
    arrived_first: int = 0  #: when the broker took its first message and its last
    arrived_last: int = 0
    asked_first: int = 0  #: earliest and latest time of its hits that stand in a segment; 0 where there is none
    asked_last: int = 0


class Message(msgspec.Struct, omit_defaults=True):
    """A line of a block of order: the hits of one message of `pixeltally.hits`, in the order in which they count."""

    offset: int
    arrived: int  #: when the broker took it, epoch milliseconds
    hits: list[tuple[str, list[int]]]  #: runs of a node's: its name, then their `seq`, each less the one before it
    duplicates: list[int] = []  #: which ones are, from 0
    invalid: dict[str, list[int]] = {}  #: which ones are, by verdict
    lines: dict[str, msgspec.Raw] = {}  #: of nodes that have no segments (imported, put back): the hits, by number


class Times:
    """The earliest and the latest of some times; 0 where there is none."""

    first = last = 0

    def add(self, times: Iterable[int]) -> None:
        """Take more times in."""
        for time in times:
            self.first, self.last = min(self.first or time, time), max(self.last, time)


_decode = msgspec.json.Decoder(Entry).decode


def logs(root: Path, kind: str) -> list[str]:
    """The names of the archive's logs of a kind: `REQUESTS` or `ORDER`."""
    folder = root / kind
    return sorted(f"{kind}/{each.name}" for each in folder.iterdir() if each.is_dir()) if folder.is_dir() else []


def chains(folder: Path) -> list[Path]:
    """The chain files of a log, oldest first."""
    return sorted(folder.glob(f"*{CHAIN}"))


def entries(root: Path, name: str) -> Iterator[tuple[Entry, str]]:
    """A log's entries in order, each with its hash; one that is being written is left out."""
    for path in chains(root / name):
        with path.open("rb") as chain:
            for line in chain:
                if line.endswith(b"\n"):
                    yield _decode(line), sha256(line[:-1]).hexdigest()


def pieces(root: Path, entry: Entry) -> Iterator[bytes]:
    """A block's lines, in pieces of some size. Raises OSError, FileNotFoundError where it has expired."""
    return unpacked(root / entry.log / entry.file, entry.at, entry.size)


def unpacked(path: Path, at: int, size: int) -> Iterator[bytes]:
    """What a block holds that lies in a file. Raises OSError."""
    with path.open("rb") as file:
        file.seek(at)
        try:
            yield from zstandard.ZstdDecompressor().read_to_iter(file.read(size), write_size=1 << 20)
        except zstandard.ZstdError as error:
            raise OSError(f"{path} can't be unpacked at {at}: {error}") from None
