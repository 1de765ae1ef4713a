"""What an advertiser owes for a month, line by line, by the terms that held: see docs/money.md."""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from clickhouse_connect.driver.client import Client

from ledger import money, provenance
from ledger.campaign import refuse_unknown
from ledger.provenance import Provenance
from ledger.terms import UNITS
from pixeltally.errors import Refused

_CHARGES = """
SELECT
    campaign, starts, any(t.since) AS since, any(t.last_day) AS until, c.timezone AS timezone, c.pricing AS pricing,
    c.basis AS basis, c.price AS price, c.currency AS currency, sum(c.quantity) AS quantity, sum(c.spent) AS spent,
    countIf(c.quantity IS NULL) AS lost, toDate(formatDateTime(now(), '%F', timezone)) AS today
FROM charges_between(first = {month:Date}, last = toLastDayOfMonth({month:Date})) AS c
INNER JOIN terms AS t USING (advertiser, campaign, starts)
WHERE advertiser = {advertiser:String} AND month = {month:Date}
GROUP BY campaign, starts, timezone, pricing, basis, price, currency
ORDER BY campaign, starts
"""

_WITHOUT_TERMS = """
SELECT DISTINCT campaign FROM campaign_days_between(first = {month:Date}, last = toLastDayOfMonth({month:Date}))
WHERE advertiser = {advertiser:String} AND month = {month:Date}
    AND (gross > 0 OR clicks > 0 OR conversions > 0 OR click_requests > 0 OR reported_conversions > 0)
    AND (advertiser, campaign, starts) NOT IN (SELECT advertiser, campaign, starts FROM terms)
ORDER BY campaign
"""


@dataclass(frozen=True)
class Line:
    """What one campaign owes for days of the month that the same terms held."""

    campaign: str
    first: date
    last: date
    timezone: str  #: whose days
    pricing: str
    basis: str
    quantity: int
    price: Decimal  #: for a thousand with cpm, else for one
    currency: str
    exact: Decimal  #: quantity × price, to the last decimal
    is_over: bool  #: whether the month is, there

    @property
    def unit(self) -> str:
        """What is paid for."""
        return UNITS[self.pricing, self.basis]

    @property
    def amount(self) -> Decimal:
        """What is owed, rounded."""
        return money.rounded(self.exact, self.currency)

    @property
    def terms(self) -> tuple[Any, ...]:
        """What must be the same for days to stand in one line."""
        return self.campaign, self.timezone, self.pricing, self.basis, self.price, self.currency


@dataclass(frozen=True)
class Invoice:
    """A month's bill."""

    advertiser: str
    month: date
    lines: list[Line]
    is_provisional: bool  #: the month isn't over
    known: Provenance

    @property
    def totals(self) -> dict[str, Decimal]:
        """The sum of the lines, for each currency."""
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for line in self.lines:
            sums[line.currency] += line.amount
        return dict(sorted(sums.items()))


def invoice(client: Client, advertiser: str, month: date) -> Invoice:
    """Reckon; `month` is its first day. Raises :class:`Refused` where an amount can't be told."""
    asked = {"advertiser": advertiser, "month": month}
    refuse_unknown(client, advertiser)
    without = [campaign for (campaign,) in client.query(_WITHOUT_TERMS, parameters=asked).result_rows]
    if without:
        raise Refused(
            f"no terms held for all that {advertiser} counted in {month:%Y-%m} of {', '.join(without)}:"
            f" set them first, such as `pixeltally campaign set {advertiser}/{without[0]} --since {month} …`"
        )
    found = list(client.query(_CHARGES, parameters=asked).named_results())
    lines = list(_joined(_line(charge, month) for charge in found))
    [(today,)] = client.query("SELECT toDate(now(), 'UTC')").result_rows
    is_over = all(line.is_over for line in lines) if lines else today > _last_of(month)
    known = provenance.of(client, advertiser, "", month, _last_of(month))
    return Invoice(advertiser, month, lines, not is_over, known)


def _line(charge: dict[str, Any], month: date) -> Line:
    if charge["lost"]:
        raise Refused(
            f"what {charge['campaign']} owes for {UNITS[charge['pricing'], charge['basis']]} of {month:%Y-%m} can't be"
            " told any more: they were deleted before the month was settled (PIXELTALLY_RETENTION_DAYS, docs/money.md)"
        )
    return Line(
        first=max(month, charge["since"]),
        last=min(_last_of(month), charge["until"]),
        exact=charge["spent"],
        is_over=charge["today"] > _last_of(month),
        **{
            name: charge[name] for name in ("campaign", "timezone", "pricing", "basis", "quantity", "price", "currency")
        },
    )


def _joined(lines: Iterable[Line]) -> Iterable[Line]:
    """Lines one after the other with the same terms as one: only the plan has changed between them."""
    before = None
    for line in lines:
        if before is not None and before.terms == line.terms:
            quantity, exact = before.quantity + line.quantity, before.exact + line.exact
            before = replace(before, last=line.last, quantity=quantity, exact=exact)
            continue
        if before is not None:
            yield before
        before = line
    if before is not None:
        yield before


def _last_of(month: date) -> date:
    return month.replace(day=monthrange(month.year, month.month)[1])
