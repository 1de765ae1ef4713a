"""Does a statement add up? Checked from its numbers alone."""

from collections import Counter
from collections.abc import Iterable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256
from typing import Any

Counts = dict[str, Any]

#: Counts that add up over days and ad units; unique visitors don't.
_ADD_UP = ("gross", "duplicates", "valid")


def problems(content: dict[str, Any]) -> Iterator[str]:
    """What does not add up."""
    try:
        yield from _outcomes("the total", content["total"])
        for part in (*content["days"], *content["units"]):
            name = part.get("day") or "/".join(filter(None, (part["creative"], part["placement"])))
            yield from _outcomes(name, part)
        yield from _sums("days", content["total"], content["days"])
        yield from _sums("ad units", content["total"], content["units"])
        yield from _orders(content["total"], content["days"])
        yield from _lines(content)
        if content["archive"]:
            yield from _root(content["archive"])
    except (KeyError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        yield f"the statement: a part of it is missing or no number: {error!r}"


def _outcomes(name: str, part: Counts) -> Iterator[str]:
    for what in ("impressions", "clicks"):
        its = part[what]
        if its["gross"] != its["valid"] + its["duplicates"] + sum(its["invalid"].values()):
            yield f"{name}: {what} gross is not valid + duplicates + invalid"
        if not 0 <= its["unique"] <= its["valid"] + its["duplicates"]:
            yield f"{name}: there are more unique visitors than {what} of theirs"
    if part["clicks"]["attributed"] > part["clicks"]["valid"]:
        yield f"{name}: more clicks are attributed than valid"


def _sums(of: str, total: Counts, parts: Iterable[Counts]) -> Iterator[str]:
    parts = [*parts]
    for what in ("impressions", "clicks"):
        for name in (*_ADD_UP, *(("attributed",) if what == "clicks" else ())):
            if total[what][name] != sum(part[what][name] for part in parts):
                yield f"the {of}: their {what} {name} don't add up to the total"
        invalid: Counter[str] = sum((Counter(part[what]["invalid"]) for part in parts), Counter())
        if dict(invalid) != {reason: count for reason, count in total[what]["invalid"].items() if count}:
            yield f"the {of}: their invalid {what} don't add up to the total"


def _orders(total: Counts, days: Iterable[Counts]) -> Iterator[str]:
    days = [*days]
    for name in ("reported", "orders"):
        if total["conversions"][name] != sum(day["conversions"][name] for day in days):
            yield f"the days: their conversions {name} don't add up to the total"
    values: dict[str, Decimal] = {}
    for day in days:
        for currency, value in day["conversions"]["value"].items():
            values[currency] = values.get(currency, Decimal(0)) + Decimal(value)
    if values != {currency: Decimal(value) for currency, value in total["conversions"]["value"].items()}:
        yield "the days: what their orders were worth doesn't add up to the total"


def _lines(content: dict[str, Any]) -> Iterator[str]:
    sums: dict[str, Decimal] = {}
    for number, line in enumerate(content["lines"], 1):
        per = 1000 if line["pricing"] == "cpm" else 1
        cent = Decimal(1).scaleb(-line["decimals"])
        amount = (line["quantity"] * Decimal(line["price"]) / per).quantize(cent, ROUND_HALF_UP)
        if str(amount) != line["amount"]:
            yield f"line {number}: {line['quantity']} at {line['price']} {line['currency']} is not {line['amount']}"
        its = [day for day in content["days"] if line["from"] <= day["day"] <= line["to"]]
        if line["basis"] != "unique" and line["quantity"] != sum(_quantity(line, day) for day in its):
            yield f"line {number}: its quantity is not what its days counted"
        sums[line["currency"]] = sums.get(line["currency"], Decimal(0)) + amount
    if {currency: str(amount) for currency, amount in sums.items()} != content["amounts"]:
        yield "the amounts: they are not the sums of the lines"


def _quantity(line: dict[str, Any], day: Counts) -> int:
    if line["pricing"] == "cpa":
        return int(day["conversions"][{"gross": "reported", "valid": "orders"}[line["basis"]]])
    its = day[{"cpm": "impressions", "cpc": "clicks"}[line["pricing"]]]
    return int(its[line["basis"]]) - (its["invalid"].get("unregistered", 0) if line["basis"] == "gross" else 0)


def _root(archive: dict[str, Any]) -> Iterator[str]:
    named = "".join(f"{log['log']} {log['head']}\n" for log in archive["logs"])
    if sha256(named.encode()).hexdigest() != archive["root"]:
        yield "the archive: its root is not that of the logs that the statement names"
