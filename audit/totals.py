"""Adds the recounted requests up and compares them with a statement, number by number."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from typing import Any

from audit.asking import NOBODY
from audit.history import UNREGISTERED
from audit.store import Store

Counts = dict[str, Any]
Key = tuple[str, ...]  #: a day, or an ad unit's creative and placement
Order = tuple[str, str, str]  #: what it is worth, in which currency, and whose it is
Span = tuple[str, str]  #: a first and a last day

_OUTCOMES = """
SELECT {key}, what, verdict, duplicate, count(*), sum(attributed) FROM judged
WHERE what != 'conversions' GROUP BY {key}, what, verdict, duplicate
"""
_UNIQUE = """
SELECT {key}, what, count(DISTINCT who) FROM judged
WHERE what != 'conversions' AND verdict = 'valid' AND who != '' GROUP BY {key}, what
"""
_UNIQUE_OF = "SELECT count(DISTINCT who) FROM judged WHERE what = ? AND verdict = 'valid' AND who != '' AND ({days})"
_REPORTED = "SELECT day, count(*) FROM judged WHERE what = 'conversions' AND verdict != ? GROUP BY day"
_ORDERS = """
SELECT day, judged."order", judged.value, judged.currency, coalesce(nullif(clicked.who, ''), judged.who)
FROM judged LEFT JOIN asked AS clicked ON clicked.kind = 'click' AND clicked.click = judged.click
WHERE what = 'conversions' AND verdict = 'valid' AND NOT duplicate ORDER BY judged.ts, place
"""


def problems(content: Counts, store: Store) -> Iterator[str]:
    """Where the statement and the recount differ."""
    orders, reported = _orders(content, store), dict(store.rows(_REPORTED, UNREGISTERED))
    total = _counted(store, "''").get(("",), _none())
    total["conversions"] = _worth([each for its in orders.values() for each in its], sum(reported.values()))
    yield from _differences("the total", content["total"], total)
    days = _counted(store, "day")
    for day in days.keys() | {(day,) for day in (*orders, *reported)}:
        days.setdefault(day, _none())["conversions"] = _worth(orders.get(day[0], []), reported.get(day[0], 0))
    stated: dict[Key, Counts] = {
        (day["day"],): {name: day[name] for name in ("impressions", "clicks", "conversions")} for day in content["days"]
    }
    yield from _parts(stated, days)
    units: dict[Key, Counts] = {
        (unit["creative"], unit["placement"]): {name: unit[name] for name in ("impressions", "clicks")}
        for unit in content["units"]
    }
    yield from _parts(units, _counted(store, "creative, placement"))
    yield from _lines(content, store, orders)


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
    none = {"gross": 0, "duplicates": 0, "valid": 0, "unique": 0}
    return {"impressions": none | {"invalid": {}}, "clicks": none | {"invalid": {}, "attributed": 0}}


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
        found[row[:width]][row[width]]["unique"] = row[-1]
    return {**found}


def _orders(content: Counts, store: Store) -> dict[str, list[Order]]:
    """Each day's orders; each order once."""
    seen, found = set(content["earlier_orders"]), defaultdict(list)
    for day, order, value, currency, who in store.rows(_ORDERS):
        named = sha256(order.encode()).hexdigest()
        if order and named in seen:
            continue
        seen.add(named)
        found[day].append((value, currency, who))
    return found


def _worth(orders: list[Order], reported: int) -> Counts:
    value: dict[str, Decimal] = defaultdict(Decimal)
    for worth, currency, _ in orders:
        value[currency or "-"] += Decimal(worth or 0)
    return {
        "reported": reported,
        "orders": len(orders),
        "value": {currency: f"{worth:.4f}" for currency, worth in sorted(value.items()) if worth},
    }


def _lines(content: Counts, store: Store, orders: dict[str, list[Order]]) -> Iterator[str]:
    """Who is unique is paid for once a month."""
    seen: dict[tuple[str, str], list[Span]] = defaultdict(list)
    for number, line in enumerate(content["lines"], 1):
        if line["basis"] != "unique":
            continue
        paid = seen[line["pricing"], line["from"][:7]]
        before = _unique_of(line["pricing"], paid, store, orders)
        paid.append((line["from"], line["to"]))
        if line["quantity"] != (count := _unique_of(line["pricing"], paid, store, orders) - before):
            yield f"line {number}: {line['quantity']:,} unique visitors are stated, the raw log has {count:,}"


def _unique_of(pricing: str, spans: list[Span], store: Store, orders: dict[str, list[Order]]) -> int:
    """How many visitors there are in some days, of those that the pricing pays for."""
    if pricing == "cpa":
        its = (orders[day] for day in orders if any(first <= day <= last for first, last in spans))
        return len({who for day in its for _, _, who in day} - {NOBODY})
    what = {"cpm": "impressions", "cpc": "clicks"}[pricing]
    days = " OR ".join(["day BETWEEN ? AND ?"] * len(spans)) or "false"
    [(count,)] = store.rows(_UNIQUE_OF.format(days=days), what, *(day for span in spans for day in span))
    return int(count)
