"""The other side's counts against ours, day by day, and what the gap is made of.

Their definition is not known, so their numbers are asked: valid requests, with duplicates or without, with invalid ones
or without, by days of which time zone come nearest to what they have? What that does not explain, requests that were
lost or could not be counted may; the rest is unexplained.
"""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import product
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from clickhouse_connect.driver.client import Client

from ledger.campaign import Campaign
from ledger.statement_terms import terms
from pixeltally.errors import Refused

DAYS = ("date", "day")
IMPRESSIONS = ("impressions", "imps", "views", "counts", "count")

#: Every time zone is whole quarter hours away from UTC, and no further than these hours.
_FURTHEST_H = 14
_QUARTER_S = 900

_COUNTS = """
SELECT
    toUnixTimestamp(toStartOfFifteenMinutes(ts)),
    countIf(verdict = 'valid' AND NOT duplicate), countIf(verdict = 'valid' AND duplicate), countIf(verdict != 'valid')
FROM facts FINAL
WHERE advertiser = {advertiser:String} AND campaign = {campaign:String} AND kind IN ('impression', 'open', 'view')
    AND ts >= {start:DateTime64(3, 'UTC')} AND ts < {end:DateTime64(3, 'UTC')}
GROUP BY 1
"""
_LOST = """
SELECT sum(lost) FROM spooled_minutes WHERE minute >= {start:DateTime('UTC')} AND minute < {end:DateTime('UTC')}
"""
_DEAD = """
SELECT count() FROM dead_requests WHERE minute >= {start:DateTime('UTC')} AND minute < {end:DateTime('UTC')}
"""

Quarters = Mapping[int, tuple[int, int, int]]  #: quarter hour → valid, duplicates, invalid
Counts = dict[date, tuple[int, int, int]]  #: the same by day


@dataclass(frozen=True)
class Day:
    """One day's counts and the parts of the gap: theirs - ours = zone + duplicates + invalid + loss + unexplained."""

    day: date
    theirs: int
    ours: int  #: valid
    zone: int
    duplicates: int
    invalid: int
    loss: int
    unexplained: int


@dataclass(frozen=True)
class Comparison:
    """The answer, for one campaign."""

    campaign: Campaign
    timezone: str  #: of our days
    their_hours: float  #: how far from UTC their days seem to be cut
    days: list[Day]

    @property
    def unexplained(self) -> int:
        """How many requests nothing explains, whoever has more of them."""
        return sum(abs(day.unexplained) for day in self.days)


def read(file: TextIO, campaign: str) -> dict[Campaign, dict[date, int]]:
    """Their counts by campaign and day; rows of one day add up.

    `campaign` empty: the file's columns say whose they are: `campaign` with `advertiser`, or with both in one. Raises
    :class:`Refused` at the first line that can't be used.
    """
    head = file.readline()
    separator = max(",;\t", key=head.count)
    names = [name.strip().lower() for name in next(csv.reader([head.removeprefix("\ufeff")], delimiter=separator), [])]
    when, what = (next((name for name in known if name in names), "") for known in (DAYS, IMPRESSIONS))
    if not when or not what or not (campaign or "campaign" in names):
        raise Refused(
            "the file needs a column `date`, one `impressions`, and `campaign` where --campaign doesn't name it;"
            f" it has: {', '.join(names) or 'none'}"
        )
    found: dict[Campaign, dict[date, int]] = {}
    for number, fields in enumerate(csv.reader(file, delimiter=separator), 2):
        if fields:
            row = dict(zip(names, map(str.strip, fields), strict=False))
            try:
                day, count = date.fromisoformat(row[when]), int(row[what].replace(",", ""))
            except (KeyError, ValueError):
                raise Refused(f"line {number} of the file has no day such as 2026-11-23 and count") from None
            whose = campaign or "/".join(filter(None, (row.get("advertiser"), row.get("campaign"))))
            days = found.setdefault(Campaign.named(whose), {})
            days[day] = days.get(day, 0) + count
    if not found:
        raise Refused("the file has no line below its head")
    return found


def compare(client: Client, campaign: Campaign, theirs: Mapping[date, int]) -> Comparison:
    """Ask for ours, and explain the gap."""
    first, last = min(theirs), max(theirs)
    agreed = terms(client, campaign, first, last)
    zone = agreed[0].timezone if agreed else "UTC"
    bounds = {
        "start": datetime(first.year, first.month, first.day, tzinfo=UTC) - timedelta(hours=_FURTHEST_H),
        "end": datetime(last.year, last.month, last.day, tzinfo=UTC) + timedelta(hours=24 + _FURTHEST_H),
    }
    asked = {**campaign._asdict(), **bounds}
    quarters = {row[0]: tuple(row[1:]) for row in client.query(_COUNTS, parameters=asked).result_rows}
    if not quarters:
        raise Refused(f"nothing was counted of {'/'.join(campaign)} from {first} to {last}: is it spelt so?")
    lost = sum(int(client.query(query, parameters=bounds).result_rows[0][0]) for query in (_LOST, _DEAD))
    hours, days = explained(theirs, quarters, zone, lost)
    return Comparison(campaign, zone, hours, days)


def explained(theirs: Mapping[date, int], quarters: Quarters, timezone: str, lost: int) -> tuple[float, list[Day]]:
    """How far from UTC their days are cut, and the gap's parts by day.

    `lost`: requests that were answered and not counted, of whatever campaign.
    """
    ours = _by_day(quarters, theirs, ZoneInfo(timezone))
    shifts = [timedelta(seconds=each * _QUARTER_S) for each in range(-4 * _FURTHEST_H, 4 * _FURTHEST_H + 1)]
    moved = {shift: _shifted(quarters, theirs, shift) for shift in shifts}
    own_gap, definition = _nearest(theirs, ours)
    (gap, its_definition), shift = min((_nearest(theirs, counts), shift) for shift, counts in moved.items())
    hours, cut = _hours(min(theirs), timezone), ours
    if 2 * gap < own_gap:  # less may be chance
        hours, cut, definition = shift / timedelta(hours=1), moved[shift], its_definition
    days = []
    for day in sorted(theirs):
        valid, duplicates, invalid = cut[day]
        zone = valid - ours[day][0]
        part_duplicates, part_invalid = duplicates * definition[0], invalid * definition[1]
        gap = theirs[day] - ours[day][0] - zone - part_duplicates - part_invalid
        loss = min(max(gap, 0), lost)
        lost -= loss
        days.append(Day(day, theirs[day], ours[day][0], zone, part_duplicates, part_invalid, loss, gap - loss))
    return hours, days


def table(found: Comparison) -> str:
    """For people."""
    head = ("day", "theirs", "ours", "gap", "time zone", "duplicates", "invalid", "loss", "unexplained")
    lines = ["/".join(found.campaign), f"{head[0]:12}" + "".join(f"{name:>13}" for name in head[1:])]
    for name, numbers in _rows(found.days):
        lines.append(f"{name:12}" + "".join(f"{number:>13,}" for number in numbers))
    zones = f"Ours are valid requests by days of {found.timezone}; theirs fit days cut at UTC{found.their_hours:+g} h."
    says = "theirs - ours = time zone + duplicates + invalid + loss + unexplained"
    return "\n".join([*lines, "", says, zones, ""])


def as_json(found: Sequence[Comparison]) -> str:
    """For programs: one object a campaign."""
    said = [
        {
            **each.campaign._asdict(),
            "timezone": each.timezone,
            "their_hours": each.their_hours,
            "unexplained": each.unexplained,
            "days": [{**vars(day), "day": str(day.day)} for day in each.days],
        }
        for each in found
    ]
    return f"{json.dumps(said, indent=2)}\n"


def _rows(days: Sequence[Day]) -> Iterator[tuple[str, list[int]]]:
    sums = [0] * 8
    for day in days:
        numbers = [day.theirs, day.ours, day.theirs - day.ours, day.zone]
        numbers += [day.duplicates, day.invalid, day.loss, day.unexplained]
        sums = [sum + number for sum, number in zip(sums, numbers, strict=True)]
        yield str(day.day), numbers
    yield "total", sums


def _by_day(quarters: Quarters, days: Mapping[date, Any], zone: ZoneInfo) -> Counts:
    return _sums(((datetime.fromtimestamp(start, zone).date(), its) for start, its in quarters.items()), days)


def _shifted(quarters: Quarters, days: Mapping[date, Any], shift: timedelta) -> Counts:
    moved = ((datetime.fromtimestamp(start, UTC) + shift).date() for start in quarters)
    return _sums(zip(moved, quarters.values(), strict=True), days)


def _sums(counts: Any, days: Mapping[date, Any]) -> Counts:
    found = dict.fromkeys(days, (0, 0, 0))
    for day, its in counts:
        if day in found:
            before = found[day]
            found[day] = (before[0] + its[0], before[1] + its[1], before[2] + its[2])
    return found


def _nearest(theirs: Mapping[date, int], ours: Counts) -> tuple[int, tuple[int, int]]:
    """How far off the nearest definition is, and whether it takes duplicates and invalid traffic in."""
    return min(
        (sum(abs(theirs[day] - its[0] - its[1] * twice - its[2] * bad) for day, its in ours.items()), (twice, bad))
        for twice, bad in product((0, 1), repeat=2)
    )


def _hours(day: date, timezone: str) -> float:
    away = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(timezone)).utcoffset() or timedelta(0)
    return away / timedelta(hours=1)
