"""Campaigns' terms: what is paid for, at which price, in whose days. Every change is kept: see docs/money.md."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from clickhouse_connect.driver.client import Client

from ledger import money
from ledger.campaign import Campaign
from pixeltally.errors import Refused

PRICINGS = ("cpm", "cpc", "cpa")
BASES = ("unique", "valid", "gross")

#: What is paid for, by pricing and basis.
UNITS = {
    ("cpm", "unique"): "unique IPs",
    ("cpm", "valid"): "valid impressions",
    ("cpm", "gross"): "requests",
    ("cpc", "unique"): "unique IPs that clicked",
    ("cpc", "valid"): "valid clicks",
    ("cpc", "gross"): "click requests",
    ("cpa", "unique"): "unique IPs that converted",
    ("cpa", "valid"): "conversions",
    ("cpa", "gross"): "reported conversions",
}

#: Terms since then hold from the beginning.
BEGINNING = date(1970, 1, 1)

#: Columns of the list of terms, and of all that were ever set.
COLUMNS = (
    "advertiser", "campaign", "since", "pricing", "price", "currency", "basis", "timezone", "budget", "plan_start",
    "plan_end", "set_at",
)  # fmt: skip


@dataclass(frozen=True)
class Terms:
    """What was agreed on of a campaign."""

    pricing: str = ""
    basis: str = ""
    price: Decimal = field(default=Decimal(-1))
    currency: str = ""
    timezone: str = "UTC"
    budget: Decimal = Decimal(0)  #: in the same currency; 0: none
    plan_start: date | None = None  #: the budget's first day
    plan_end: date | None = None  #: and its last

    def sentence(self) -> str:
        """The terms in words."""
        price = money.text(self.price, self.currency)
        what = f"{self.pricing.upper()} {price} on {UNITS[self.pricing, self.basis]}, days of {self.timezone}"
        if not self.budget:
            return what
        return f"{what}; budget {money.text(self.budget, self.currency)} from {self.plan_start} to {self.plan_end}"


def changed(known: Terms | None, said: Mapping[str, Any]) -> Terms:
    """The terms that were known, but for what is said now (names of `Terms`); raises :class:`Refused` for nonsense."""
    terms = replace(known or Terms(), **said)
    if terms.price < 0 or not (terms.pricing and terms.currency):
        raise Refused("there are no terms yet, so say all: --pricing, --price, --currency, and --basis for cpm")
    if "basis" not in said and (known is None or known.pricing != terms.pricing):
        if terms.pricing == "cpm":
            raise Refused("cpm is paid by --basis unique, valid or gross: say which")
        terms = replace(terms, basis="valid")
    money.minor_units(terms.currency)
    if not terms.budget:
        return replace(terms, plan_start=None, plan_end=None)
    if terms.plan_start is None or terms.plan_end is None or terms.plan_end < terms.plan_start:
        raise Refused("a budget is for days: say --start and --end, the first and the last of them")
    return terms


def change(
    client: Client, campaign: Campaign, said: Mapping[str, Any], since: date | None, at: datetime
) -> tuple[Terms, date]:
    """Keep new terms, set `at` this moment; they, and since which day they hold.

    Without `since` that is the beginning for a campaign's first, and today for others; terms that are set again on the
    same day take the place of the ones before.
    """
    known = _last(client, campaign)
    terms = changed(known and known[0], said)
    today = _day(client, at, terms.timezone)
    if since is None and known is None:
        since = BEGINNING
    elif since is None and known is not None:
        _, last_since, set_at = known
        since = last_since if _day(client, set_at, terms.timezone) == today else today
    assert since is not None
    _refuse_settled(client, campaign, since)
    starts = datetime.fromtimestamp(0, UTC) if since == BEGINNING else _start(client, since, terms.timezone)
    row = campaign._asdict() | asdict(terms) | {"since": since, "starts": starts, "set_at": at}
    client.insert("terms_set", [list(row.values())], column_names=list(row))
    return terms, since


def listed(client: Client, advertiser: str, history: bool) -> list[dict[str, Any]]:
    """The terms that hold now, with `COLUMNS`; with `history` all that were ever set, in the order that they were.

    Campaigns that were counted and have no terms stand among the former. `advertiser` empty: of all. `since` is None
    from the beginning.
    """
    now = (
        "(SELECT advertiser, campaign FROM minute_rows WHERE NOT startsWith(advertiser, '~')"
        " UNION DISTINCT SELECT advertiser, campaign FROM terms_set) AS campaigns"
        " LEFT JOIN (SELECT * FROM terms WHERE starts <= now() AND now() < ends) AS held USING (advertiser, campaign)"
    )
    rows = client.query(
        f"SELECT {', '.join(COLUMNS)} FROM {'terms_set' if history else now}"
        " WHERE {advertiser:String} IN ('', advertiser) ORDER BY advertiser, campaign, set_at",
        parameters={"advertiser": advertiser},
        settings={"join_use_nulls": 1},
    ).named_results()
    return [_shown(row) for row in rows]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Amounts to the minor unit, and nothing where there is none."""
    if row["pricing"] is None:
        return row
    amount = {name: money.plain(row[name], row["currency"]) for name in ("price", "budget")}
    return row | {
        "since": None if row["since"] == BEGINNING else row["since"],
        "price": amount["price"],
        "budget": amount["budget"] if row["budget"] else None,
    }


def _last(client: Client, campaign: Campaign) -> tuple[Terms, date, datetime] | None:
    """The terms that were set last, since when they hold, and when that was."""
    names = [each.name for each in fields(Terms)]
    rows = client.query(
        f"SELECT {', '.join(names)}, since, set_at FROM terms_set"
        " WHERE advertiser = {advertiser:String} AND campaign = {campaign:String} ORDER BY set_at DESC LIMIT 1",
        parameters=campaign._asdict(),
    ).result_rows
    if not rows:
        return None
    *values, since, set_at = rows[0]
    return Terms(**dict(zip(names, values, strict=True))), since, set_at.replace(tzinfo=UTC)


def _refuse_settled(client: Client, campaign: Campaign, since: date) -> None:
    """Terms can't be changed for months whose facts are gone: nobody could count by other days or uniques again."""
    [(settled, month)] = client.query(
        "SELECT count(), toString(addMonths(max(month), 1)) FROM settled_days"
        " WHERE advertiser = {advertiser:String} AND campaign = {campaign:String}",
        parameters=campaign._asdict(),
    ).result_rows
    if settled and since < date.fromisoformat(month):
        raise Refused(
            f"{'/'.join(campaign)} is settled until {month}, its facts are gone: say --since {month} or later"
        )


def _day(client: Client, at: datetime, zone: str) -> date:
    """The day there; raises :class:`Refused` where ClickHouse, which cuts the days, doesn't know the zone."""
    query = "SELECT 1 FROM system.time_zones WHERE time_zone = {zone:String}"
    if not client.query(query, parameters={"zone": zone}).result_rows:
        raise Refused(f"{zone!r} is no time zone: a name of the IANA database such as Europe/Berlin or UTC")
    query = "SELECT toDate(toDateTime({at:Int64}), {zone:String})"
    day: date = client.query(query, parameters={"at": int(at.timestamp()), "zone": zone}).result_rows[0][0]
    return day


def _start(client: Client, day: date, zone: str) -> datetime:
    """The first moment of a day there."""
    query = "SELECT toUnixTimestamp(toDateTime({day:Date}, {zone:String}))"
    [(start,)] = client.query(query, parameters={"day": day, "zone": zone}).result_rows
    return datetime.fromtimestamp(start, UTC)
