"""The writing end of the archive's logs; `pixeltally/archive.py` says what they are."""

import fcntl
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, NamedTuple

import msgspec
import zstandard

from pixeltally.archive import BLOCKS, CHAIN, NONE, ORDER, REQUESTS, Entry, chains, logs
from pixeltally.files import sync

_TAIL_BYTES = 1 << 16

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


class Block(NamedTuple):
    """A block that lies in a file, and that no entry names yet."""

    file: str
    at: int
    size: int
    packed: str
    sha256: str
    bytes: int
    lines: int


class _Hashed:
    """A file that what is written to it is hashed on its way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.size, self._digest = 0, sha256()

    def write(self, data: bytes) -> int:
        self._digest.update(data)
        self.size += len(data)
        return self._file.write(data)

    def hash(self) -> str:
        """The SHA-256 of all that was written."""
        return self._digest.hexdigest()


class Taken(OSError):
    """Another process writes this log."""


class Log:
    """The writing end of one log; one process's at a time. Methods raise OSError."""

    def __init__(self, root: Path, name: str) -> None:
        """Take up the log `name` of the archive `root` where its last entry ended. Raises :class:`Taken`."""
        self._folder, self._name = root / name, name
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sync(self._folder.parent)
        self._lock = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise Taken(f"another process writes {self._folder}") from None
        self.last, self._head = self._take_up()

    def close(self) -> None:
        """Let another process write it."""
        os.close(self._lock)

    def add(self, pieces: Iterable[bytes]) -> Block:
        """Write a block's lines into the day's file, and onto the disk; `enter` makes them part of the log."""
        file = f"{datetime.now(UTC):%Y-%m-%d}{BLOCKS}"
        digest, count, lines, ends = sha256(), 0, 0, True
        with open(self._folder / file, "ab", opener=_private) as out:
            # What stands behind the last entry was written by somebody who was stopped before he could enter it.
            at = self.last.at + self.last.size if self.last and self.last.file == file else 0
            out.truncate(at)
            packed = _Hashed(out)
            with zstandard.ZstdCompressor(level=3).stream_writer(packed, closefd=False) as compressed:  # type: ignore[arg-type]
                for piece in pieces:
                    compressed.write(piece)
                    digest.update(piece)
                    count += len(piece)
                    lines += piece.count(b"\n")
                    ends = piece.endswith(b"\n") if piece else ends
            out.flush()
            os.fsync(out.fileno())
        sync(self._folder)
        return Block(file, at, packed.size, packed.hash(), digest.hexdigest(), count, lines + (not ends))

    def enter(self, number: int, block: Block, **what: object) -> Entry:
        """Enter a block, onto the disk: from now on it is part of the log for ever. `what`: more of the entry."""
        entry = msgspec.convert(
            {"log": self._name, "number": number, "before": self._head, **block._asdict(), **what}, Entry
        )
        line = _encode(entry)
        path = self._folder / f"{block.file.removesuffix(BLOCKS)}{CHAIN}"
        with open(path, "ab", opener=_private) as chain:
            chain.write(line + b"\n")
            chain.flush()
            os.fsync(chain.fileno())
        sync(self._folder)
        self.last, self._head = entry, sha256(line).hexdigest()
        return entry

    def _take_up(self) -> tuple[Entry | None, str]:
        for path in reversed(chains(self._folder)):
            whole = _cut_torn(path)
            if whole:
                return _decode(whole), sha256(whole).hexdigest()
        return None, NONE


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _cut_torn(path: Path) -> bytes:
    """The chain's last whole line; what stands behind it was torn by a crash, and goes."""
    with path.open("r+b") as chain:
        end = chain.seek(0, os.SEEK_END)
        start = max(0, end - _TAIL_BYTES)
        chain.seek(start)
        tail = chain.read()
        whole = tail.rfind(b"\n") + 1
        if start and not whole:
            raise OSError(f"{path} ends with no entry")
        chain.truncate(start + whole)
        return tail[:whole].rstrip(b"\n").rpartition(b"\n")[2]


def expire(root: Path, before_ms: int) -> None:
    """Delete files of blocks whose latest hit is older; their entries stay. Raises OSError."""
    for name in [*logs(root, REQUESTS), *logs(root, ORDER)]:
        for path in chains(root / name):
            blocks = path.with_name(path.name.removesuffix(CHAIN) + BLOCKS)
            day = datetime.fromisoformat(path.name.removesuffix(CHAIN)).replace(tzinfo=UTC)
            if day.timestamp() * 1000 < before_ms and blocks.exists():
                with path.open("rb") as chain:
                    if max((_decode(line).last for line in chain), default=0) < before_ms:
                        blocks.unlink()
