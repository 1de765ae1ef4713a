"""The archived logs that a statement names: is each there from its first entry to its last, every byte as it was?"""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import zstandard

_PIECE_BYTES = 1 << 20


class Broken(Exception):
    """What is wrong with a log, and where."""


class Block(NamedTuple):
    """A block of a log, whose hash is in the chain; its lines are still to be read."""

    root: Path
    log: str
    entry: dict[str, Any]

    @property
    def name(self) -> str:
        """What people call it."""
        return f"block {self.entry['number']} of {self.log}"

    def check(self) -> None:
        """Read all of it; raises :class:`Broken` where any of its bytes was altered."""
        digest = sha256()
        for piece in self._unpacked():
            digest.update(piece)
        if digest.hexdigest() != self.entry["sha256"]:
            raise Broken(f"{self.name}: its lines are not those that its entry names")

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Its lines with their offsets."""
        offset, rest = 0, b""
        for piece in self._unpacked():
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                yield offset, line
                offset += len(line) + 1
        if rest:
            yield offset, rest

    def _unpacked(self) -> Iterator[bytes]:
        try:
            with (self.root / self.log / self.entry["file"]).open("rb") as file:
                file.seek(self.entry["at"])
                unpacker, left = zstandard.ZstdDecompressor().decompressobj(), self.entry["size"]
                digest = sha256()
                while left and (data := file.read(min(_PIECE_BYTES, left))):
                    left -= len(data)
                    digest.update(data)
                    yield unpacker.decompress(data)
            if digest.hexdigest() != self.entry["packed"]:
                raise Broken(f"{self.name}: it was altered")
        except (OSError, zstandard.ZstdError) as error:
            raise Broken(f"{self.name}: it can't be unpacked: {error}") from None


def blocks(root: Path, named: dict[str, Any]) -> list[Block]:
    """The blocks of one of the logs that a statement names, the chain of their entries checked.

    Raises :class:`Broken` at the first entry that is missing, altered or out of its place.
    """
    log, before = named["log"], named["before"]
    found: list[Block] = []
    for entry, hash in _entries(root / log):
        if not found and entry["number"] != named["first"]:
            continue
        if entry.get("before") != before:
            raise Broken(f"the chain of {log}: entry {entry['number']} does not follow the one before it")
        found.append(Block(root, log, entry))
        before = hash
        if entry["number"] == named["last"]:
            break
    if not found or found[-1].entry["number"] != named["last"] or len(found) != named["blocks"]:
        raise Broken(f"the chain of {log}: not all entries from {named['first']} to {named['last']} are there")
    if before != named["head"]:
        raise Broken(f"the chain of {log}: its last entry is not the one that the statement names")
    return found


def _entries(folder: Path) -> Iterator[tuple[dict[str, Any], str]]:
    for path in sorted(folder.glob("*.chain.ndjson")):
        for number, line in enumerate(path.read_bytes().splitlines(), 1):
            entry = _entry(line)
            if entry is None:
                raise Broken(f"the chain of {folder.name}: line {number} of {path.name} was altered")
            yield entry, sha256(line).hexdigest()


def _entry(line: bytes) -> dict[str, Any] | None:
    try:
        entry: dict[str, Any] = json.loads(line)
        is_whole = all(type(entry[name]) is int for name in ("number", "at", "size"))
    except (ValueError, KeyError, TypeError):
        return None
    return entry if is_whole else None
