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
_WHAT = "if(kind = 'click', 'clicks', 'impressions') AS what"

_OUTCOMES = f"""
SELECT
    {_DAY} AS day, creative, placement, {_WHAT}, verdict, duplicate,
    count(), countIf(impression_id != toUUID('00000000-0000-0000-0000-000000000000'))
FROM facts FINAL WHERE {_WHERE} AND kind != 'conversion'
GROUP BY day, creative, placement, what, verdict, duplicate
"""

_VISITED = f"FROM facts FINAL WHERE {_WHERE} AND kind != 'conversion' AND verdict = 'valid' AND visitor != 0"

_COUNTED = "verdict = 'valid' AND NOT duplicate"
_ORDERS = f"""
SELECT {_DAY} AS day, currency, count(), sum(value)
FROM conversions WHERE {_WHERE} AND {_COUNTED} GROUP BY day, currency
"""
_REPORTED = f"""
SELECT {_DAY} AS day, count()
FROM facts FINAL WHERE {_WHERE} AND kind = 'conversion' AND verdict != 'unregistered' GROUP BY day
"""

_CONVERTERS = """
SELECT uniqExact(visitor) FROM order_slices
WHERE advertiser = {advertiser:String} AND campaign = {campaign:String} AND visitor != 0
    AND toString(day) IN {days:Array(String)}
"""

#: When the first and the last of the clicks was that orders followed.
_FOLLOWED = f"""
SELECT toUnixTimestamp64Milli(min(ts)), toUnixTimestamp64Milli(max(ts)) FROM facts
WHERE kind = 'click' AND advertiser = {{advertiser:String}} AND campaign = {{campaign:String}}
    AND id IN (SELECT click_id FROM conversions WHERE {_WHERE} AND {_COUNTED})
HAVING count() > 0
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
        self._orders, self._reported = self._rows(_ORDERS), self._rows(_REPORTED)

    def total(self) -> Counts:
        """Of all days."""
        counts = _counts(self._outcomes, self._uniques("''")[("",)])
        return counts | {"conversions": _conversions(self._orders, self._reported)}

    def days(self) -> list[Counts]:
        """Of each day that anything was counted on."""
        uniques = self._uniques(_DAY)
        return [
            {
                "day": day,
                **_counts(_of(day, self._outcomes), uniques[(day,)]),
                "conversions": _conversions(_of(day, self._orders), _of(day, self._reported)),
            }
            for day in sorted({row[0] for row in (*self._outcomes, *self._orders, *self._reported)})
        ]

    def units(self) -> list[Counts]:
        """Of each ad unit; conversions are of none."""
        uniques = self._uniques("creative, placement")
        return [
            {
                "creative": unit[0],
                "placement": unit[1],
                **_counts([row for row in self._outcomes if row[1:3] == unit], uniques[unit]),
            }
            for unit in sorted({row[1:3] for row in self._outcomes})
        ]

    def uniques_of(self, pricing: str, days: list[str]) -> int:
        """Distinct visitors of some days together, of those that the pricing pays for."""
        if pricing == "cpa":
            return int(self._rows(_CONVERTERS, days=days)[0][0])
        found = self._uniques("''", f"{_DAY} IN {{days:Array(String)}}", days=days)[("",)]
        return found["impressions" if pricing == "cpm" else "clicks"]

    def followed(self) -> list[int]:
        """When the first and the last of the clicks was that orders followed, epoch milliseconds; none without any."""
        return [at for row in self._rows(_FOLLOWED) for at in row]

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

    def _uniques(self, key: str, where: str = "true", **more: Any) -> dict[tuple[str, ...], dict[str, int]]:
        """Distinct visitors of images and of clicks, by the key."""
        found: dict[tuple[str, ...], dict[str, int]] = defaultdict(lambda: {"impressions": 0, "clicks": 0})
        query = f"SELECT {key}, {_WHAT}, uniqExact(visitor) {_VISITED} AND {where} GROUP BY ALL"
        for *its, what, count in self._rows(query, **more):
            found[tuple(its)][what] = count
        return found

    def _rows(self, query: str, **more: Any) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._client.query(query, parameters=self._parameters | more).result_rows]


def _of(day: str, rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [row for row in rows if row[0] == day]


def _counts(outcomes: list[tuple[Any, ...]], uniques: dict[str, int]) -> Counts:
    """Every request has one outcome: gross = valid + duplicates + Σ invalid."""
    found: Counts = {
        what: {"gross": 0, "invalid": defaultdict(int), "duplicates": 0, "valid": 0, "unique": unique}
        for what, unique in uniques.items()
    }
    found["clicks"]["attributed"] = 0
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


def _conversions(orders: list[tuple[Any, ...]], reported: list[tuple[Any, ...]]) -> Counts:
    value: dict[str, Decimal] = defaultdict(Decimal)
    for _, currency, _, worth in orders:
        value[currency] += worth
    worth_of = {currency or "-": f"{worth:.4f}" for currency, worth in value.items() if worth}
    return {
        "reported": sum(row[1] for row in reported),
        "orders": sum(row[2] for row in orders),
        "value": worth_of,
    }
