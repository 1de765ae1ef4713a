"""The spool gives back every whole line in order, once acknowledged never again, whatever breaks off."""

import errno
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import spool, tail
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
        folder = root / writer.node
        left = set(spool.segments(folder)) - set(tail.finished(folder, 60))
        assert len(left) <= 2
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


class Disk:
    """Takes so many bytes as it has free, and then says that it is full."""

    def __init__(self, monkeypatch):
        self.free, self._write = 1 << 40, os.write
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(spool, "LOOK_S", 0)

    def write(self, handle, data):
        if data and not self.free:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = self._write(handle, bytes(data[: self.free]))
        self.free -= taken
        return taken


@given(st.lists(st.tuples(st.integers(1, 40), st.sampled_from([0, 0, 3, 25, 60, 1 << 40]), st.booleans()), max_size=60))
def test_lines_wait_for_room_in_their_order_and_none_is_torn(tmp_path_factory, steps):
    root = tmp_path_factory.mktemp("spool")
    with pytest.MonkeyPatch.context() as monkeypatch:
        disk, expected, refused = Disk(monkeypatch), [], 0
        writer = Spool(root, segment_bytes=100)
        for number, (size, free, turns) in enumerate(steps):
            disk.free = free
            line = b"%d" % number + b"x" * size
            try:
                expected.append((writer.append(line), line))
            except spool.Full:
                assert writer.waiting_bytes + len(line) + 1 > 100
                refused += 1
            assert writer.waiting_bytes <= 100
            if turns:
                writer.turn()
        disk.free = 1 << 40
        writer.turn()
        assert writer.waiting_bytes == 0
        assert everything(Reader(root / writer.node)) == expected
        assert len(expected) + refused == len(steps)
        writer.close()


def test_a_full_spool_takes_what_waits_as_soon_as_there_is_room(tmp_path, monkeypatch):
    left = [11]
    monkeypatch.setattr(spool, "LOOK_S", 0)
    writer = Spool(tmp_path, lambda: left[0], segment_bytes=20)
    reader = Reader(tmp_path / writer.node)
    writer.append(b"0123456789")
    left[0] = 0
    second = writer.append(b"more")
    assert (writer.waiting_bytes, everything(reader)) == (5, [(1 << 40, b"0123456789")])
    with pytest.raises(spool.Full, match="the spool is full"):
        writer.append(b"more than may wait")
    left[0] = 100
    writer.turn()
    assert (writer.waiting_bytes, everything(reader)) == (0, [(second, b"more")])


def test_a_segment_that_cannot_be_begun_is_gone_on_with(tmp_path, monkeypatch):
    writer = Spool(tmp_path, segment_bytes=5)
    writer.append(b"first")
    with monkeypatch.context() as broken:
        broken.setattr(spool, "create_segment", lambda *_: (_ for _ in ()).throw(OSError("no inode")))
        writer.append(b"second")
    writer.append(b"third")
    assert [line for _, line in everything(Reader(tmp_path / writer.node))] == [b"first", b"second", b"third"]
    assert len(spool.segments(tmp_path / writer.node)) == 2


@pytest.mark.parametrize("note", ["", "garbage", "\0" * 21])
def test_an_illegible_position_starts_from_what_is_there(tmp_path, note):
    writer = Spool(tmp_path)
    writer.append(b"line")
    (tmp_path / writer.node / "position").write_text(note)
    assert [line for _, line in everything(Reader(tmp_path / writer.node))] == [b"line"]


def test_no_segment_number_is_given_twice(tmp_path):
    writer = Spool(tmp_path, segment_bytes=5)
    for _ in range(3):
        writer.append(b"a line")
    folder = tmp_path / writer.node
    reader = Reader(folder)
    everything(reader)
    reader.acknowledge(reader.position)
    writer.close()
    for number in spool.segments(folder):
        spool.segment_path(folder, number).unlink()
    later = Spool(tmp_path)
    assert later.node == folder.name
    assert later.append(b"again") >> 40 > 3


def test_a_full_disk_under_the_position_deletes_nothing_and_forgets_nothing(tmp_path, monkeypatch):
    writer = Spool(tmp_path, segment_bytes=5)
    for _ in range(3):
        writer.append(b"a line")
    reader = Reader(tmp_path / writer.node)
    everything(reader)
    with monkeypatch.context() as full:
        full.setattr(os, "pwrite", lambda *_: (_ for _ in ()).throw(OSError("no room")))
        with pytest.raises(OSError, match="no room"):
            reader.acknowledge(reader.position)
    assert tail.finished(tmp_path / writer.node, 0) == []
    reader.acknowledge(reader.position)
    assert tail.finished(tmp_path / writer.node, 0) == [1, 2]


def test_a_node_is_removed_only_when_it_is_empty_old_and_nobodys(tmp_path, monkeypatch):
    writer = Spool(tmp_path)
    reader = Reader(tmp_path / writer.node)
    monkeypatch.setattr(tail, "IDLE_S", -1.0)
    assert not reader.remove_if_idle()
    writer.append(b"line")
    writer.close()
    assert not reader.remove_if_idle()
    everything(reader)
    reader.acknowledge(reader.position)
    assert not reader.remove_if_idle()
    [number] = tail.finished(tmp_path / writer.node, 0)
    spool.segment_path(tmp_path / writer.node, number).unlink()
    monkeypatch.setattr(tail, "IDLE_S", 3600.0)
    assert not reader.remove_if_idle()
    monkeypatch.setattr(tail, "IDLE_S", -1.0)
    assert reader.remove_if_idle()
    assert list(tmp_path.iterdir()) == []


def test_one_process_at_a_time_holds_a_lock(tmp_path):
    held = spool.try_lock(tmp_path)
    assert spool.try_lock(tmp_path) is None
    os.close(held)
    assert spool.try_lock(tmp_path) is not None
    assert spool.try_lock(tmp_path / "nowhere") is None


def test_a_segment_is_finished_when_all_of_it_is_in_kafka_and_nobody_writes_it(tmp_path, monkeypatch):
    writer = Spool(tmp_path)
    folder, reader = tmp_path / writer.node, Reader(tmp_path / writer.node)
    writer.append(b"line")
    everything(reader)
    assert tail.finished(folder, 0) == []
    reader.acknowledge(reader.position)
    assert tail.finished(folder, 0) == []  # its writer may go on with it
    monkeypatch.setattr(spool, "SEGMENT_S", -1.0)
    writer.turn()
    assert tail.finished(folder, 0) == [1]
    writer.append(b"more")
    writer.close()
    assert tail.finished(folder, 0) == [1]
    everything(reader)
    reader.acknowledge(reader.position)
    assert tail.finished(folder, 60) == [1]
    assert tail.finished(folder, 0) == [1, 2]


def test_an_idle_writer_begins_no_segment(tmp_path, monkeypatch):
    writer = Spool(tmp_path)
    monkeypatch.setattr(spool, "SEGMENT_S", -1.0)
    for _ in range(3):
        writer.turn()
    assert spool.segments(writer.folder) == [1]
