"""The spool warns before it is full, and is full at its limit or at the disk's."""

import shutil
from collections import namedtuple

import pytest

from ingest import room
from ingest.spool import Full
from pixeltally.settings import Settings

MIB = 1 << 20
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "spool").mkdir()
    return Settings.from_env(
        {
            "PIXELTALLY_DATA": str(tmp_path),
            "PIXELTALLY_SPOOL_MAX_BYTES": str(2 * MIB),
            "PIXELTALLY_SPOOL_MIN_FREE_BYTES": str(MIB),
        }
    )


def test_near_its_limit_it_says_so_and_at_its_limit_it_is_full(settings):
    spool = room.open_spool(settings)
    assert (room.problem(settings), room.left_bytes(settings)) == ("", 2 * MIB)
    line = b"x" * (MIB // 16 - 1)
    for _ in range(29):
        spool.append(line)
    assert "PIXELTALLY_SPOOL_MAX_BYTES" in room.problem(settings)
    for _ in range(3):
        spool.append(line)
    for _ in range(2):
        spool.append(line)
    assert (spool.waiting_bytes, spool.problem) == (MIB // 8, "the spool is full")
    with pytest.raises(Full):
        spool.append(line)
    assert room.left_bytes(settings) == 0
    assert room.segment_bytes(settings) == 2 * MIB // 16


def test_the_disk_keeps_its_floor(settings, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * MIB, 0, int(1.5 * MIB)))
    assert "PIXELTALLY_SPOOL_MIN_FREE_BYTES" in room.problem(settings)
    assert room.left_bytes(settings) == MIB // 2
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(100 * MIB, 0, MIB // 2))
    assert room.left_bytes(settings) < 0
