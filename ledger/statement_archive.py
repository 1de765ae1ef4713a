"""Which part of the archive a statement rests on: the logs, from which entry to which, and their hashes."""

from collections.abc import Iterable, Iterator
from hashlib import sha256
from itertools import groupby
from pathlib import Path
from typing import Any

from ledger.statement_counts import Period
from pixeltally import archive
from pixeltally.archive import ORDER, REQUESTS, Entry
from pixeltally.hit import IMPORTED, PUT_BACK
from pixeltally.settings import Settings

Hashed = tuple[Entry, str]


def part(root: Path, period: Period, memory_ms: int, clicks: Iterable[int] = ()) -> dict[str, Any]:
    """The part, as a statement names it; `root` stands for all of it.

    A request is judged by those that arrived no more than `memory_ms` before it. `clicks`: the times of others that
    must be in it.
    """
    start = min([round(period.start.timestamp() * 1000), *clicks])
    end = max([round(period.end.timestamp() * 1000), *(at + 1 for at in clicks)])
    order = {name: _order(root, name, (start, end), memory_ms) for name in archive.logs(root, ORDER)}
    asked = [entry for its in order.values() for entry, _ in its if entry.asked_last]
    first = min([start - memory_ms, *(entry.asked_first for entry in asked)])
    last = max([end, *(entry.asked_last + 1 for entry in asked)])
    requests = {name: _overlapping(archive.entries(root, name), first, last) for name in archive.logs(root, REQUESTS)}
    logs = [_log(name, its) for name, its in sorted({**order, **requests}.items()) if its]
    root_hash = sha256("".join(f"{each['log']} {each['head']}\n" for each in logs).encode()).hexdigest()
    return {"root": root_hash, "logs": logs, "counted_by": _settings(order), "read_by": _settings(requests)}


def uncovered(root: Path, segments: dict[str, dict[int, int]]) -> dict[str, int]:
    """Hits that stand in no archived segment: those of nodes that have none, and those that aren't archived yet."""
    found = {"without_segment": 0, "unarchived": 0}
    for node, its in segments.items():
        if node.startswith((IMPORTED, PUT_BACK)):
            found["without_segment"] += sum(its.values())
            continue
        known = {entry.number for entry, _ in archive.entries(root, f"{REQUESTS}/{node}")}
        found["unarchived"] += sum(count for segment, count in its.items() if segment not in known)
    return found


def _order(root: Path, name: str, times: tuple[int, int], memory_ms: int) -> list[Hashed]:
    """The blocks that hold hits of the period, and those before that these may have been judged by."""
    all_of = [*archive.entries(root, name)]
    overlapping = [at for at, (entry, _) in enumerate(all_of) if entry.last >= times[0] and entry.first < times[1]]
    if not overlapping:
        return []
    first, last = overlapping[0], overlapping[-1]
    remembered = all_of[first][0].arrived_first - memory_ms
    while first and all_of[first - 1][0].arrived_last >= remembered:
        first -= 1
    return all_of[first : last + 1]


def _overlapping(entries: Iterable[Hashed], start: int, end: int) -> list[Hashed]:
    """From the first to the last entry that holds hits of the range."""
    found: list[Hashed] = []
    pending: list[Hashed] = []
    for entry, hash in entries:
        pending += [(entry, hash)] if found or entry.last >= start else []
        if pending and entry.last >= start and entry.first < end:
            found += pending
            pending = []
    return found


def _log(name: str, its: list[Hashed]) -> dict[str, Any]:
    entries = [entry for entry, _ in its]
    return {
        "log": name,
        "first": entries[0].number,
        "last": entries[-1].number,
        "blocks": len(entries),
        "lines": sum(entry.lines for entry in entries),
        "before": entries[0].before,
        "head": its[-1][1],
    }


def _settings(logs: dict[str, list[Hashed]]) -> list[dict[str, str]]:
    """The settings that blocks name, each once."""
    named: Iterator[tuple[tuple[str, str], ...]] = (
        tuple(sorted(entry.settings.items())) for its in logs.values() for entry, _ in its
    )
    return [dict(each) for each, _ in groupby(sorted(named))]


def memory_ms(settings: Settings) -> int:
    """How long a request is remembered at most (streams/memory.py): two spans of the longest window."""
    return 2000 * max(settings.duplicate_window_s, settings.attribution_window_s, 60)
