"""Campaigns' terms: what is paid for, at which price, in whose days. Every change is kept: see docs/money.md."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any, NamedTuple

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

    What isn't said is as in the terms that hold on that day, and the plan as it was set last. Without `since` they hold
    from today, in the time zone that is said or that holds; a campaign's first from the beginning, and so does what
    takes their place on the day that these are set. Raises :class:`Refused` where they can't hold then.
    """
    history = _history(client, campaign)
    held = {each.since: each for each in history}
    holding = max((each for each in held.values() if each.starts <= at), key=lambda each: each.starts, default=None)
    zone = said.get("timezone") or (holding.terms if holding else Terms()).timezone
    today = _day(client, at, zone)
    if since is None:
        firsts = [each for each in history if each.since == BEGINNING]
        is_slip = holding in firsts and all(_day(client, each.set_at, zone) == today for each in firsts)
        since = BEGINNING if is_slip or not history else today
    known = None
    if held:
        then = max((day for day in held if day <= since), default=min(held))
        plan = {name: getattr(history[-1].terms, name) for name in ("budget", "plan_start", "plan_end")}
        known = replace(held[then].terms, **plan)
    terms = changed(known, said)
    starts = datetime.fromtimestamp(0, UTC) if since == BEGINNING else _start(client, since, terms.timezone)
    _refuse_settled(client, campaign, starts, terms.timezone)
    _refuse_disorder({day: each.starts for day, each in held.items()} | {since: starts}, since)
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


class _Set(NamedTuple):
    """Terms as they were set once."""

    terms: Terms
    since: date
    starts: datetime
    set_at: datetime


def _history(client: Client, campaign: Campaign) -> list[_Set]:
    """All terms of a campaign, in the order that they were set."""
    names = [each.name for each in fields(Terms)]
    rows = client.query(
        f"SELECT {', '.join(names)}, since, starts, set_at FROM terms_set"
        " WHERE advertiser = {advertiser:String} AND campaign = {campaign:String} ORDER BY set_at",
        parameters=campaign._asdict(),
    ).result_rows
    return [
        _Set(
            Terms(**dict(zip(names, values, strict=True))),
            since,
            starts.replace(tzinfo=UTC),
            set_at.replace(tzinfo=UTC),
        )
        for *values, since, starts, set_at in rows
    ]


def _refuse_settled(client: Client, campaign: Campaign, starts: datetime, zone: str) -> None:
    """Terms can't be changed for months whose facts are gone: nobody could count by other days or uniques again."""
    [(settled, month, settled_zone)] = client.query(
        "SELECT count(), addMonths(max(month), 1), argMax(timezone, day) FROM settled_days"
        " WHERE advertiser = {advertiser:String} AND campaign = {campaign:String}",
        parameters=campaign._asdict(),
    ).result_rows
    if settled and starts < (end := _start(client, month, settled_zone)):
        day = _day(client, end, zone)
        day += timedelta(days=_start(client, day, zone) < end)
        raise Refused(
            f"{'/'.join(campaign)} is settled until {end:%Y-%m-%d %H:%M} UTC, its facts are gone:"
            f" say --since {day} or later"
        )


def _refuse_disorder(starts: Mapping[date, datetime], since: date) -> None:
    """Terms `since` a day must begin between those of the days before and after that have any.

    They don't where the time zone moves ahead by a day or more.
    """
    days = sorted(starts.items())
    place = days.index((since, starts[since]))
    for (day, moment), (next_day, next_moment) in pairwise(days[max(place - 1, 0) : place + 2]):
        if next_moment <= moment:
            raise Refused(
                f"by their time zones, terms since {next_day} would not begin after those since {day}:"
                " say another --since"
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
