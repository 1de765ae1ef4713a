"""The spool's reading end: whole lines of a node, in order, and the note of how far they are in Kafka."""

import os
import shutil
import time
from pathlib import Path

from ingest import nginx
from ingest.spool import (
    POSITION,
    is_fed_by_nginx,
    place,
    read_position,
    segment_path,
    segments,
    try_lock,
)

#: A node that nobody writes any more is removed so long after its last line.
IDLE_S = 24 * 3600.0


class Reader:
    """One node's lines, from where the last acknowledged one ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.node = folder.name
        self._noted = -1
        self._segment, self._offset = read_position(folder) or (min(segments(folder), default=1), 0)

    @property
    def position(self) -> int:
        """The place, as a `seq`, up to which lines have been read."""
        return place(self._segment, self._offset)

    def read(self, most_bytes: int) -> list[tuple[int, bytes]]:
        """The next lines with their `seq`; none where nothing new is there. Raises OSError.

        What a crash left without its newline at a segment's end, or is longer than `most_bytes`, is given as
        the line that it isn't: it can't be read as a request.
        """
        while True:
            # Asked before reading, so that a finished segment has been read to its end.
            following = self._following_segment()
            data = self._bytes(most_bytes)
            end = data.rfind(b"\n") + 1
            if not end and (following or len(data) == most_bytes):
                end = len(data)
            if end or not following:
                return self._lines(data[:end])
            self._segment, self._offset = following, 0

    def acknowledge(self, position: int) -> None:
        """Everything before `position` is in Kafka: note that. Raises OSError."""
        # Overwritten in place: that needs no room on a full disk, and 21 bytes are never torn.
        if self._noted < 0:
            self._noted = os.open(self._folder / POSITION, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.pwrite(self._noted, b"%020d\n" % position, 0)

    def backlog_bytes(self) -> int:
        """Bytes that wait to be read."""
        waiting = 0
        for number in segments(self._folder):
            if number >= self._segment:
                size = segment_path(self._folder, number).stat().st_size
                waiting += max(0, size - self._offset) if number == self._segment else size
        return waiting

    def remove_if_idle(self) -> bool:
        """Remove a node whose lines are all gone and that nobody has written for long; whether it is gone."""
        if is_fed_by_nginx(self._folder) or any(
            segment_path(self._folder, number).stat().st_size for number in segments(self._folder)
        ):
            return False
        if time.time() - self._folder.stat().st_mtime < IDLE_S:
            return False
        lock = try_lock(self._folder)
        if lock is None:
            return False
        # Out of the way in one step: whoever comes to take the node over finds all of it or nothing.
        gone = self._folder.rename(self._folder.with_name(f".{self.node}"))
        os.close(lock)
        self.close()
        shutil.rmtree(gone)
        return True

    def close(self) -> None:
        """Let go of the note."""
        if self._noted >= 0:
            os.close(self._noted)
            self._noted = -1

    def _lines(self, data: bytes) -> list[tuple[int, bytes]]:
        lines, at = [], self.position
        for line in data.split(b"\n"):
            if line:
                lines.append((at, line))
            at += len(line) + 1
        self._offset += len(data)
        return lines

    def _bytes(self, most: int) -> bytes:
        try:
            with segment_path(self._folder, self._segment).open("rb", buffering=0) as file:
                file.seek(self._offset)
                data = file.read(most)
                if data and is_fed_by_nginx(self._folder):
                    # nginx goes on with this file after a power cut: no place in it may have been told to Kafka
                    # that the disk doesn't hold.
                    os.fdatasync(file.fileno())
                return data
        except FileNotFoundError:
            return b""

    def _following_segment(self) -> int | None:
        """The next segment's number, once this one is finished."""
        later = [number for number in segments(self._folder) if number > self._segment]
        if not later or (is_fed_by_nginx(self._folder) and not self._nginx_has_left()):
            return None
        return later[0]

    def _nginx_has_left(self) -> bool:
        try:
            return nginx.has_left(self._folder, segment_path(self._folder, self._segment))
        except FileNotFoundError:
            return True


def finished(folder: Path, age_s: float) -> list[int]:
    """The numbers of a node's segments that are wholly in Kafka and that nobody writes any more, in order.

    The last one of a node that no process holds is finished so long after its last line.
    """
    numbers, position = segments(folder), read_position(folder)
    if not numbers or position is None:
        return []
    segment, offset = position
    done = [number for number in numbers if number < segment]
    path = segment_path(folder, segment)
    if segment in numbers and _is_left(folder, path, segment == numbers[-1], age_s) and path.stat().st_size <= offset:
        done.append(segment)
    return done


def _is_left(folder: Path, path: Path, is_last: bool, age_s: float) -> bool:
    """Whether nobody will write to the segment any more."""
    if is_fed_by_nginx(folder):
        return not is_last and nginx.has_left(folder, path)
    if not is_last:
        return True
    lock = try_lock(folder) if time.time() - path.stat().st_mtime >= age_s else None
    if lock is None:
        return False
    # Whoever takes the node over from now on begins with the next segment.
    os.close(lock)
    return True


def finish_removals(root: Path) -> None:
    """Remove what is left of nodes whose removal was cut short."""
    for folder in root.glob(".*/"):
        shutil.rmtree(folder)
