"""What campaigns counted, spent and brought in, by days, weeks or months of their own time zones: see docs/money.md."""

from calendar import monthrange
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from clickhouse_connect.driver.client import Client

from ledger import provenance
from ledger.campaign import refuse_unknown
from ledger.provenance import Provenance
from ledger.report_queries import KEY, WHOLE_SINCE, queries

#: What makes a row worth telling.
_COUNTS = ("gross", "clicks", "conversions", "click_requests", "reported_conversions")


@dataclass(frozen=True)
class Question:
    """Which report."""

    advertiser: str
    campaign: str  #: empty: all of the advertiser's
    first: date
    last: date  #: included
    by: str = "day"  #: or week (ISO), month
    per: str = "campaign"  #: or creative, placement


@dataclass(frozen=True)
class Row:
    """One period of a campaign or of a part of it. None: it can't be had (any more, or of a part)."""

    period: str  #: 2026-11-23, 2026-W48, 2026-11 or total
    first: date  #: the days that are counted
    last: date
    is_cut: bool  #: whether the period has others
    campaign: str
    creative: str
    placement: str
    timezones: list[str]  #: whose days
    gross: int
    valid: int
    duplicates: int
    invalid: int
    reasons: dict[str, int]  #: the invalid ones, by reason
    uniques: int | None
    click_requests: int | None
    clicks: int
    reported_conversions: int | None
    conversions: int | None
    revenue: dict[str, Decimal] | None  #: by currency
    spend: dict[str, Decimal] | None  #: likewise, to the last decimal

    @property
    def frequency(self) -> float | None:
        """Valid impressions ÷ unique IPs."""
        return _ratio(self.valid, self.uniques)

    @property
    def ctr(self) -> float | None:
        """Valid clicks ÷ valid impressions."""
        return _ratio(self.clicks, self.valid)

    @property
    def cvr(self) -> float | None:
        """Conversions ÷ unique IPs."""
        return _ratio(self.conversions, self.uniques)


@dataclass(frozen=True)
class Report:
    """The answer."""

    asked: Question
    rows: list[Row]
    totals: list[Row]  #: over all days: one for each campaign or part
    known: Provenance


def report(client: Client, asked: Question) -> Report:
    """Count; raises :class:`Refused` where nobody knows the name."""
    refuse_unknown(client, asked.advertiser, asked.campaign)
    whole_since = client.query(WHOLE_SINCE).result_rows[0][0]
    rows: tuple[list[Row], list[Row]] = [], []
    for (is_total, *key), found in _count(client, asked):
        rows[is_total].append(_row(asked, "total" if is_total else asked.by, key, found, whole_since))
    return Report(asked, *rows, provenance.of(client, asked.advertiser, asked.campaign, asked.first, asked.last))


def _count(client: Client, asked: Question) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
    """What all queries found, by `KEY`, in order: of whatever something was counted of."""
    parameters = {name: getattr(asked, name) for name in ("advertiser", "campaign", "first", "last")}
    rows: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(dict)
    for query in queries(asked.by, asked.per, asked.campaign):
        for found in client.query(query, parameters=parameters).named_results():
            rows[tuple(found.pop(name) for name in KEY)] |= found
    return [(key, rows[key]) for key in sorted(rows) if any(rows[key].get(name) for name in _COUNTS)]


def _row(asked: Question, by: str, key: list[Any], found: dict[str, Any], whole_since: date) -> Row:
    start, campaign, creative, placement = key
    period, start, end = _period(by, start, asked)
    first, last = max(start, asked.first), min(end, asked.last)
    is_cut = (first, last) != (start, end)
    is_whole = first >= whole_since
    lost = found["lost"] if asked.per == "campaign" else not is_whole
    return Row(
        period, first, last, is_cut, campaign, creative, placement,
        timezones=sorted(found.get("timezones", ())),
        **{name: found.get(name, 0) for name in ("gross", "valid", "duplicates", "invalid", "clicks")},
        reasons=found.get("reasons", {}),
        uniques=found.get("uniques", 0) if is_whole else _settled_uniques(found, first, last),
        click_requests=None if lost else found.get("click_requests", 0),
        reported_conversions=None if lost else found.get("reported_conversions", 0),
        conversions=None if lost else found.get("conversions", 0),
        revenue=None if lost else found.get("revenue", {}),
        spend=None if found.get("unknown_spend") else found.get("spend", {}),
    )  # fmt: skip


def _settled_uniques(found: dict[str, Any], first: date, last: date) -> int | None:
    """Those of a day or month whose sets are gone, where they were counted before: of a whole campaign."""
    if not found.get("settled"):
        return None
    if first == last and found["days"] == 1:
        return int(found["day_uniques"])
    is_month = first.day == 1 and last == _last_of_month(first)
    return int(found["new_uniques"]) if is_month else None


def _period(by: str, start: date, asked: Question) -> tuple[str, date, date]:
    """The period's name, its first day and its last."""
    if by == "total":
        return "total", asked.first, asked.last
    if by == "week":
        return f"{start:%G-W%V}", start, start + timedelta(days=6)
    if by == "month":
        return f"{start:%Y-%m}", start, _last_of_month(start)
    return f"{start}", start, start


def _last_of_month(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def _ratio(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None
