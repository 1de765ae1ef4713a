"""Commands that ask: ad-hoc SQL, funnels and the lists that they begin with."""

import os
import sys
from typing import TextIO

import click

from pixeltally.command import command
from pixeltally.database import reach
from pixeltally.errors import Refused
from pixeltally.settings import Settings


@command(
    click.argument("query", required=False),
    click.option(
        "--format",
        "format_name",
        default="table",
        show_default=True,
        help="table, csv, tsv, json, or any format of ClickHouse's: JSONEachRow, Markdown, Parquet …",
    ),
)
def sql(settings: Settings, query: str | None, format_name: str) -> int:
    """Ask ClickHouse; without QUERY it is read from standard input. Nothing can be changed this way.

    \b
    Example: pixeltally sql "SELECT campaign, count() FROM impressions GROUP BY campaign"
    More questions, with their SQL: docs/sql.md
    """
    from ledger.sql import Failed, ask

    if query is None and sys.stdin.isatty():
        raise Refused('say what to ask: pixeltally sql "SELECT …", or pipe the query in')
    said = sys.stdin.buffer.read() if query is None or query == "-" else os.fsencode(query)
    try:
        text = said.decode()
    except UnicodeDecodeError:
        raise Refused("the query is no UTF-8: save it as such") from None
    try:
        for chunk in ask(reach(settings), text, format_name):
            click.get_binary_stream("stdout").write(chunk)
        click.get_binary_stream("stdout").flush()
    except Failed as failure:
        click.echo(f"pixeltally: {failure}", err=True)
        return 1
    return 0


@command(
    click.argument("campaign", metavar="ADVERTISER/CAMPAIGN"),
    click.argument("file", type=click.File(encoding="utf-8")),
    click.option("--column", default="subscriber", show_default=True, help="The column of the tags' `s=`."),
    click.option("--time", default="sent_at", show_default=True, help="The column of when it was sent, if there is."),
)
def sent(settings: Settings, campaign: str, file: TextIO, column: str, time: str) -> int:
    """Import the CSV list of whom a campaign was sent to, so that `funnel` knows who did not open it.

    \b
    FILE has a head; `-` is standard input. Importing it again, or more of it, counts each subscriber once.
    Example: pixeltally sent acme/spring list.csv --column "Subscriber ID"
    """
    from ledger.campaign import Campaign
    from ledger.sent import keep, read, size

    named = Campaign.named(campaign)
    client = reach(settings)
    lines = keep(client, settings, named, read(file, column, time))
    click.echo(f"{lines:,} lines read; {size(client, named):,} subscribers are on the list of {campaign}")
    return 0


@command(
    click.argument("campaign", metavar="ADVERTISER/CAMPAIGN"),
    click.option("--who", "which", metavar="STEP[-not-STEP]", help="List them: opened, opened-not-clicked …"),
    click.option("--format", "format_name", type=click.Choice(["table", "csv", "json"]), default="table"),
)
def funnel(settings: Settings, campaign: str, which: str | None, format_name: str) -> int:
    """How many a campaign was sent to, opened, clicked and converted; or who.

    \b
    Steps: sent, opened, clicked, converted. Only valid traffic counts.
    Example: pixeltally funnel acme/spring --who opened-not-clicked --format csv
    """
    import json

    from ledger import funnel as ask
    from ledger.campaign import Campaign
    from ledger.table import text

    named = Campaign.named(campaign)
    client = reach(settings)
    if which is not None:
        click.echo(text(ask.who(client, named, which), ask.PERSON, format_name))
        return 0
    found = ask.count(client, named)
    if format_name == "json":
        click.echo(json.dumps({"steps": found.rows(), **found.rate()}, indent=2))
        return 0
    click.echo(text(found.rows(), ask.STEP, format_name))
    if format_name == "table":
        click.echo(found.sentences())
    return 0
