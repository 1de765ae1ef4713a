"""Reports as people and programs want them: a table, CSV or JSON."""

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from ledger import money, notes
from ledger.report import Report, Row
from ledger.table import aligned, comma_separated

_UNKNOWN = "n/a"


def text(report: Report, format: str) -> str:
    """The report in one of the formats `table`, `csv` and `json`."""
    return {"table": _table, "csv": _csv, "json": _json}[format](report)


def _table(report: Report) -> str:
    asked = report.asked
    if not report.rows:
        return f"{_title(report)}: nothing was counted"
    names = {"campaign": not asked.campaign, "creative": asked.per != "campaign", "placement": asked.per == "placement"}
    shown = [name for name, is_shown in names.items() if is_shown]
    head = [
        "period", *shown, "requests", "valid", "duplicates", "invalid", "unique IPs", "frequency", "click requests",
        "clicks", "CTR", "reported", "conversions", "CVR", "revenue", "spend", "invalid by reason",
    ]  # fmt: skip
    lines = [_line(row, shown) for row in [*report.rows, *report.totals]]
    table = aligned([head, *lines], right=range(1 + len(shown), len(head) - 1))
    return "\n".join([_title(report), "", table, "", *_notes(report)])


def _title(report: Report) -> str:
    asked = report.asked
    what = f"{asked.advertiser}/{asked.campaign}" if asked.campaign else asked.advertiser
    return f"{what}, {asked.first} to {asked.last}, by {asked.by}"


def _line(row: Row, shown: list[str]) -> list[str]:
    return [
        row.period + ("*" if row.is_cut else ""),
        *(getattr(row, name) for name in shown),
        *(f"{count:,}" for count in (row.gross, row.valid, row.duplicates, row.invalid)),
        _count(row.uniques),
        "" if row.frequency is None else f"{row.frequency:.2f}",
        _count(row.click_requests),
        f"{row.clicks:,}",
        _percent(row.ctr),
        _count(row.reported_conversions),
        _count(row.conversions),
        _percent(row.cvr),
        _amounts(row.revenue),
        _amounts(_rounded(row.spend)),
        ", ".join(f"{reason} {count:,}" for reason, count in _by_size(row.reasons)),
    ]


def _notes(report: Report) -> Iterator[str]:
    asked, rows = report.asked, [*report.rows, *report.totals]
    yield notes.days_of((zone, row.campaign) for row in rows for zone in row.timezones)
    if any(row.is_cut for row in rows):
        yield "* not all of the period: cut by --from or --to"
    yield "requests = valid + duplicates + invalid. frequency: valid ÷ unique IPs; CTR: valid clicks ÷ valid;"
    yield "CVR: conversions ÷ unique IPs. Unique IPs are counted over each row's own days, so they don't add up."
    yield "click requests and reported conversions are all that came; clicks are valid, and an order converts once."
    yield "spend: by the terms that held; a unique IP is paid for once a month, when first seen, clicked or converted"
    if asked.per != "campaign":
        yield "conversions and revenue are of the click that they followed, or of none that is known"
        if any(row.spend is None for row in rows):
            yield f"{_UNKNOWN}: what unique IPs or conversions cost is a campaign's, and can't be divided"
    if any(row.uniques is None or row.conversions is None for row in rows):
        yield f"{_UNKNOWN}: deleted with the retention (PIXELTALLY_RETENTION_DAYS); docs/money.md says what stays"
    yield from notes.of(report.known)


def _csv(report: Report) -> str:
    reasons = sorted({reason for row in report.rows for reason in row.reasons})
    revenue = sorted({currency for row in report.rows for currency in row.revenue or ()})
    spend = sorted({currency for row in report.rows for currency in row.spend or ()})
    head = [
        "period", "from", "to", "cut", "advertiser", "campaign", "creative", "placement", "timezone", "gross", "valid",
        "duplicates", "invalid", *(f"invalid_{reason}" for reason in reasons), "unique_ips", "frequency",
        "click_requests", "clicks", "ctr", "reported_conversions", "conversions", "cvr",
        *(f"revenue_{currency or 'unknown'}" for currency in revenue), *(f"spend_{currency}" for currency in spend),
        "rules_versions",
    ]  # fmt: skip
    lines = [
        [
            row.period, row.first, row.last, int(row.is_cut), report.asked.advertiser, row.campaign, row.creative,
            row.placement, " ".join(row.timezones), row.gross, row.valid, row.duplicates, row.invalid,
            *(row.reasons.get(reason, 0) for reason in reasons), row.uniques, row.frequency, row.click_requests,
            row.clicks, row.ctr, row.reported_conversions, row.conversions, row.cvr,
            *_columns(row.revenue, revenue), *_columns(_rounded(row.spend), spend),
            "; ".join(report.known.rules_versions),
        ]
        for row in report.rows
    ]  # fmt: skip
    return comma_separated([head, *lines])


def _columns(amounts: Mapping[str, Decimal] | None, currencies: list[str]) -> list[str | None]:
    if amounts is None:
        return [None] * len(currencies)
    return [money.plain(amounts.get(currency, Decimal(0)), currency) for currency in currencies]


def _json(report: Report) -> str:
    asked = report.asked
    return json.dumps(
        {
            "advertiser": asked.advertiser,
            "campaign": asked.campaign or None,
            "from": str(asked.first),
            "to": str(asked.last),
            "by": asked.by,
            "per": asked.per,
            "rows": [_object(row) for row in report.rows],
            "totals": [_object(row) for row in report.totals],
            **report.known._asdict(),
        },
        indent=2,
    )


def _object(row: Row) -> dict[str, Any]:
    return {
        "period": row.period,
        "from": str(row.first),
        "to": str(row.last),
        "cut": row.is_cut,
        "campaign": row.campaign,
        "creative": row.creative,
        "placement": row.placement,
        "timezones": row.timezones,
        "gross": row.gross,
        "valid": row.valid,
        "duplicates": row.duplicates,
        "invalid": row.invalid,
        "reasons": dict(_by_size(row.reasons)),
        "unique_ips": row.uniques,
        "frequency": row.frequency,
        "click_requests": row.click_requests,
        "clicks": row.clicks,
        "ctr": row.ctr,
        "reported_conversions": row.reported_conversions,
        "conversions": row.conversions,
        "cvr": row.cvr,
        "revenue": _plain(row.revenue),
        "spend": _plain(_rounded(row.spend)),
    }


def _plain(amounts: Mapping[str, Decimal] | None) -> dict[str, str] | None:
    if amounts is None:
        return None
    return {currency: money.plain(amount, currency) for currency, amount in sorted(amounts.items())}


def _rounded(amounts: Mapping[str, Decimal] | None) -> dict[str, Decimal] | None:
    if amounts is None:
        return None
    return {currency: money.rounded(amount, currency) for currency, amount in amounts.items()}


def _amounts(amounts: Mapping[str, Decimal] | None) -> str:
    if amounts is None:
        return _UNKNOWN
    return " + ".join(money.text(amount, currency) for currency, amount in sorted(amounts.items()))


def _by_size(reasons: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(reasons.items(), key=lambda each: (-each[1], each[0]))


def _count(count: int | None) -> str:
    return _UNKNOWN if count is None else f"{count:,}"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"
