"""Commands about money: campaigns' terms, reports and bills."""

import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import click

from pixeltally.command import command
from pixeltally.database import reach
from pixeltally.errors import Refused
from pixeltally.settings import Settings

_DAY = click.DateTime(["%Y-%m-%d"])
_MONTH = click.DateTime(["%Y-%m"])
_FORMAT = click.option(
    "--format", "format_name", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True
)


@click.group()
def campaign() -> None:
    """Campaigns: the terms that reports and bills go by."""


@command(
    click.argument("name", metavar="ADVERTISER/CAMPAIGN"),
    click.option(
        "--pricing", type=click.Choice(["cpm", "cpc", "cpa"]), help="A thousand impressions, a click, an order."
    ),
    click.option("--price", help="Of that; an exact decimal such as 10.00."),
    click.option("--currency", help="Of ISO 4217: EUR, USD, JPY …"),
    click.option(
        "--basis",
        type=click.Choice(["unique", "valid", "gross"]),
        help="Which of them: one a month of each visitor, the valid ones, or all. Unset, with cpc and cpa: valid.",
    ),
    click.option("--timezone", help="Whose days and months, such as Europe/Berlin; unset: UTC."),
    click.option("--since", type=_DAY, metavar="DATE", help="The first day that they hold; unset: today."),
    click.option("--budget", help="For pacing: what is to be spent from --start to --end; 0: none."),
    click.option("--start", "plan_start", type=_DAY, metavar="DATE", help="The budget's first day."),
    click.option("--end", "plan_end", type=_DAY, metavar="DATE", help="The budget's last day."),
    of=campaign,
)
def campaign_set(settings: Settings, name: str, since: datetime | None, **options: Any) -> None:
    """Set the terms of a campaign. What isn't said is as on the day since which they hold; every change is kept.

    \b
    A campaign's first terms hold from the beginning, later ones from the first moment of today, or of --since.
    They take the place of others since the same day; a campaign's first may be mended on the day they are set.
    Example: pixeltally campaign set acme/spring --pricing cpm --price 10.00 --currency USD --basis unique
    """
    from ledger import terms
    from ledger.campaign import Campaign

    named = Campaign.named(name)
    said = {key: _plain(key, value) for key, value in options.items() if value is not None}
    day = None if since is None else _day(since, "--since")
    held, first = terms.change(reach(settings), named, said, day, datetime.now(UTC))
    click.echo(f"{name}: {held.sentence()}; {'from the beginning' if first == terms.BEGINNING else f'since {first}'}")


@command(
    click.argument("advertiser", default=""),
    click.option("--history", is_flag=True, help="All that were ever set, with the time."),
    _FORMAT,
    of=campaign,
)
def campaign_list(settings: Settings, advertiser: str, history: bool, format_name: str) -> None:
    """List the terms that hold now, of all campaigns or an advertiser's.

    \b
    Campaigns that were counted and have no terms stand there too. No `since`: from the beginning.
    Example: pixeltally campaign list acme --history
    """
    from ledger import terms
    from ledger.table import text

    click.echo(text(terms.listed(reach(settings), advertiser, history), terms.COLUMNS, format_name))


@command(
    click.argument("what", metavar="ADVERTISER[/CAMPAIGN]"),
    click.option("--from", "first", type=_DAY, metavar="DATE", required=True, help="The first day."),
    click.option("--to", "last", type=_DAY, metavar="DATE", required=True, help="The last day, which is included."),
    click.option("--by", type=click.Choice(["day", "week", "month"]), default="day", show_default=True),
    click.option(
        "--per", type=click.Choice(["campaign", "creative", "placement"]), default="campaign", show_default=True
    ),
    _FORMAT,
)
def report(
    settings: Settings, what: str, *, first: datetime, last: datetime, by: str, per: str, format_name: str
) -> None:
    """What campaigns counted, cost and brought in, by days, ISO weeks or months of their own time zones.

    \b
    A campaign without terms has UTC's days. Periods that --from or --to cut are counted as far as they go, and marked.
    Example: pixeltally report acme/spring --from 2026-11-01 --to 2026-11-30 --by week
    """
    from ledger.report import Question
    from ledger.report import report as ask
    from ledger.report_text import text

    days = _day(first, "--from"), _day(last, "--to")
    if days[1] < days[0]:
        raise Refused(f"--to {days[1]} is before --from {days[0]}")
    asked = Question(*_advertiser_and_campaign(what), *days, by, per)
    click.echo(text(ask(reach(settings), asked), format_name))


@command(
    click.argument("advertiser"),
    click.option("--month", type=_MONTH, metavar="YYYY-MM", required=True),
    click.option(
        "--format",
        "format_name",
        type=click.Choice(["table", "csv", "json", "pdf"]),
        default="table",
        show_default=True,
    ),
    click.option("--out", type=click.Path(path_type=Path), help="A file to write to; unset: standard output."),
)
def invoice(settings: Settings, advertiser: str, *, month: datetime, format_name: str, out: Path | None) -> None:
    """What an advertiser owes for a month, line by line. A month that isn't over is marked as provisional.

    \b
    Example: pixeltally invoice acme --month 2026-11 --format pdf --out acme-2026-11.pdf
    """
    from ledger.invoice import invoice as ask
    from ledger.invoice_pdf import pdf
    from ledger.invoice_text import text
    from pixeltally import tags

    if format_name == "pdf" and out is None and sys.stdout.isatty():
        raise Refused("a PDF is nothing for a terminal: say --out FILE")
    found = ask(reach(settings), tags.advertiser_name(advertiser), _day(month, "--month"))
    content = pdf(found) if format_name == "pdf" else text(found, format_name).encode() + b"\n"
    if out is None:
        click.get_binary_stream("stdout").write(content)
        return
    try:
        out.write_bytes(content)
    except OSError as error:
        raise Refused(f"{out} can't be written: {error.strerror}") from None


def _plain(name: str, value: Any) -> Any:
    """What an option of terms says: a day, an exact amount, or a word."""
    from ledger import money

    if isinstance(value, datetime):
        return _day(value, f"--{name.removeprefix('plan_')}")
    return money.decimal(value, f"--{name}") if name in ("price", "budget") else value


def _advertiser_and_campaign(what: str) -> tuple[str, str]:
    """Both names, the latter empty where none is given."""
    from ledger.campaign import Campaign
    from pixeltally import tags

    return Campaign.named(what) if "/" in what else (tags.advertiser_name(what), "")


def _day(value: datetime, option: str) -> date:
    """The day, if it is one of those that ClickHouse can count."""
    if not 1970 <= value.year <= 2105:
        raise Refused(f"{option} {value:%Y-%m-%d} is no day between 1970 and 2105")
    return value.date()
