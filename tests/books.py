"""The independent recount of reports and bills: naive, plain Python, from docs/money.md and not from our code."""

from calendar import monthrange
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

import recount

COINS = {"EUR": 2, "USD": 2, "JPY": 0, "KWD": 3}


class Terms(NamedTuple):
    campaign: str
    since: date | None
    timezone: str
    pricing: str
    basis: str
    price: Decimal
    currency: str

    def starts(self):
        if self.since is None:
            return datetime.min.replace(tzinfo=UTC)
        return datetime.combine(self.since, time(), ZoneInfo(self.timezone)).astimezone(UTC)


NONE = Terms("", None, "UTC", "", "", Decimal(0), "")


class Books:
    """What an advertiser's facts come to; `terms` in the order that they hold."""

    def __init__(self, facts, terms):
        self.facts, self.terms = facts, terms
        self.clicks = {fact["id"]: fact for fact in facts if fact["kind"] == "click"}
        self.orders = recount.orders(facts)
        self.places = {fact["id"]: self.place(fact) for fact in facts}
        self.paid_ips = list(self.new_ips())

    def place(self, fact):
        """(local day, the terms that held)."""
        at = datetime.fromtimestamp(fact["ts"] / 1000, UTC)
        held = [terms for terms in self.terms if terms.campaign == fact["campaign"] and terms.starts() <= at]
        terms = held[-1] if held else NONE
        return at.astimezone(ZoneInfo(terms.timezone)).date(), terms

    def new_ips(self):
        """Of each IP and month the first valid request under terms by unique IPs."""
        seen = set()
        for fact in sorted(self.facts, key=lambda each: each["ts"]):
            day, terms = self.places[fact["id"]]
            key = (fact["campaign"], day.year, day.month, fact["visitor"])
            is_seen = fact["kind"] in recount.IMAGES and fact["verdict"] == "valid" and fact["visitor"]
            if is_seen and (terms.pricing, terms.basis) == ("cpm", "unique") and key not in seen:
                seen.add(key)
                yield fact

    def paid(self, is_asked):
        """{terms: quantity} of the days and campaigns asked for."""
        found = Counter()
        for fact in self.facts:
            day, terms = self.places[fact["id"]]
            if not is_asked(fact, day):
                continue
            image = fact["kind"] in recount.IMAGES
            by_click = terms.pricing == "cpc" and fact["kind"] == "click" and recount.counts(fact)
            by_image = terms.pricing == "cpm" and image and (terms.basis == "gross" or recount.counts(fact))
            found[terms] += by_click or (by_image and terms.basis != "unique")
        for fact in [*self.paid_ips, *self.orders]:
            day, terms = self.places[fact["id"]]
            if is_asked(fact, day) and (terms.pricing == "cpa" or fact["kind"] != "conversion"):
                found[terms] += 1
        return {terms: quantity for terms, quantity in found.items() if terms != NONE}

    def report(self, asked, first, last, by, parts):
        """{(period, campaign, creative, placement): numbers} as `report --format json` tells them."""
        rows = defaultdict(list)
        for fact in self.facts:
            day, _ = self.places[fact["id"]]
            if first <= day <= last and asked in ("", fact["campaign"]) and fact["kind"] != "conversion":
                part = tuple(fact[name] if name in parts else "" for name in ("creative", "placement"))
                rows[period(by, day), fact["campaign"], *part].append(fact)
        for order in self.orders:
            day, _ = self.places[order["id"]]
            if first <= day <= last and asked in ("", order["campaign"]):
                click = self.clicks.get(order["click_id"], {})
                click = click if click.get("campaign") == order["campaign"] else {}
                part = tuple(click.get(name, "") if name in parts else "" for name in ("creative", "placement"))
                rows[period(by, day), order["campaign"], *part].append(order)
        return {key: numbers(found) for key, found in rows.items()}

    def spend(self, campaign, by, name, first, last):
        """{currency: amount} of a period of a campaign."""
        sums = defaultdict(Decimal)
        paid = self.paid(
            lambda fact, day: (
                fact["campaign"] == campaign and first <= day <= last and name in (period(by, day), "total")
            )
        )
        for terms, quantity in paid.items():
            sums[terms.currency] += amount(terms, quantity)
        return {currency: str(rounded(sum, currency)) for currency, sum in sums.items()}

    def invoice(self, month):
        """Lines as `invoice --format json` tells them, of terms that each hold for some of the month's days."""
        paid = self.paid(lambda _, day: day.replace(day=1) == month)
        return [
            {
                "campaign": terms.campaign,
                "timezone": terms.timezone,
                "pricing": terms.pricing,
                "basis": terms.basis,
                "quantity": quantity,
                "currency": terms.currency,
                "amount": str(rounded(amount(terms, quantity), terms.currency)),
            }
            for terms, quantity in sorted(paid.items(), key=lambda each: (each[0].campaign, each[0].starts()))
        ]


def numbers(facts):
    """What a row of a report says of facts and of orders that count."""
    images = [fact for fact in facts if fact["kind"] in recount.IMAGES]
    reasons = Counter(fact["verdict"] for fact in images if fact["verdict"] != "valid")
    valid = sum(map(recount.counts, images))
    unique = len({fact["visitor"] for fact in images if fact["verdict"] == "valid"} - {0})
    clicks = sum(fact["kind"] == "click" and recount.counts(fact) for fact in facts)
    orders = [fact for fact in facts if fact["kind"] == "conversion"]
    revenue = defaultdict(Decimal)
    for order in orders:
        revenue[order["currency"]] += Decimal(order["value"])
    return {
        "gross": len(images),
        "valid": valid,
        "duplicates": sum(fact["duplicate"] for fact in images),
        "invalid": sum(reasons.values()),
        "reasons": dict(reasons),
        "unique_ips": unique,
        "frequency": valid / unique if unique else None,
        "clicks": clicks,
        "ctr": clicks / valid if valid else None,
        "conversions": len(orders),
        "cvr": len(orders) / unique if unique else None,
        "revenue": dict(revenue),
    }


def period(by, day):
    if by == "total":
        return by
    if by == "week":
        return "{}-W{:02}".format(*day.isocalendar()[:2])
    return str(day) if by == "day" else f"{day:%Y-%m}"


def amount(terms, quantity):
    return terms.price * quantity / (1000 if terms.pricing == "cpm" else 1)


def rounded(amount, currency):
    return amount.quantize(Decimal(1).scaleb(-COINS[currency]), ROUND_HALF_UP)


def span(by, name):
    """First and last day of a period."""
    if by == "week":
        monday = datetime.strptime(f"{name}-1", "%G-W%V-%u").date()
        return monday, monday + timedelta(days=6)
    if by == "day":
        return date.fromisoformat(name), date.fromisoformat(name)
    month = date.fromisoformat(f"{name}-01")
    return month, month.replace(day=monthrange(month.year, month.month)[1])
