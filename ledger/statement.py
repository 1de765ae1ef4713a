"""A signed report: what a campaign counted in some days, what is owed for it, and all that is needed to check that.

A statement holds nothing of when or where it was made: made again of the same counts it is the same, byte for byte.
"""

import json
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import rfc8785
from clickhouse_connect.driver.client import Client

from ledger import statement_archive
from ledger.campaign import Campaign
from ledger.statement_counts import Counter, Period
from ledger.statement_terms import amounts, lines, terms
from pixeltally.errors import Refused
from pixeltally.settings import Settings
from pixeltally.statement_key import StatementKey

FORMAT = "pixeltally statement 1"

#: Counts of so young a time may still grow.
YOUNGEST = timedelta(minutes=5)

#: The settings that say what is counted, and as what.
SETTINGS = (
    "duplicate_window_s", "attribution_window_s", "visitor", "ipv6_prefix", "store_ip", "gpc", "trusted_proxies",
    "advertisers", "max_units", "internal", "partitions",
)  # fmt: skip

#: What the words mean. docs/methodology.md says it at length.
DEFINITIONS = {
    "gross": "every request for the ad's image; of clicks, every signed click link that was followed",
    "invalid": "requests that a rule found to be invalid traffic, by the first rule that did",
    "duplicates": "valid requests less than duplicate_window_s after a counted one of the same ad unit and visitor",
    "valid": "valid requests that are no duplicates: gross = valid + duplicates + all invalid",
    "unique": "distinct visitors among requests that are not invalid: the subscriber whom the URL names, else the IP"
    " address (with ip+ua, with its user agent); unique IPs, not people. Of conversions, among orders: whoever clicked"
    " the click that the order names, where it is known, else its own visitor",
    "attributed": "valid clicks that follow an impression of the same ad unit and visitor, by attribution_window_s"
    " at most",
    "reported": "conversions that were reported, an order as often as it was",
    "orders": "conversions, each order of the campaign once: the first that is valid",
    "paid": "gross: all that was requested or reported, but for unregistered; valid: of conversions the orders; unique:"
    " each visitor once a month, on the first day so by such terms",
}

_COMPLETENESS = """
SELECT sum(answered), sum(lost), sum(spooled) FROM spooled_minutes
WHERE minute >= {start:DateTime('UTC')} AND minute < {end:DateTime('UTC')}
"""
_DEAD = """
SELECT reason, count() FROM dead_requests
WHERE minute >= {start:DateTime('UTC')} AND minute < {end:DateTime('UTC')} GROUP BY reason ORDER BY reason
"""


def statement(
    settings: Settings, client: Client, campaign: Campaign, days: tuple[date, date], corrects: dict[str, str] | None
) -> dict[str, Any]:
    """Make one. Raises :class:`Refused` where there is none to be made."""
    agreed = terms(client, campaign, *days)
    period = Period(*days, agreed[0].timezone if agreed else "UTC")
    counter = Counter(client, campaign, period)
    counted = counter.days()
    if not counted:
        raise Refused(f"nothing was counted of {'/'.join(campaign)} from {days[0]} to {days[1]}: is it spelt so?")
    owed = lines(agreed, counter, counted, period)
    return {
        "format": FORMAT,
        **campaign._asdict(),
        "from": str(period.first),
        "to": str(period.last),
        "timezone": period.timezone,
        "start": int(period.start.timestamp()),
        "end": int(period.end.timestamp()),
        "preliminary": datetime.now(UTC) < period.end + YOUNGEST,
        "total": counter.total(),
        "days": counted,
        "units": counter.units(),
        "earlier_orders": counter.earlier_orders(),
        "terms": [each.stated() for each in agreed],
        "lines": owed,
        "amounts": amounts(owed),
        "rules": counter.rules(),
        "completeness": _completeness(client, period),
        "methodology": _methodology(settings),
        "archive": _archive(settings, counter, period, owed),
        "corrects": corrects,
    }


def signed(key: StatementKey, content: dict[str, Any]) -> bytes:
    """The statement's file: one line of canonical JSON (RFC 8785)."""
    signature = key.sign(rfc8785.dumps(content))
    return rfc8785.dumps({"key": key.public, "signature": signature, "statement": content}) + b"\n"


def correction(path: Path, why: str) -> dict[str, str]:
    """What a statement says of the one that it corrects. Raises :class:`Refused`."""
    try:
        earlier = json.loads(path.read_bytes())["statement"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refused(f"{path} is no statement that could be corrected: {error}") from None
    return {"statement": sha256(rfc8785.dumps(earlier)).hexdigest(), "why": why}


def _completeness(client: Client, period: Period) -> dict[str, Any]:
    """What became of all requests of the period, of whatever campaign."""
    bounds = {"start": period.start.astimezone(UTC), "end": period.end.astimezone(UTC)}
    [(answered, lost, spooled)] = client.query(_COMPLETENESS, parameters=bounds).result_rows
    dead = {reason: count for reason, count in client.query(_DEAD, parameters=bounds).result_rows}
    return {"answered": answered, "lost": lost, "spooled": spooled, "dead": dead}


def _methodology(settings: Settings) -> dict[str, Any]:
    return {
        "settings": {name: settings.text(name) for name in SETTINGS},
        "rules": json.loads(_pixeltally("rules", "list", "--format", "json")),
        "definitions": DEFINITIONS,
    }


def _archive(settings: Settings, counter: Counter, period: Period, owed: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not settings.archive:
        return None
    root = Path(settings.archive)
    clicks = counter.followed() if ("cpa", "unique") in [(line["pricing"], line["basis"]) for line in owed] else []
    part = statement_archive.part(root, period, statement_archive.memory_ms(settings), clicks)
    return part | statement_archive.uncovered(root, counter.segments())


def _pixeltally(*arguments: str) -> str:
    """What another command says: streams know the rules, and are no part of this folder."""
    command = [sys.executable, "-m", "pixeltally", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603
