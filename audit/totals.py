"""Adds the recounted requests up and compares them with a statement, number by number."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from typing import Any

from audit.store import Store

Counts = dict[str, Any]
Key = tuple[str, ...]  #: a day, or an ad unit's creative and placement

_OUTCOMES = """
SELECT {key}, what, verdict, duplicate, count(*), sum(attributed) FROM judged
WHERE what != 'conversions' GROUP BY {key}, what, verdict, duplicate
"""
_UNIQUE = """
SELECT {key}, count(DISTINCT who) FROM judged
WHERE what = 'impressions' AND verdict = 'valid' AND who != '' GROUP BY {key}
"""
_UNIQUE_OF = """
SELECT count(DISTINCT who) FROM judged
WHERE what = 'impressions' AND verdict = 'valid' AND who != '' AND ({days})
"""
_ORDERS = """
SELECT day, "order", value, currency FROM judged
WHERE what = 'conversions' AND verdict = 'valid' AND NOT duplicate ORDER BY ts, place
"""


def problems(content: Counts, store: Store) -> Iterator[str]:
    """Where the statement and the recount differ."""
    orders = _orders(content, store)
    total = _counted(store, "''").get(("",), _none())
    total["conversions"] = _worth([each for its in orders.values() for each in its])
    yield from _differences("the total", content["total"], total)
    days = _counted(store, "day")
    for day in days.keys() | {(day,) for day in orders}:
        days.setdefault(day, _none())["conversions"] = _worth(orders.get(day[0], []))
    stated: dict[Key, Counts] = {
        (day["day"],): {name: day[name] for name in ("impressions", "clicks", "conversions")} for day in content["days"]
    }
    yield from _parts(stated, days)
    units: dict[Key, Counts] = {
        (unit["creative"], unit["placement"]): {name: unit[name] for name in ("impressions", "clicks")}
        for unit in content["units"]
    }
    yield from _parts(units, _counted(store, "creative, placement"))
    yield from _lines(content, store)


def _parts(stated: dict[Key, Counts], counted: dict[Key, Counts]) -> Iterator[str]:
    for key in sorted({*stated, *counted}):
        name = "/".join(filter(None, key))
        if key not in stated or key not in counted:
            yield f"{name}: only {'the raw log' if key in counted else 'the statement'} has it"
        else:
            yield from _differences(name, stated[key], counted[key])


def _differences(name: str, stated: Counts, counted: Counts) -> Iterator[str]:
    for what, its in counted.items():
        for field, count in its.items():
            said = stated[what][field]
            if said != count:
                yield f"{name}: {what} {field} is stated as {_said(said)}, the raw log has {_said(count)}"


def _said(count: Any) -> str:
    return f"{count:,}" if isinstance(count, int) else str(count)


def _none() -> Counts:
    impressions = {"gross": 0, "invalid": {}, "duplicates": 0, "valid": 0, "unique": 0}
    return {"impressions": impressions, "clicks": {**impressions, "invalid": {}} | {"attributed": 0}}


def _counted(store: Store, key: str) -> dict[Key, Counts]:
    width = key.count(",") + 1
    found: dict[Key, Counts] = defaultdict(_none)
    for row in store.rows(_OUTCOMES.format(key=key)):
        what, verdict, duplicate, count, attributed = row[width:]
        its = found[row[:width]][what]
        its["gross"] += count
        if verdict != "valid":
            its["invalid"][verdict] = its["invalid"].get(verdict, 0) + count
        elif duplicate:
            its["duplicates"] += count
        else:
            its["valid"] += count
            if what == "clicks":
                its["attributed"] += attributed
    for row in store.rows(_UNIQUE.format(key=key)):
        found[row[:width]]["impressions"]["unique"] = row[width]
    for counts in found.values():
        counts["clicks"].pop("unique")
    return {**found}


def _orders(content: Counts, store: Store) -> dict[str, list[tuple[str, str]]]:
    """What each day's orders were worth, and in which currency; each order once."""
    seen, found = set(content["earlier_orders"]), defaultdict(list)
    for day, order, value, currency in store.rows(_ORDERS):
        named = sha256(order.encode()).hexdigest()
        if order and named in seen:
            continue
        seen.add(named)
        found[day].append((value, currency))
    return found


def _worth(orders: list[tuple[str, str]]) -> Counts:
    value: dict[str, Decimal] = defaultdict(Decimal)
    for worth, currency in orders:
        value[currency or "-"] += Decimal(worth or 0)
    return {
        "orders": len(orders),
        "value": {currency: f"{worth:.4f}" for currency, worth in sorted(value.items()) if worth},
    }


def _lines(content: Counts, store: Store) -> Iterator[str]:
    """Unique visitors are paid for once a month."""
    seen: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for number, line in enumerate(content["lines"], 1):
        if line["basis"] != "unique" or line["pricing"] != "cpm":
            continue
        month = seen[line["from"][:7]]
        before = _unique_of(store, month)
        month.append((line["from"], line["to"]))
        if line["quantity"] != (count := _unique_of(store, month) - before):
            yield f"line {number}: {line['quantity']:,} unique visitors are stated, the raw log has {count:,}"


def _unique_of(store: Store, spans: list[tuple[str, str]]) -> int:
    if not spans:
        return 0
    days = " OR ".join(["day BETWEEN ? AND ?"] * len(spans))
    [(count,)] = store.rows(_UNIQUE_OF.format(days=days), *(day for span in spans for day in span))
    return int(count)
