"""A server's log as a file: its lines, compressed or not, and the names by which its lines are known for ever.

A line is known by (node, seq): `seq` is its place in the file, and the node's name says what the file holds up to the
node's end: `import-HASH-LINES`. So a log counts once, whatever it is called and however it is compressed; and one that
has grown since it was imported is known up to where it ended then: only what follows is new.
"""

import gzip
import io
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, NamedTuple
from zlib import error as ZlibError

import numpy as np
import zstandard

from pixeltally.errors import Refused
from pixeltally.hit import IMPORTED

BLOCK_BYTES = 4 * 1024 * 1024

_NODE = re.compile(rf"({IMPORTED}[0-9a-f]{{16}}-(\d+))([.-].*)?")
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


#: Told of each so many bytes read, as they lie on the disk.
Progress = Callable[[int], object]


class Part(NamedTuple):
    """Lines of a file that are known by one node."""

    end: int  #: the place that follows its last line
    node: str


class Log:
    """An opened log, which can be read several times."""

    def __init__(self, name: str, file: IO[bytes]) -> None:
        self.name = name
        #: As it lies on the disk. What is written to it after that is left for another time.
        self.size_bytes = file.seek(0, io.SEEK_END)
        self._file = file

    def blocks(self, progress: Progress = lambda _: None) -> Iterator[bytes]:
        """All it holds, in blocks that end with lines; what is longer than a block and no line ends anywhere."""
        self._file.seek(0)
        rest, read = b"", 0
        try:
            stream = io.BufferedReader(self._decompressed(), BLOCK_BYTES)
            while block := stream.read(BLOCK_BYTES):
                end = block.rfind(b"\n") + 1 or len(block)
                yield rest + block[:end]
                rest = block[end:]
                read, before = self._file.tell(), read
                progress(read - before)
            if rest:
                yield rest
            stream.detach()
        except (OSError, EOFError, ZlibError, zstandard.ZstdError) as error:
            raise Refused(f"{self.name} can't be read to its end: {error}.") from None

    def _decompressed(self) -> Any:
        start = self._file.read(4)
        self._file.seek(0)
        file: Any = _Bounded(self._file, self.size_bytes)
        if start.startswith(_GZIP):
            return gzip.GzipFile(fileobj=file)
        if start == _ZSTD:
            return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True, closefd=False)
        return file


class _Bounded(io.RawIOBase):
    """A file up to a place: what is written behind it meanwhile isn't there."""

    def __init__(self, file: IO[bytes], end: int) -> None:
        self._file, self._end = file, end

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), self._end - self._file.tell()))
        buffer[: len(data)] = data
        return len(data)


@contextmanager
def opened(name: str) -> Iterator[Log]:
    """The log of that name, `-` is standard input. What can't be read twice is copied to the disk first."""
    with ExitStack() as stack:
        try:
            file = sys.stdin.buffer if name == "-" else stack.enter_context(Path(name).open("rb"))
            if name == "-" or not file.seekable():
                copy = stack.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(file, copy, BLOCK_BYTES)
                file = copy
        except OSError as error:
            raise Refused(f"{name} can't be read: {error.strerror}.") from None
        yield Log("standard input" if name == "-" else name, file)


def check(names: Sequence[str], bad: str | None) -> None:
    """Raise :class:`Refused` where one of the logs can't be opened, or is the file for bad lines; pipes aside."""
    for name in names:
        path = Path(name)
        if name != "-" and (path.is_file() or path.is_dir() or not path.exists()):
            with opened(name):
                if bad and Path(bad).exists() and path.samefile(bad):
                    raise Refused(f"--bad {bad} would overwrite the log that is imported: name another file.")


def parts(log: Log, known: Iterable[str], progress: Progress = lambda _: None) -> list[Part]:
    """The nodes by which a log's lines are known, given those that are known already. Reads all of it.

    What has no line's end is a part of its own: the log may grow there.
    """
    names = {match[1]: int(match[2]) for match in map(_NODE.fullmatch, known) if match}
    ends = set(names.values())
    digest, place = sha256(), 0
    found: list[Part] = []

    def end_part() -> None:
        if place > (found[-1].end if found else 0):
            found.append(Part(place, _name(digest.hexdigest(), place)))

    for block in log.blocks(progress):
        if not block.endswith(b"\n"):
            end_part()
            digest.update(block + b"\n")
            place += 1
            end_part()
            continue
        size, at = block.count(b"\n"), 0
        for end in sorted(end for end in ends if place < end < place + size):
            cut = _end_of_line(block, end - place)
            digest.update(block[at:cut])
            at = cut
            if _name(digest.hexdigest(), end) in names:
                found.append(Part(end, _name(digest.hexdigest(), end)))
        digest.update(block[at:])
        place += size
        if _name(digest.hexdigest(), place) in names:
            end_part()
    end_part()
    return found


def _name(digest: str, place: int) -> str:
    return f"{IMPORTED}{digest[:16]}-{place}"


def _end_of_line(block: bytes, number: int) -> int:
    """Where the line of that number, from 1, ends."""
    return int(np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == 10)[number - 1]) + 1
