"""How much the spool may still take: its own limit, and what must stay free on its disk."""

import shutil
from functools import partial
from pathlib import Path

from ingest.spool import SEGMENT_BYTES, Spool, nodes, segment_path, segments
from pixeltally.settings import Settings

#: From this share of the limit on, `/readyz` says so.
NEARLY = 0.9

#: A limit is kept in at least so many segments: a segment gives its room back only as a whole.
_SEGMENTS = 16


def open_spool(settings: Settings) -> Spool:
    """A worker's spool that keeps within its limits."""
    return Spool(settings.spool, partial(left_bytes, settings), segment_bytes(settings))


def segment_bytes(settings: Settings) -> int:
    """The size at which a segment is closed."""
    return int(min(SEGMENT_BYTES, settings.spool_max_bytes // _SEGMENTS))


def used_bytes(root: Path) -> int:
    """The size of all segments that have not been deleted."""
    used = 0
    for folder in nodes(root):
        for number in segments(folder):
            try:
                used += segment_path(folder, number).stat().st_size
            except FileNotFoundError:
                continue  # the shipper has just deleted it
    return used


def left_bytes(settings: Settings) -> int:
    """Bytes that the spool may still take; none or fewer where it is full."""
    free = shutil.disk_usage(settings.spool).free
    return min(settings.spool_max_bytes - used_bytes(settings.spool), free - settings.spool_min_free_bytes)


def problem(settings: Settings) -> str:
    """Why the spool is full or soon will be; empty where it is neither."""
    used, most = used_bytes(settings.spool), settings.spool_max_bytes
    if used >= NEARLY * most:
        return f"the spool holds {_mib(used)} of the {_mib(most)} that it may (PIXELTALLY_SPOOL_MAX_BYTES)"
    free, least = shutil.disk_usage(settings.spool).free, settings.spool_min_free_bytes
    if free < 2 * least:
        return f"{_mib(free)} of disk are free; at {_mib(least)} the spool is full (PIXELTALLY_SPOOL_MIN_FREE_BYTES)"
    return ""


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.0f} MiB"
