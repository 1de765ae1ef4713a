"""What was agreed on for the days of a statement, and what is owed by it, line by line."""

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from clickhouse_connect.driver.client import Client

from ledger import money
from ledger.campaign import Campaign
from ledger.statement_counts import Counter, Period
from pixeltally.errors import Refused

_TERMS = """
SELECT since, last_day, timezone, pricing, basis, price, currency FROM terms
WHERE advertiser = {advertiser:String} AND campaign = {campaign:String}
    AND since <= {last:Date} AND last_day >= {first:Date}
ORDER BY starts
"""


@dataclass(frozen=True)
class Terms:
    """Those that held from one day to another."""

    first: date
    last: date
    timezone: str
    pricing: str
    basis: str
    price: Decimal
    currency: str

    def stated(self) -> dict[str, Any]:
        """As a statement names them."""
        return {
            "from": str(self.first),
            "to": str(self.last),
            "pricing": self.pricing,
            "basis": self.basis,
            "price": f"{self.price.normalize():f}",
            "currency": self.currency,
        }


def terms(client: Client, campaign: Campaign, first: date, last: date) -> list[Terms]:
    """Those of the days, oldest first. Raises :class:`Refused` where days are of several time zones."""
    asked = {**campaign._asdict(), "first": first, "last": last}
    rows = client.query(_TERMS, parameters=asked).result_rows
    found = [Terms(max(row[0], first), min(row[1], last), *row[2:]) for row in rows]
    if len({each.timezone for each in found}) > 1:
        days = ", ".join(f"{each.first} to {each.last} in {each.timezone}" for each in found)
        raise Refused(f"the campaign's days changed their time zone: make a statement for each of {days}")
    return found


def lines(agreed: list[Terms], counter: Counter, counted: list[dict[str, Any]], period: Period) -> list[dict[str, Any]]:
    """What is owed: a line for each terms and month. Who is unique is counted once a month."""
    found: list[dict[str, Any]] = []
    seen: dict[tuple[str, str], list[str]] = defaultdict(list)  # pricing, month → its days that were billed by uniques
    for each in agreed:
        days = [day for day in counted if str(each.first) <= day["day"] <= str(each.last)]
        for month, of_month in groupby(days, lambda day: str(day["day"])[:7]):
            its = [*of_month]
            if each.basis == "unique":
                billed = seen[each.pricing, month]
                before = counter.uniques_of(each.pricing, billed)
                billed += [day["day"] for day in its]
                quantity = counter.uniques_of(each.pricing, billed) - before
            else:
                quantity = sum(_quantity(each, day) for day in its)
            found.append(_line(each, its[0]["day"], its[-1]["day"], quantity))
    return found


def amounts(found: list[dict[str, Any]]) -> dict[str, str]:
    """The sums of lines, by currency."""
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for line in found:
        sums[line["currency"]] += Decimal(line["amount"])
    return {currency: f"{amount:f}" for currency, amount in sums.items()}


def _quantity(agreed: Terms, day: dict[str, Any]) -> int:
    """How much of a day is paid for, by what adds up over days."""
    if agreed.pricing == "cpa":
        return int(day["conversions"]["reported" if agreed.basis == "gross" else "orders"])
    its = day["clicks" if agreed.pricing == "cpc" else "impressions"]
    if agreed.basis == "gross":
        return int(its["gross"] - its["invalid"].get("unregistered", 0))
    return int(its["valid"])


def _line(agreed: Terms, first: str, last: str, quantity: int) -> dict[str, Any]:
    exact = quantity * agreed.price / (1000 if agreed.pricing == "cpm" else 1)
    return {
        **agreed.stated(),
        "from": first,
        "to": last,
        "quantity": quantity,
        "decimals": money.minor_units(agreed.currency),
        "amount": f"{money.rounded(exact, agreed.currency):f}",
    }
