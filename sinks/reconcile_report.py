"""What a reconciliation found, for people and for programs."""

import json
from datetime import UTC, datetime
from typing import Any

from sinks.reconcile import Difference, Reconciliation

#: Differences that a table shows.
SHOWN = 50

_ROWS = (
    ("answered", "answered", "counted by whoever answered"),
    ("  lost", "lost", "answered, and the spool could not take them"),
    ("spooled", "spooled", "lines of closed segments"),
    ("  dead letters", "dead", "of them, can't be counted: pixeltally dead list"),
    ("imported", "imported", "hits of imported logs: they were not answered here"),
    ("put back", "put_back", "dead letters that were put back"),
    ("in Kafka", "in_kafka", "distinct hits in pixeltally.hits, read again"),
    ("facts", "facts", "hits in ClickHouse"),
    ("  images", "facts_gross", "of them, of images, where windows speak for themselves"),
    ("windows", "windows_gross", "images counted in memory"),
    ("  uniques", "facts_uniques", "visitors of quarter hours, from facts"),
    ("reach", "reach_uniques", "the same, from the sets that reach is made of"),
)


def table(found: Reconciliation) -> str:
    """For people."""
    lines = [f"{_time(found.span.start)} to {_time(found.span.end)} UTC, as settled"]
    if found.asked_to > found.span.end:
        lines.append("what is younger is still on its way and was not judged")
    lines += ["", f"{'stage':16}{'count':>14}"]
    for name, key, says in _ROWS:
        count = found.counts[key]
        lines.append(f"{name:16}{'-' if count is None else f'{count:,}':>14}  {says}")
    if found.counts["in_kafka"] is None:
        lines.append("Kafka keeps this range no more: facts could not be compared with it")
    if found.unaccounted:
        lines.append(f"{found.unaccounted:,} facts are of segments that were never accounted for")
    lines += ["", f"difference {found.difference:,}"]
    lines += [_difference(each) for each in found.differences[:SHOWN]]
    if len(found.differences) > SHOWN:
        lines.append(f"… and {len(found.differences) - SHOWN:,} more: --format json has them all")
    return "".join(f"{line}\n" for line in lines)


def as_json(found: Reconciliation) -> str:
    """For programs: one object."""
    said: dict[str, Any] = {
        "from": _iso(found.span.start),
        "to": _iso(found.span.end),
        **found.counts,
        "unaccounted": found.unaccounted,
        "differences": [
            {
                "minute": _iso(each.minute),
                "where": each.where,
                "what": each.what,
                each.one: _plain(each.counts[0]),
                each.other: _plain(each.counts[1]),
            }
            for each in found.differences
        ],
    }
    return f"{json.dumps(said, indent=2)}\n"


def _difference(each: Difference) -> str:
    one, other = (f"{name} {count:,}" for name, count in zip((each.one, each.other), each.counts, strict=True))
    return f"  {_time(each.minute)}  {each.where}  {each.what}: {one}, {other}"


def _plain(count: Any) -> Any:
    return count if isinstance(count, int) else str(count)


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
