"""A log is known by what it holds: however it is compressed, and also after it has grown."""

import gzip
import io
import os
import threading

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from ingest import log_file, log_lines
from ingest.log_file import Log, opened, parts
from pixeltally.errors import Refused


def log(content):
    return Log("log", io.BytesIO(content))


def read(content):
    found = [log_lines.read(block) for block in log(content).blocks()]
    return [lines.line(index) for lines in found for index in range(len(lines))]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(log_file, "BLOCK_BYTES", 64)


CONTENT = b"".join(b"line %d of the log\n" % number for number in range(100))
GZIPPED = gzip.compress(CONTENT)
HALVES = [CONTENT[:500], CONTENT[500:]]


@pytest.mark.parametrize(
    "file",
    [
        CONTENT,
        gzip.compress(CONTENT),
        b"".join(map(gzip.compress, HALVES)),
        zstandard.compress(CONTENT),
        b"".join(map(zstandard.compress, HALVES)),
        CONTENT.replace(b"\n", b"\r\n"),
        CONTENT[:-1],
    ],
    ids=["plain", "gz", "gz of several members", "zst", "zst of several frames", "DOS", "without its last newline"],
)
def test_a_log_has_the_same_lines_however_it_is_written(file):
    assert read(file) == CONTENT.splitlines()


def test_it_is_known_by_the_same_name_however_it_is_compressed():
    known = {
        part.node
        for file in (CONTENT, gzip.compress(CONTENT, 1), zstandard.compress(CONTENT))
        for part in parts(log(file), [])
    }
    assert len(known) == 1
    assert parts(log(CONTENT + b"\n"), [])[0].node not in known


def nodes(content, known=()):
    """The node of each line."""
    found, place = [], 0
    for part in parts(log(content), known):
        found += [part.node] * (part.end - place)
        place = part.end
    assert len(found) == len(read(content))
    return found


@given(st.lists(st.integers(0, 100), max_size=6), st.booleans())
def test_a_log_that_has_grown_is_known_up_to_where_it_ended(ends, torn):
    known, seen = set(), {}
    for end in sorted(ends):
        content = b"".join(CONTENT.splitlines(keepends=True)[:end])
        content = content[:-1] if torn else content
        for place, node in enumerate(nodes(content, known)):
            assert seen.setdefault(place, node) == node
        known |= {*nodes(content, known)} | {f"{node}-1a2b3c4d" for node in nodes(content, known)[:1]}
    assert len(seen) == max(ends, default=0)


def test_a_line_that_was_torn_is_another_line_once_it_is_whole():
    torn = CONTENT[:-5]
    before = nodes(torn)
    after = nodes(CONTENT, before)
    assert before[:99] == after[:99]
    assert before[99] != after[99]


def test_another_log_that_begins_alike_is_another():
    one, other = CONTENT + b"one\n", CONTENT + b"other\n"
    assert not {*nodes(one)} & {*nodes(other, nodes(one))}
    assert nodes(one, ["import-0123456789abcdef-50", "dead-beef", "import-x-3"]) == nodes(one)


def test_what_is_longer_than_a_block_is_read_in_pieces():
    content = b"a\n" + b"x" * 1000 + b"\nb\n"
    assert b"".join(read(content)) == content.replace(b"\n", b"")
    assert len(nodes(content)) == len(read(content))


@pytest.mark.parametrize(
    "file",
    [gzip.compress(CONTENT)[:-20], gzip.compress(CONTENT)[:20] + b"x" * 50, b"\x1f\x8b\x08"],
    ids=["cut short", "broken", "hardly begun"],
)
def test_what_cannot_be_decompressed_is_refused(file):
    with pytest.raises(Refused, match="^log can't be read to its end"):
        read(file)


def test_an_empty_log_has_no_lines():
    assert (read(b""), parts(log(b""), [])) == ([], [])


def test_a_log_that_is_not_there_is_refused(tmp_path):
    for name in (tmp_path / "none", tmp_path):
        with pytest.raises(Refused, match="can't be read"), opened(str(name)):
            pass


def test_what_is_written_meanwhile_is_left_for_another_time(tmp_path):
    path = tmp_path / "log"
    path.write_bytes(CONTENT)
    with opened(str(path)) as log:
        before = parts(log, [])
        with path.open("ab") as file:
            file.write(b"one more\n")
        assert parts(log, []) == before
        assert b"".join(log.blocks()) == CONTENT


def test_what_cannot_be_read_twice_is_copied(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(GZIPPED,))
    writer.start()
    with opened(str(path)) as log:
        assert parts(log, []) == parts(Log("log", io.BytesIO(CONTENT)), [])
        assert b"".join(log.blocks()) == CONTENT
    writer.join()
