"""The list of whom a campaign was sent to: reads it and keeps it, however often it is imported."""

import csv
import itertools
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple, TextIO

from clickhouse_connect.driver.client import Client

from ledger.campaign import Campaign
from pixeltally.errors import Refused
from pixeltally.identity import subscriber_name, visitor_key, visitor_number
from pixeltally.settings import Settings

UNKNOWN = datetime.fromtimestamp(0, UTC)

_BATCH_ROWS = 50_000
_COLUMNS = ["advertiser", "campaign", "visitor", "subscriber", "sent_at"]


class Sent(NamedTuple):
    """One line of a list."""

    subscriber: str
    at: datetime  #: `UNKNOWN` where the list doesn't say


def read(file: TextIO, subscriber: str, time: str) -> Iterator[Sent]:
    """The lines of a CSV file with a head, whose columns have these names; that of the time may be missing.

    Commas, semicolons or tabs separate. Raises :class:`Refused` at the first line that can't be used.
    """
    try:
        yield from _read(file, subscriber, time)
    except UnicodeDecodeError:
        raise Refused("the list is no UTF-8: save it as CSV UTF-8") from None


def _read(file: TextIO, subscriber: str, time: str) -> Iterator[Sent]:
    head = file.readline()
    separator = max(",;\t", key=head.count)
    names = [name.strip() for name in next(csv.reader([head.removeprefix("\ufeff")], delimiter=separator), [])]
    if subscriber not in names:
        raise Refused(f"the list has no column {subscriber!r}, it has: {', '.join(names) or 'nothing'}; see --column")
    who, when = names.index(subscriber), names.index(time) if time in names else None
    lines = csv.reader(file, delimiter=separator)
    while True:
        number = lines.line_num + 2
        try:
            fields = next(lines, None)
        except csv.Error as error:
            raise Refused(f"line {number} of the list: {error}; is a quote never closed?") from None
        if fields is None:
            return
        if not fields:
            continue
        if len(fields) <= who or not fields[who].strip():
            raise Refused(f"line {number} of the list names no subscriber: mend it, and import the list again")
        said = fields[when].strip() if when is not None and len(fields) > when else ""
        yield Sent(fields[who].strip(), _time(said, number) if said else UNKNOWN)


def keep(client: Client, settings: Settings, campaign: Campaign, sent: Iterator[Sent]) -> int:
    """Put the subscribers on the campaign's list; the last import of one wins. How many lines there were."""
    key = visitor_key(settings.secret_key())
    keeps_subscriber = settings.store_ip != "none"
    total = 0
    while batch := list(itertools.islice(sent, _BATCH_ROWS)):
        rows = [
            (*campaign, visitor_number(key, subscriber_name(who)), who if keeps_subscriber else "", at)
            for who, at in batch
        ]
        client.insert("sent_list", rows, column_names=_COLUMNS)
        total += len(rows)
    return total


def size(client: Client, campaign: Campaign) -> int:
    """How many subscribers stand on the campaign's list."""
    where = "advertiser = {advertiser:String} AND campaign = {campaign:String}"
    query = f"SELECT count() FROM sent_list FINAL WHERE {where}"
    return int(client.query(query, parameters=campaign._asdict()).result_rows[0][0])


def _time(text: str, line: int) -> datetime:
    """ISO 8601, UTC where it names no zone, or epoch seconds."""
    try:
        if text.isdecimal() and len(text) > 8:
            return datetime.fromtimestamp(int(text), UTC)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise Refused(f"line {line} of the list: {text!r} is no time (2026-11-23T09:00:00+01:00)") from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
