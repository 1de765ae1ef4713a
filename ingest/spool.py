"""The spool: each answered request is a line in a segment file before its answer leaves.

A worker owns one node: a folder of numbered segments, its name random and kept, so that (node, seq) names a line
for ever. `seq` is the segment's number in the upper and the line's byte offset in the lower 40 bits.

Where the disk takes no more, lines wait in memory for room: they are the end of the segment that it does not have yet.
"""

import fcntl
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pixeltally.files import sync

#: A segment is closed and the next begun when it reaches this size.
SEGMENT_BYTES = 64 * 1024 * 1024

#: A segment is closed, too, so long after its first line: what it holds can then be accounted for, and archived.
SEGMENT_S = 60.0

#: How often a writer asks how much room is left.
LOOK_S = 1.0

SUFFIX = ".ndjson"
POSITION = "position"

_OFFSET_BITS = 40

_FULL = "the spool is full"


class Full(Exception):
    """There is no room in the spool, and as much waits for it as may."""


class Spool:
    """The writing end: one worker's."""

    def __init__(
        self, root: Path, left: Callable[[], int] = lambda: 1 << 62, segment_bytes: int = SEGMENT_BYTES
    ) -> None:
        """Take over a node that no process holds, or found a new one, and begin a new segment.

        `left` says how many bytes the spool may still take; it is asked once in `LOOK_S`. As much as a segment holds
        may wait in memory for room. Raises OSError.
        """
        self._left, self._segment_bytes = left, segment_bytes
        self._room, self._look_again = 0, 0.0
        root.mkdir(parents=True, exist_ok=True)
        self.folder, self._lock = _claim(root)
        self.node = self.folder.name
        self.segment = last_segment(self.folder)
        self.end = 0  #: offset in the segment that follows its last line, waiting ones included
        self.problem = _FULL  #: why lines wait for room, or would
        self._waiting = bytearray()
        self._file = -1
        self._began = 0.0  # when the segment got its first line
        self._begin_segment()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that wait in memory for room."""
        return len(self._waiting)

    def turn(self) -> None:
        """Write what waits, where there is room by now, and begin a new segment where this one is old enough.

        To be called about once a second.
        """
        if not self._waits() and self.end and time.monotonic() > self._began + SEGMENT_S:
            self._follow()

    def append(self, lines: bytes) -> int:
        """Write one line (without its last newline), or several, in one piece and return the first one's `seq`.

        They may have to wait for room: see `waiting_bytes`. Raises :class:`Full`; then the lines are nowhere.
        """
        data = lines + b"\n"
        if not self._waits() and self.end >= self._segment_bytes:
            self._follow()
        if len(self._waiting) + len(data) > self._segment_bytes and (self._waiting or len(data) > self._room):
            raise Full(self.problem)
        if not self.end:
            self._began = time.monotonic()
        seq = place(self.segment, self.end)
        self.end += len(data)
        self._waiting += data
        self._write()
        return seq

    def close(self) -> None:
        """Let go of the node: another process may take it over."""
        os.close(self._file)
        os.close(self._lock)

    def _waits(self) -> bool:
        """Whether lines wait for room, or have until now: then what they belong to is still this segment."""
        waits = bool(self._waiting)
        if time.monotonic() >= self._look_again:
            self._look()
            if waits:
                self._write()
        return waits

    def _look(self) -> None:
        self._look_again = time.monotonic() + LOOK_S
        # Who can't be asked can't forbid: the write itself will tell.
        with suppress(OSError):
            self._room = self._left()
        if self._room <= 0:
            self.problem = _FULL

    def _write(self) -> None:
        """Write what waits, or what the disk takes of it; that may end within a line."""
        if len(self._waiting) > self._room:
            return
        try:
            taken = os.write(self._file, self._waiting)
        except OSError as error:
            taken, self.problem = 0, str(error)
        # What was refused is tried again after the next look.
        self._room = self._room - taken if taken == len(self._waiting) else 0
        del self._waiting[:taken]

    def _follow(self) -> None:
        """Begin the next segment; where the disk refuses, this one will do."""
        with suppress(OSError):
            self._begin_segment()

    def _begin_segment(self) -> None:
        number = self.segment + 1
        file = create_segment(self.folder, number)
        if self._file >= 0:
            os.close(self._file)
        self._file, self.segment, self.end = file, number, 0


def create_segment(folder: Path, number: int) -> int:
    """Begin segment `number` of a node; return its open file.

    The folder is synced, so that after a power cut no number is given a second time: streams would take its
    lines for known ones.
    """
    file = os.open(segment_path(folder, number), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
    sync(folder)
    return file


def _claim(root: Path) -> tuple[Path, int]:
    for folder in nodes(root):
        lock = None if is_fed_by_nginx(folder) else try_lock(folder)
        if lock is not None:
            return folder, lock
    while True:
        folder = root / secrets.token_hex(8)
        folder.mkdir()
        sync(root)
        lock = try_lock(folder)
        if lock is not None:
            return folder, lock


def try_lock(folder: Path, name: str = "lock") -> int | None:
    """Hold the folder for as long as the returned file is open; None where another process does."""
    path = folder / name
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None
    with suppress(BlockingIOError, FileNotFoundError):
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The folder may have been removed since the file was opened, and the lock would be on nothing.
        if os.stat(path).st_ino == os.fstat(handle).st_ino:
            return handle
    os.close(handle)
    return None


def nodes(root: Path) -> list[Path]:
    """The folders of all nodes, in a fixed order."""
    with os.scandir(root) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    return [root / name for name in sorted(names)]


def is_fed_by_nginx(folder: Path) -> bool:
    """Whether nginx writes this node (see `ingest/nginx.py`)."""
    return os.path.islink(folder / "current")


def segments(folder: Path) -> list[int]:
    """The numbers of a node's segments, in order."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    stems = [name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)]
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def last_segment(folder: Path) -> int:
    """The highest number that a segment of the node ever had, 0 if none."""
    position = read_position(folder)
    return max([*segments(folder), position[0] if position else 0])


def segment_path(folder: Path, number: int) -> Path:
    """Where segment `number` of a node lies."""
    return folder / f"{number:010d}{SUFFIX}"


def place(segment: int, offset: int) -> int:
    """The `seq` of what stands at an offset of a segment."""
    return segment << _OFFSET_BITS | offset


def split_place(seq: int) -> tuple[int, int]:
    """(segment, offset) of a `seq`."""
    return seq >> _OFFSET_BITS, seq & (1 << _OFFSET_BITS) - 1


def read_position(folder: Path) -> tuple[int, int] | None:
    """(segment, offset) up to which the node is in Kafka; None where that was never, or not legibly, noted."""
    try:
        text = (folder / POSITION).read_text("ascii", "replace").strip()
    except FileNotFoundError:
        return None
    return split_place(int(text)) if text.isdecimal() else None
