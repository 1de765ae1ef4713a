"""What a worker says that it has answered, kept beside each segment: counted as it answers, not from the lines.

A file of a line for each minute: its start, requests answered (lost ones included), lost, and where the last line of
those answered ends in the segment. Written in place after the lines and before the answers leave: so it survives the
worker's kill, and what lies behind that end was never answered.
"""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

log = logging.getLogger("ingest")

SUFFIX = ".answered"

_ROW = b"%010d %010d %010d %013d\n"

#: No requests.
_NONE: Mapping[int, int] = {}


class Minute(NamedTuple):
    """What was answered in one."""

    answered: int
    lost: int


class Answered:
    """The writing end: one worker's, for its node's folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._segment, self._file = -1, -1
        self._rows: dict[int, list[int]] = {}  #: minute → answered, lost; the file has them in this order
        self._end = 0

    def note(self, segment: int, end: int, minutes: Mapping[int, int], found: Mapping[int, int] = _NONE) -> None:
        """Count requests whose lines stand in the segment, up to the offset `end`; `minutes`: how many of each.

        `found`: of those counted as lost beside this segment, how many stand in it after all.
        """
        if segment != self._segment:
            self._begin(segment)
        self._end = end
        for minute, count in minutes.items():
            self._row(minute)[0] += count
        for minute, count in found.items():
            self._row(minute)[1] -= count
        self._write()

    def note_lost(self, segment: int, minutes: Mapping[int, int]) -> None:
        """Count requests that are answered and stand nowhere, beside the segment that would have taken them."""
        if segment != self._segment:
            self._begin(segment)
        for minute, count in minutes.items():
            row = self._row(minute)
            row[0] += count
            row[1] += count
        self._write()

    def _begin(self, segment: int) -> None:
        if self._file >= 0:
            os.close(self._file)
        self._segment, self._file, self._end = segment, -1, 0
        self._rows.clear()

    def _row(self, minute: int) -> list[int]:
        return self._rows.setdefault(minute, [0, 0])

    def _write(self) -> None:
        try:
            if self._file < 0:
                path = path_of(self._folder, self._segment)
                self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # In one write: a kill leaves all of it or nothing.
            written = (_ROW % (minute, *counts, self._end) for minute, counts in self._rows.items())
            os.pwrite(self._file, b"".join(written), 0)
        except OSError as error:
            log.error("what was answered could not be counted: %s", error)


def path_of(folder: Path, segment: int) -> Path:
    """Where a segment's counts lie."""
    return folder / f"{segment:010d}{SUFFIX}"


def read(folder: Path, segment: int) -> tuple[dict[int, Minute], int] | None:
    """A segment's counts by minute, and where its last answered line ends; None where nobody counted (nginx)."""
    try:
        rows = [[int(field) for field in line.split()] for line in path_of(folder, segment).read_bytes().splitlines()]
    except FileNotFoundError:
        return None
    return {minute: Minute(answered, lost) for minute, answered, lost, _ in rows}, max(
        (row[3] for row in rows), default=0
    )
