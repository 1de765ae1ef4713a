"""What has been appended is synced once, whoever appended it; nginx's node is given its next segment in time."""

import os
import time

from ingest import keeper, nginx, spool
from ingest.keeper import Keeper, Sync
from ingest.spool import Spool
from pixeltally.settings import Settings


def test_only_what_has_grown_is_synced(tmp_path, monkeypatch):
    synced = []
    monkeypatch.setattr(os, "fdatasync", lambda handle: synced.append(os.fstat(handle).st_size))
    sync, writers = Sync(tmp_path), (Spool(tmp_path), Spool(tmp_path))
    sync.run()
    assert synced == []
    writers[0].append(b"123")
    sync.run()
    sync.run()
    assert synced == [4]
    for writer in writers:
        writer.append(b"12345")
    sync.run()
    assert sorted(synced) == [4, 6, 10]


def test_the_keeper_syncs_and_tends(tmp_path, monkeypatch):
    monkeypatch.setattr(keeper, "TEND_S", 0.01)
    synced = []
    monkeypatch.setattr(os, "fdatasync", synced.append)
    environ = {"DATA": str(tmp_path), "SPOOL_MAX_BYTES": str(1 << 20), "SPOOL_FSYNC_MS": "5"}
    settings = Settings.from_env({f"PIXELTALLY_{name}": value for name, value in environ.items()})
    node = settings.spool / "nginx"
    nginx.prepare(node)
    with Keeper(settings):
        (node / "current").write_bytes(b"x" * (1 << 16))
        until = time.monotonic() + 5
        while len(spool.segments(node)) < 2 and time.monotonic() < until:
            time.sleep(0.01)
    assert len(spool.segments(node)) == 2
    assert os.readlink(node / "current") == spool.segment_path(node, 2).name
    assert synced
