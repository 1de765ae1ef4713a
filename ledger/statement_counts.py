"""What facts say of a campaign's days, for a statement: every request with what became of it."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from clickhouse_connect.driver.client import Client

from ledger.campaign import Campaign


class Period(NamedTuple):
    """Days of a time zone, the first and the last included."""

    first: date
    last: date
    timezone: str

    @property
    def start(self) -> datetime:
        """When it begins."""
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=ZoneInfo(self.timezone))

    @property
    def end(self) -> datetime:
        """When it is over."""
        after = self.last + timedelta(days=1)
        return datetime(after.year, after.month, after.day, tzinfo=ZoneInfo(self.timezone))


_WHERE = """
advertiser = {advertiser:String} AND campaign = {campaign:String}
    AND ts >= {start:DateTime64(3, 'UTC')} AND ts < {end:DateTime64(3, 'UTC')}
"""
_DAY = "toString(toDate(ts, {timezone:String}))"
_IMAGE = "kind IN ('impression', 'open', 'view')"

_OUTCOMES = f"""
SELECT
    {_DAY} AS day, creative, placement, if({_IMAGE}, 'impressions', 'clicks') AS what, verdict, duplicate,
    count(), countIf(impression_id != toUUID('00000000-0000-0000-0000-000000000000'))
FROM facts FINAL WHERE {_WHERE} AND kind != 'conversion'
GROUP BY day, creative, placement, what, verdict, duplicate
"""

_REACHED = f"FROM facts FINAL WHERE {_WHERE} AND {_IMAGE} AND verdict = 'valid' AND visitor != 0"

_COUNTED = "verdict = 'valid' AND NOT duplicate"
_ORDERS = f"""
SELECT {_DAY} AS day, currency, count(), sum(value)
FROM conversions WHERE {_WHERE} AND {_COUNTED} GROUP BY day, currency
"""

#: Orders that would count here, had they not been counted before.
_EARLIER = f"""
SELECT DISTINCT `order` FROM facts FINAL
WHERE {_WHERE} AND kind = 'conversion' AND {_COUNTED} AND `order` != ''
    AND `order` NOT IN (SELECT `order` FROM conversions WHERE {_WHERE} AND {_COUNTED})
"""

_RULES = f"SELECT rules_version, count() FROM facts FINAL WHERE {_WHERE} GROUP BY rules_version ORDER BY rules_version"

_SEGMENTS = f"SELECT node, bitShiftRight(seq, 40) AS segment, count() FROM facts FINAL WHERE {_WHERE} GROUP BY ALL"

Counts = dict[str, Any]


class Counter:
    """Asks for one campaign and period."""

    def __init__(self, client: Client, campaign: Campaign, period: Period) -> None:
        self._client = client
        self._parameters: dict[str, Any] = {
            **campaign._asdict(),
            "start": period.start.astimezone(UTC),
            "end": period.end.astimezone(UTC),
            "timezone": period.timezone,
        }
        self._outcomes = self._rows(_OUTCOMES)
        self._orders = self._rows(_ORDERS)

    def total(self) -> Counts:
        """Of all days."""
        counts = _counts(self._outcomes, self._rows(f"SELECT uniqExact(visitor) {_REACHED}")[0][0])
        return counts | {"conversions": _conversions(self._orders)}

    def days(self) -> list[Counts]:
        """Of each day that anything was counted on."""
        uniques = dict(self._rows(f"SELECT {_DAY} AS day, uniqExact(visitor) {_REACHED} GROUP BY day"))
        days = sorted({*(row[0] for row in self._outcomes), *(row[0] for row in self._orders)})
        return [
            {
                "day": day,
                **_counts([row for row in self._outcomes if row[0] == day], uniques.get(day, 0)),
                "conversions": _conversions([row for row in self._orders if row[0] == day]),
            }
            for day in days
        ]

    def units(self) -> list[Counts]:
        """Of each ad unit; conversions are of none."""
        rows = self._rows(f"SELECT creative, placement, uniqExact(visitor) {_REACHED} GROUP BY creative, placement")
        uniques = {(creative, placement): count for creative, placement, count in rows}
        return [
            {
                "creative": unit[0],
                "placement": unit[1],
                **_counts([row for row in self._outcomes if row[1:3] == unit], uniques.get(unit, 0)),
            }
            for unit in sorted({row[1:3] for row in self._outcomes})
        ]

    def uniques_of(self, days: list[str]) -> int:
        """Distinct visitors of some days together."""
        query = f"SELECT uniqExact(visitor) {_REACHED} AND {_DAY} IN {{days:Array(String)}}"
        return int(self._client.query(query, parameters={**self._parameters, "days": days}).result_rows[0][0])

    def earlier_orders(self) -> list[str]:
        """SHA-256 of orders that were reported and had been counted before the period."""
        return sorted(sha256(order.encode()).hexdigest() for (order,) in self._rows(_EARLIER))

    def rules(self) -> list[dict[str, Any]]:
        """By which rules and lists how many hits were judged."""
        return [{"version": version, "hits": count} for version, count in self._rows(_RULES)]

    def segments(self) -> dict[str, dict[int, int]]:
        """In which nodes' segments how many of the hits stand."""
        found: dict[str, dict[int, int]] = defaultdict(dict)
        for node, segment, count in self._rows(_SEGMENTS):
            found[node][segment] = count
        return found

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._client.query(query, parameters=self._parameters).result_rows]


def _counts(outcomes: list[tuple[Any, ...]], unique: int) -> Counts:
    """Every request has one outcome: gross = valid + duplicates + Σ invalid."""
    found: Counts = {
        what: {"gross": 0, "invalid": defaultdict(int), "duplicates": 0, "valid": 0}
        for what in ("impressions", "clicks")
    }
    found["impressions"]["unique"], found["clicks"]["attributed"] = unique, 0
    for _, _, _, what, verdict, duplicate, count, attributed in outcomes:
        its = found[what]
        its["gross"] += count
        if verdict != "valid":
            its["invalid"][verdict] += count
        elif duplicate:
            its["duplicates"] += count
        else:
            its["valid"] += count
            if what == "clicks":
                its["attributed"] += attributed
    for its in found.values():
        its["invalid"] = dict(its["invalid"])
    return found


def _conversions(orders: list[tuple[Any, ...]]) -> Counts:
    value: dict[str, Decimal] = defaultdict(Decimal)
    for _, currency, _, worth in orders:
        value[currency] += worth
    worth_of = {currency or "-": f"{worth:.4f}" for currency, worth in value.items() if worth}
    return {"orders": sum(row[2] for row in orders), "value": worth_of}
