"""Looks at the processes and folders of a stack that this process runs."""

import os
import re
import time
from contextlib import suppress
from pathlib import Path

import psutil

from bench.soak_report import Sample, Seen
from pixeltally.settings import Settings


class Watch:
    """Takes samples."""

    def __init__(self, settings: Settings) -> None:
        data = settings.data
        self._folders = {
            "spool": settings.spool,
            "Kafka": data / "kafka",
            "ClickHouse": data / "clickhouse",
            "archive": Path(settings.archive),
        }
        self._began = time.monotonic()

    def sample(self, hits: int) -> Sample:
        """What there is now; `hits` have been answered so far."""
        processes = {}
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                name = _name(process)
                if name:
                    processes[name] = _seen(process)
        disk = {name: _bytes(folder) for name, folder in self._folders.items()}
        return Sample(time.monotonic() - self._began, hits, processes, disk)


def _name(process: psutil.Process) -> str:
    """A process as the report calls it; empty where it isn't a tier's. Ingest is three of them."""
    line = " ".join(process.cmdline())
    found = re.search(r"pixeltally (ingest shipper|ingest|streams|sink|live|clickhouse|broker)\b", line)
    if not found:
        return ""
    if found[1] == "ingest":
        return "ingest" if "-m pixeltally" in line else "ingest worker"
    return found[1]


def _seen(process: psutil.Process) -> Seen:
    with process.oneshot():
        spent = process.cpu_times()
        return Seen(process.pid, process.memory_info().rss, process.num_fds(), spent.user + spent.system)


def _bytes(folder: Path) -> int:
    """What a folder takes of the disk; files come and go meanwhile."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
    return total
