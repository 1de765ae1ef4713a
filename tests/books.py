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
        self.orders = {order["id"] for order in recount.orders(facts)}
        self.places = {fact["id"]: self.place(fact) for fact in facts}
        self.paid_once = {fact["id"] for fact in self.firsts()}

    def place(self, fact):
        """(local day, the terms that held)."""
        at = datetime.fromtimestamp(fact["ts"] / 1000, UTC)
        held = [terms for terms in self.terms if terms.campaign == fact["campaign"] and terms.starts() <= at]
        terms = held[-1] if held else NONE
        return at.astimezone(ZoneInfo(terms.timezone)).date(), terms

    def counts(self, fact):
        """Whether it is valid and no duplicate; of an order's reports one is."""
        return fact["id"] in self.orders if fact["kind"] == "conversion" else recount.counts(fact)

    def firsts(self):
        """Of each visitor and month the first view, click and order that is valid, under terms that pay for it once."""
        seen = set()
        for fact in sorted(self.facts, key=lambda each: each["ts"]):
            day, terms = self.places[fact["id"]]
            is_order = fact["kind"] == "conversion"
            visitor = recount.buyer(fact, self.clicks) if is_order else fact["visitor"]
            is_valid = self.counts(fact) if is_order else fact["verdict"] == "valid"
            key = (fact["campaign"], day.year, day.month, pricing(fact), visitor)
            if visitor and is_valid and (terms.pricing, terms.basis) == (pricing(fact), "unique") and key not in seen:
                seen.add(key)
                yield fact

    def paid(self, is_asked):
        """{terms: quantity} of the days and campaigns asked for."""
        found = Counter()
        for fact in self.facts:
            day, terms = self.places[fact["id"]]
            if terms != NONE and is_asked(fact, day):
                is_paid = {"gross": True, "valid": self.counts(fact), "unique": fact["id"] in self.paid_once}
                found[terms] += terms.pricing == pricing(fact) and is_paid[terms.basis]
        return found

    def report(self, asked, first, last, by, parts):
        """{(period, campaign, creative, placement): numbers} as `report --format json` tells them."""
        rows = defaultdict(list)
        for fact in self.facts:
            day, _ = self.places[fact["id"]]
            if first <= day <= last and asked in ("", fact["campaign"]):
                ad = self.clicked(fact) if fact["kind"] == "conversion" else fact
                part = tuple(ad.get(name, "") if name in parts else "" for name in ("creative", "placement"))
                rows[period(by, day), fact["campaign"], *part].append(fact)
        return {key: numbers(found, self.orders) for key, found in rows.items()}

    def clicked(self, conversion):
        """The click that it followed, if one of its campaign."""
        click = self.clicks.get(conversion["click_id"], {})
        return click if click.get("campaign") == conversion["campaign"] else {}

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


def pricing(fact):
    """By which pricing it may be paid for."""
    return {"click": "cpc", "conversion": "cpa"}.get(fact["kind"], "cpm")


def numbers(facts, counted):
    """What a row of a report says of facts; `counted` are the ids of conversions that count."""
    images = [fact for fact in facts if fact["kind"] in recount.IMAGES]
    reasons = Counter(fact["verdict"] for fact in images if fact["verdict"] != "valid")
    valid = sum(map(recount.counts, images))
    unique = len({fact["visitor"] for fact in images if fact["verdict"] == "valid"} - {0})
    requested = [fact for fact in facts if fact["kind"] == "click"]
    clicks = sum(map(recount.counts, requested))
    reported = [fact for fact in facts if fact["kind"] == "conversion"]
    orders = [fact for fact in reported if fact["id"] in counted]
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
        "click_requests": len(requested),
        "clicks": clicks,
        "ctr": clicks / valid if valid else None,
        "reported_conversions": len(reported),
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
