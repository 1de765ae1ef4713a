"""Reads the archive of requests: a node's lines, one after another or by their place."""

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ingest import request
from ingest.spool import place, split_place
from pixeltally import archive
from pixeltally.archive import REDUCED, REQUESTS, Entry

#: What of unpacked blocks is kept at hand.
_MOST_BYTES = 256 * 1024 * 1024


class _Place(NamedTuple):
    """Where a segment's block lies."""

    file: str
    at: int
    size: int
    form: str


class Requests:
    """All nodes' segments in an archive."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.nodes = [name.removeprefix(f"{REQUESTS}/") for name in archive.logs(root, REQUESTS)]
        self._places: dict[str, dict[int, _Place]] = {}
        self._blocks: OrderedDict[tuple[str, int], _Block] = OrderedDict()

    def entries(self, node: str) -> Iterator[Entry]:
        """The entries of a node's segments, in order."""
        return (entry for entry, _ in archive.entries(self._root, f"{REQUESTS}/{node}"))

    def lines(self, entry: Entry) -> Iterator[tuple[int, bytes]]:
        """A segment's lines with their `seq`. Raises OSError."""
        return _Block(b"".join(archive.pieces(self._root, entry)), entry.form).lines(entry.number)

    def line(self, node: str, seq: int) -> bytes | None:
        """The line at a place; None where it isn't archived, or no more. Raises OSError."""
        segment, offset = split_place(seq)
        block = self._block(node, segment)
        return block.line(offset) if block is not None else None

    def _block(self, node: str, segment: int) -> "_Block | None":
        key = (node, segment)
        block = self._blocks.get(key)
        if block is not None:
            self._blocks.move_to_end(key)
            return block
        found = self._of(node).get(segment)
        if found is None:
            return None
        try:
            path = self._root / REQUESTS / node / found.file
            block = _Block(b"".join(archive.unpacked(path, found.at, found.size)), found.form)
        except FileNotFoundError:
            return None
        self._blocks[key] = block
        while len(self._blocks) > 1 and sum(len(each.data) for each in self._blocks.values()) > _MOST_BYTES:
            self._blocks.popitem(last=False)
        return block

    def _of(self, node: str) -> dict[int, _Place]:
        if node not in self._places:
            entries = self.entries(node) if node in self.nodes else ()
            self._places[node] = {each.number: _Place(each.file, each.at, each.size, each.form) for each in entries}
        return self._places[node]


class _Block:
    """An unpacked segment."""

    def __init__(self, data: bytes, form: str) -> None:
        self.data = data
        # Reduced lines don't lie where the lines that they are made of lay.
        self._by_offset = dict(_offsets(data)) if form == REDUCED else None

    def line(self, offset: int) -> bytes | None:
        """The line that began at an offset of the segment."""
        if self._by_offset is not None:
            return self._by_offset.get(offset)
        end = self.data.find(b"\n", offset)
        return self.data[offset : end if end >= 0 else len(self.data)] or None

    def lines(self, segment: int) -> Iterator[tuple[int, bytes]]:
        """All lines with their `seq`."""
        if self._by_offset is not None:
            yield from ((place(segment, offset), line) for offset, line in self._by_offset.items())
            return
        at = 0
        for line in self.data.split(b"\n"):
            if line:
                yield place(segment, at), line
            at += len(line) + 1


def _offsets(data: bytes) -> Iterator[tuple[int, bytes]]:
    for line in data.split(b"\n"):
        if line:
            yield request.decode(line).offset or 0, line
