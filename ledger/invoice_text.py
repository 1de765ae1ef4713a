"""Invoices as people and programs want them: a table, CSV or JSON; the PDF is drawn from the same cells."""

import json
from collections.abc import Iterator

from ledger import money, notes
from ledger.invoice import Invoice, Line
from ledger.table import aligned, comma_separated

HEAD = ("campaign", "days", "paid for", "quantity", "price", "amount")
#: Numbers of the columns that stand to the right.
RIGHT = (3, 4, 5)

#: When a unique IP is paid for, by pricing.
_FIRST = {"cpm": "was first seen", "cpc": "first clicked", "cpa": "first converted"}


def text(invoice: Invoice, format: str) -> str:
    """The invoice in one of the formats `table`, `csv` and `json`."""
    return {"table": _table, "csv": _csv, "json": _json}[format](invoice)


def title(invoice: Invoice) -> str:
    """Whose it is, and when of."""
    return f"Invoice: {invoice.advertiser}, {invoice.month:%B %Y}"


def provisional(invoice: Invoice) -> str:
    """What to know of a month that isn't over; empty where it is."""
    return "PROVISIONAL: the month is not over, all of it may still change" if invoice.is_provisional else ""


def cells(invoice: Invoice) -> list[list[str]]:
    """The lines, with the cells of `HEAD`."""
    return [_cells(line) for line in invoice.lines]


def totals(invoice: Invoice) -> list[str]:
    """The total in each currency."""
    return [money.text(amount, currency) for currency, amount in invoice.totals.items()]


def explanations(invoice: Invoice) -> Iterator[str]:
    """What it rests on."""
    if invoice.lines:
        yield notes.days_of((line.timezone, line.campaign) for line in invoice.lines)
        yield "amount: quantity × price, rounded half up to the currency's minor unit; total: the sum of its amounts"
    for pricing, unit in sorted({(line.pricing, line.unit) for line in invoice.lines if line.basis == "unique"}):
        yield f"a unique IP is paid for once a month, on the day that it {_FIRST[pricing]} under terms by {unit}"
    if any(line.unit == "reported conversions" for line in invoice.lines):
        yield "reported conversions: every report, also of an order that was reported before"
    yield from notes.of(invoice.known)


def _cells(line: Line) -> list[str]:
    return [
        line.campaign,
        f"{line.first} to {line.last}",
        f"{line.pricing.upper()}, {line.unit}",
        f"{line.quantity:,}",
        money.text(line.price, line.currency) + (" per 1,000" if line.pricing == "cpm" else " each"),
        money.text(line.amount, line.currency),
    ]


def _table(invoice: Invoice) -> str:
    if not invoice.lines:
        body = ["nothing is owed"]
    else:
        sums = [["total" if not number else "", "", "", "", "", sum] for number, sum in enumerate(totals(invoice))]
        body = [aligned([list(HEAD), *cells(invoice), *sums], RIGHT)]
    head = [title(invoice), *filter(None, [provisional(invoice)])]
    return "\n".join([*head, "", *body, "", *explanations(invoice)]).rstrip()


def _csv(invoice: Invoice) -> str:
    head = (
        "advertiser", "month", "provisional", "campaign", "from", "to", "timezone", "pricing", "basis", "quantity",
        "price", "amount", "currency", "rules_versions",
    )  # fmt: skip
    lines = [
        [
            invoice.advertiser, f"{invoice.month:%Y-%m}", int(invoice.is_provisional), line.campaign, line.first,
            line.last, line.timezone, line.pricing, line.basis, line.quantity, money.plain(line.price, line.currency),
            line.amount, line.currency, "; ".join(invoice.known.rules_versions),
        ]
        for line in invoice.lines
    ]  # fmt: skip
    return comma_separated([head, *lines])


def _json(invoice: Invoice) -> str:
    return json.dumps(
        {
            "advertiser": invoice.advertiser,
            "month": f"{invoice.month:%Y-%m}",
            "provisional": invoice.is_provisional,
            "lines": [
                {
                    "campaign": line.campaign,
                    "from": str(line.first),
                    "to": str(line.last),
                    "timezone": line.timezone,
                    "pricing": line.pricing,
                    "basis": line.basis,
                    "unit": line.unit,
                    "quantity": line.quantity,
                    "price": money.plain(line.price, line.currency),
                    "amount": str(line.amount),
                    "currency": line.currency,
                }
                for line in invoice.lines
            ],
            "totals": {currency: str(amount) for currency, amount in invoice.totals.items()},
            "rounding": "amounts half up to the currency's minor unit (ISO 4217); a total is the sum of its amounts",
            **invoice.known._asdict(),
        },
        indent=2,
    )
