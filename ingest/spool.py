"""The spool: each answered request is a line in a segment file before its answer leaves.

A worker owns one node: a folder of numbered segments, its name random and kept, so that (node, seq) names a line
for ever. `seq` is the segment's number in the upper and the line's byte offset in the lower 32 bits.
"""

import fcntl
import os
import secrets
from pathlib import Path

#: A segment is closed and the next begun when it reaches this size.
SEGMENT_BYTES = 64 * 1024 * 1024

_SUFFIX = ".ndjson"


class Spool:
    """The writing end: one worker's."""

    def __init__(self, root: Path) -> None:
        """Take over a node that no process holds, or found a new one, and begin a new segment."""
        root.mkdir(parents=True, exist_ok=True)
        self._folder, self._lock = _claim(root)
        self.node = self._folder.name
        self._segment = max(segments(self._folder), default=0)
        self._begin_segment()

    def append(self, line: bytes) -> int:
        """Write one line (without its newline) and return its `seq`.

        Raises OSError (disk full, unwritable); then nothing of the line is kept.
        """
        if self._offset >= SEGMENT_BYTES:
            os.close(self._file)
            self._begin_segment()
        data = line + b"\n"
        try:
            written = os.write(self._file, data)
        except OSError:
            written = 0
            raise
        finally:
            if written != len(data):
                os.ftruncate(self._file, self._offset)
        if written != len(data):
            raise OSError("the disk took only part of a line")
        seq = self._segment << 32 | self._offset
        self._offset += len(data)
        return seq

    def close(self) -> None:
        """Let go of the node: another process may take it over."""
        os.close(self._file)
        os.close(self._lock)

    def _begin_segment(self) -> None:
        self._segment += 1
        path = segment_path(self._folder, self._segment)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        self._offset = 0


def _claim(root: Path) -> tuple[Path, int]:
    for folder in nodes(root):
        lock = _try_lock(folder)
        if lock is not None:
            return folder, lock
    while True:
        folder = root / secrets.token_hex(8)
        folder.mkdir()
        lock = _try_lock(folder)
        if lock is not None:
            return folder, lock


def _try_lock(folder: Path) -> int | None:
    handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    return handle


def nodes(root: Path) -> list[Path]:
    """The folders of all nodes, in a fixed order."""
    return sorted(path for path in root.iterdir() if path.is_dir())


def segments(folder: Path) -> list[int]:
    """The numbers of a node's segments, in order."""
    return sorted(int(path.stem) for path in folder.glob(f"*{_SUFFIX}"))


def segment_path(folder: Path, number: int) -> Path:
    """Where segment `number` of a node lies."""
    return folder / f"{number:010d}{_SUFFIX}"


class Reader:
    """The reading end of one node: whole lines, in order, from where the last acknowledged one ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.node = folder.name
        self._segment, self._offset = self._acknowledged()

    @property
    def position(self) -> int:
        """The place, as a `seq`, up to which lines have been read."""
        return self._segment << 32 | self._offset

    def read(self, most_bytes: int) -> list[tuple[int, bytes]]:
        """The next lines with their `seq`; none where nothing new is there.

        What a crash left without its newline at a segment's end, or is longer than `most_bytes`, is given as
        the line that it isn't: it can't be read as a request.
        """
        while True:
            # Asked before reading, so that a finished segment has been read to its end.
            finished = self._has_later_segment()
            data = self._bytes(most_bytes)
            end = data.rfind(b"\n") + 1
            if not end and (finished or len(data) == most_bytes):
                end = len(data)
            if end or not finished:
                return self._lines(data[:end])
            self._segment, self._offset = self._next_segment(), 0

    def _lines(self, data: bytes) -> list[tuple[int, bytes]]:
        lines = []
        for line in data.splitlines(keepends=True):
            lines.append((self.position, line.rstrip(b"\r\n")))
            self._offset += len(line)
        return lines

    def acknowledge(self, position: int) -> None:
        """Everything before `position` is in Kafka: remember that and delete the segments before it."""
        beside = self._folder / "position.new"
        beside.write_text(f"{position}\n")
        beside.replace(self._folder / "position")
        for number in segments(self._folder):
            if number < position >> 32:
                segment_path(self._folder, number).unlink()

    def backlog_bytes(self) -> int:
        """Bytes that wait to be read."""
        waiting = -self._offset if segment_path(self._folder, self._segment).exists() else 0
        for number in segments(self._folder):
            if number >= self._segment:
                waiting += segment_path(self._folder, number).stat().st_size
        return waiting

    def _acknowledged(self) -> tuple[int, int]:
        try:
            position = int((self._folder / "position").read_text())
        except FileNotFoundError:
            return min(segments(self._folder), default=1), 0
        return position >> 32, position & 0xFFFFFFFF

    def _bytes(self, most: int) -> bytes:
        try:
            with segment_path(self._folder, self._segment).open("rb") as file:
                file.seek(self._offset)
                return file.read(most)
        except FileNotFoundError:
            return b""

    def _has_later_segment(self) -> bool:
        return segments(self._folder)[-1:] > [self._segment]

    def _next_segment(self) -> int:
        return next(number for number in segments(self._folder) if number > self._segment)
