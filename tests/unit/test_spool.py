"""The spool gives back every whole line in order, once acknowledged never again, whatever breaks off."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import spool
from ingest.spool import Spool
from ingest.tail import Reader


def everything(reader, most=1 << 20):
    lines = []
    while chunk := reader.read(most):
        lines += chunk
    return lines


def test_lines_come_back_in_order_with_their_place(tmp_path):
    writer = Spool(tmp_path)
    places = [writer.append(b"line %d" % n) for n in range(100)]
    reader = Reader(tmp_path / writer.node)
    assert everything(reader) == [(place, b"line %d" % n) for n, place in enumerate(places)]
    assert reader.read(1024) == []
    assert reader.backlog_bytes() == 0


@given(
    st.lists(st.binary(max_size=40).filter(lambda each: not set(each) & {10}).filter(len), max_size=40),
    st.integers(60, 200),
    st.integers(1, 100),
)
def test_segments_chunks_and_restarts_change_nothing(tmp_path_factory, lines, segment, restart):
    root = tmp_path_factory.mktemp("spool")
    writer, expected = Spool(root, segment_bytes=segment), []
    try:
        for number, line in enumerate(lines):
            if number % restart == restart - 1:
                writer.close()
                writer = Spool(root, segment_bytes=segment)
            expected.append((writer.append(line), line))
        got, reader = [], Reader(root / writer.node)
        while chunk := reader.read(64):
            got += chunk
            reader.acknowledge(reader.position)
            reader = Reader(root / writer.node)
        assert got == expected
        assert len(spool.nodes(root)) == 1
        assert len(spool.segments(root / writer.node)) <= 2
    finally:
        writer.close()


def test_what_is_not_acknowledged_is_read_again(tmp_path):
    writer = Spool(tmp_path)
    writer.append(b"first")
    reader = Reader(tmp_path / writer.node)
    reader.read(1024)
    reader.acknowledge(reader.position)
    second = writer.append(b"second")
    assert reader.read(1024) == [(second, b"second")]
    assert Reader(tmp_path / writer.node).read(1024) == [(second, b"second")]


def test_a_torn_last_line_is_given_as_it_is_once_its_writer_is_gone(tmp_path):
    writer = Spool(tmp_path)
    writer.append(b"whole")
    folder = tmp_path / writer.node
    writer.close()
    with spool.segment_path(folder, 1).open("ab") as file:
        file.write(b'{"torn')
    assert [line for _, line in everything(Reader(folder))] == [b"whole"]
    later = Spool(tmp_path)
    later.append(b"later")
    assert [line for _, line in everything(Reader(folder))] == [b"whole", b'{"torn', b"later"]


def test_two_writers_never_share_a_node(tmp_path):
    first, second = Spool(tmp_path), Spool(tmp_path)
    assert first.node != second.node
    first.close()
    assert Spool(tmp_path).node == first.node


def test_a_full_disk_keeps_nothing_of_the_line(tmp_path, monkeypatch):
    writer = Spool(tmp_path)
    writer.append(b"before")
    really = os.write
    monkeypatch.setattr(os, "write", lambda handle, data: really(handle, data[:3]))
    with pytest.raises(OSError, match="part of a line"):
        writer.append(b"cut short")
    monkeypatch.undo()
    writer.append(b"after")
    assert [line for _, line in everything(Reader(tmp_path / writer.node))] == [b"before", b"after"]
