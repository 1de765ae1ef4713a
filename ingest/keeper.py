"""Looks after the spool's folder beside its writers and its reader: syncs lines, tends what nginx writes."""

import logging
import os
import threading
import time
from pathlib import Path

from ingest import nginx, room, spool
from pixeltally.settings import Settings

log = logging.getLogger("keeper")

#: How often nginx's nodes are looked after.
TEND_S = 1.0


class Keeper:
    """A thread that works for as long as the context lasts."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._sync = Sync(settings.spool)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        every_s, next_tend = self._settings.spool_fsync_ms / 1000, 0.0
        while not self._stopping.wait(min(every_s or TEND_S, TEND_S)):
            try:
                if every_s:
                    self._sync.run()
                if time.monotonic() >= next_tend:
                    next_tend = time.monotonic() + TEND_S
                    self._tend()
            except OSError as error:
                log.error("the spool can't be looked after: %s", error)
                self._stopping.wait(TEND_S)

    def _tend(self) -> None:
        fed = [folder for folder in spool.nodes(self._settings.spool) if spool.is_fed_by_nginx(folder)]
        if fed:
            size, full = room.segment_bytes(self._settings), room.left_bytes(self._settings) <= 0
            for folder in fed:
                nginx.tend(folder, size, full)


class Sync:
    """Brings to the disk what has been appended since the last run, whoever appended it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._synced: dict[Path, int] = {}  #: size that each segment had at its last sync

    def run(self) -> None:
        """Sync the segments that have grown. Raises OSError."""
        found: dict[Path, int] = {}
        for folder in spool.nodes(self._root):
            for number in spool.segments(folder):
                path = spool.segment_path(folder, number)
                try:
                    found[path] = self._sync(path)
                except FileNotFoundError:
                    continue  # shipped and deleted meanwhile
        self._synced = found

    def _sync(self, path: Path) -> int:
        size = path.stat().st_size
        if size != self._synced.get(path, 0):
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fdatasync(handle)
            finally:
                os.close(handle)
        return size
