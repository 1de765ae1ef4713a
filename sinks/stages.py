"""What each stage holds of a range of minutes, asked of ClickHouse. Each query gives rows (key…, counts…)."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

from clickhouse_connect.driver.client import Client

from pixeltally.hit import IMPORTED, PUT_BACK

#: The counts that windows tell of a minute's ad unit.
WINDOW = ("gross", "invalid", "duplicates", "valid", "uniques", "clicks", "attributed_clicks", "conversions", "revenue")

#: Uniques are told in sets over so many seconds.
SLICE_S = 900


class Span(NamedTuple):
    """A range of whole minutes, epoch seconds; `end` is not in it."""

    start: int
    end: int

    def parameters(self) -> dict[str, Any]:
        """As queries take it."""
        return {"start": datetime.fromtimestamp(self.start, UTC), "end": datetime.fromtimestamp(self.end, UTC)}


def _within(name: str) -> str:
    return f"{name} >= {{start:DateTime('UTC')}} AND {name} < {{end:DateTime('UTC')}}"


#: A node that has segments, unlike those of imported logs and of dead letters that were put back.
_HAS_SEGMENTS = f"NOT startsWith(node, '{IMPORTED}') AND NOT startsWith(node, '{PUT_BACK}')"

_UNIT = "advertiser, campaign, creative, placement"

#: The ad unit as minutes call it: those that are not counted stand together.
_FOLDED = ", ".join(
    f"if(verdict = 'unregistered', '{'' if part == 'placement' else '~unregistered'}', {part}) AS folded_{part}"
    for part in ("advertiser", "campaign", "creative", "placement")
)

ACCOUNTS = f"""
SELECT node, toUnixTimestamp(minute), sum(answered), sum(lost), sum(spooled), sum(unanswered)
FROM spooled_minutes WHERE {_within("minute")} GROUP BY node, minute
"""

#: By node and minute: hits of segments that are accounted for.
SPOOLED_FACTS = f"""
SELECT node, toUnixTimestamp(toStartOfMinute(ts)), count()
FROM facts FINAL
WHERE {_within("ts")} AND {_HAS_SEGMENTS} AND (node, bitShiftRight(seq, 40)) IN (SELECT node, segment FROM segments)
GROUP BY node, toStartOfMinute(ts)
"""

#: The same of lines that can't be counted. A torn line's time is not read by whoever accounts for it either.
SPOOLED_DEAD = f"""
SELECT node, toUnixTimestamp(minute), count()
FROM dead_requests
WHERE {_within("minute")} AND (node, segment) IN (SELECT node, segment FROM segments)
GROUP BY node, minute
"""

#: Hits whose segment nobody has accounted for, though its node had been accounted for before: by node and segment.
UNACCOUNTED = f"""
SELECT node, bitShiftRight(seq, 40) AS segment, toUnixTimestamp(min(ts)), toUnixTimestamp(max(ts)), count()
FROM facts FINAL
WHERE {_within("ts")} AND {_HAS_SEGMENTS} AND (node, segment) NOT IN (SELECT node, segment FROM segments)
GROUP BY node, segment
"""

FACTS = f"""
SELECT toUnixTimestamp(toStartOfMinute(ts)), {_UNIT}, count()
FROM facts FINAL WHERE {_within("ts")} GROUP BY toStartOfMinute(ts), {_UNIT}
"""

WITHOUT_SEGMENTS = f"""
SELECT countIf(startsWith(node, '{IMPORTED}')), countIf(startsWith(node, '{PUT_BACK}'))
FROM facts FINAL WHERE {_within("ts")}
"""

#: Ad units' minutes that had a late hit: they are counted from facts, and can't speak for themselves.
_LATE = f"SELECT minute, {_UNIT} FROM minute_rows WHERE late AND {_within('minute')}"

WINDOWS = f"""
SELECT toUnixTimestamp(minute), {_UNIT}, {", ".join(f"sum(r.{name})" for name in WINDOW)}
FROM minute_rows AS r FINAL
WHERE NOT late AND {_within("minute")} AND (minute, {_UNIT}) NOT IN ({_LATE})
GROUP BY minute, {_UNIT}
"""

FACTS_AS_WINDOWS = f"""
SELECT
    toUnixTimestamp(toStartOfMinute(ts)::DateTime('UTC') AS minute),
    folded_advertiser, folded_campaign, folded_creative, folded_placement,
    countIf(image) AS gross,
    countIf(image AND NOT duplicate AND verdict != 'valid'),
    countIf(image AND duplicate),
    countIf(image AND counted),
    uniqExactIf(visitor, image AND verdict = 'valid' AND visitor != 0),
    countIf(kind = 'click' AND counted),
    countIf(kind = 'click' AND counted AND impression_id != toUUID('00000000-0000-0000-0000-000000000000')),
    countIf(kind = 'conversion' AND counted),
    sumIf(value, kind = 'conversion' AND counted)
FROM
(
    SELECT *, {_FOLDED}, kind IN ('impression', 'open', 'view') AS image, NOT duplicate AND verdict = 'valid' AS counted
    FROM facts FINAL WHERE {_within("ts")}
)
WHERE (minute, folded_advertiser, folded_campaign, folded_creative, folded_placement) NOT IN ({_LATE})
GROUP BY minute, folded_advertiser, folded_campaign, folded_creative, folded_placement
"""

#: Uniques of quarter hours, and the same from facts. In one in which somebody was forgotten they are two visitors.
_NOT_ERASED = "NOT IN (SELECT toStartOfFifteenMinutes(at)::DateTime('UTC') FROM erasures)"

REACH = f"""
SELECT toUnixTimestamp(slice), {_UNIT}, uniqExactArray(visitors)
FROM slice_visitors WHERE {_within("slice")} AND slice {_NOT_ERASED} GROUP BY slice, {_UNIT}
"""

FACTS_AS_REACH = f"""
SELECT toUnixTimestamp(toStartOfFifteenMinutes(ts)::DateTime('UTC') AS slice), {_UNIT}, uniqExact(visitor)
FROM facts FINAL
WHERE {_within("ts")} AND kind IN ('impression', 'open', 'view') AND verdict = 'valid' AND visitor != 0
    AND slice {_NOT_ERASED}
GROUP BY slice, {_UNIT}
"""

ERASED_MINUTES = f"SELECT DISTINCT toUnixTimestamp(toStartOfMinute(at)) FROM erasures WHERE {_within('at')}"
ERASED_LETTERS = "SELECT count() FROM forgotten_letters FINAL"
REFUSED_HITS = "SELECT origin FROM dead_letters WHERE startsWith(origin, 'pixeltally.hits/')"


def rows(client: Client, query: str, span: Span) -> Iterator[tuple[Any, ...]]:
    """A query's rows for a range."""
    with client.query_rows_stream(query, parameters=span.parameters()) as found:
        yield from (tuple(row) for row in found)
