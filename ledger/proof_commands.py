"""Commands that prove counts to the other side."""

from datetime import datetime
from pathlib import Path
from typing import TextIO

import click

from pixeltally.command import command
from pixeltally.database import reach
from pixeltally.errors import Refused
from pixeltally.settings import Settings

_DAY = click.DateTime(["%Y-%m-%d"])
_FILE = click.Path(path_type=Path)


@command(
    click.argument("campaign", metavar="ADVERTISER/CAMPAIGN"),
    click.option("--from", "first", type=_DAY, metavar="DATE", required=True, help="The first day."),
    click.option("--to", "last", type=_DAY, metavar="DATE", required=True, help="The last day, included."),
    click.option("--out", type=_FILE, help="The file to write; unset: standard output."),
    click.option("--format", "form", type=click.Choice(["json", "pdf"]), default="json", show_default=True),
    click.option("--corrects", type=_FILE, help="The earlier statement that this one takes the place of."),
    click.option("--why", default="", help="Why it was wrong."),
)
def statement(
    settings: Settings,
    *,
    campaign: str,
    first: datetime,
    last: datetime,
    out: Path | None,
    form: str,
    corrects: Path | None,
    why: str,
) -> int:
    """Write a signed report of a campaign's days, which `pixeltally verify` checks without a server.

    \b
    Days are of the campaign's time zone. As PDF it is for people: it names the JSON's hash.
    Example: pixeltally statement acme/spring --from 2026-11-01 --to 2026-11-30 --out acme-2026-11.json
    """
    from ledger import statement as make
    from ledger.campaign import Campaign
    from ledger.statement_pdf import pdf
    from pixeltally.statement_key import StatementKey

    if last < first:
        raise Refused("--to is before --from")
    if bool(corrects) != bool(why):
        raise Refused("a correction needs both: --corrects FILE and --why TEXT")
    days, earlier = (first.date(), last.date()), make.correction(corrects, why) if corrects else None
    content = make.statement(settings, reach(settings), Campaign.named(campaign), days, earlier)
    signed = make.signed(StatementKey(settings.data), content)
    data = signed if form == "json" else pdf(content, signed)
    try:
        out.write_bytes(data) if out else click.get_binary_stream("stdout").write(data)
    except OSError as error:
        raise Refused(f"{out} can't be written: {error.strerror}") from None
    return 0


@command(
    click.argument("file", type=click.File(encoding="utf-8")),
    click.option("--campaign", default="", metavar="ADVERTISER/CAMPAIGN", help="Unset: the file's column says it."),
    click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True),
)
def compare(settings: Settings, file: TextIO, campaign: str, form: str) -> int:
    """Compare the other side's counts with ours, and say what the gap is made of. Exits 1 where some is unexplained.

    \b
    FILE is CSV with a head: columns of days (date, day), impressions and, unless it is named, the campaign.
    Example: pixeltally compare theirs.csv --campaign acme/spring
    """
    from ledger import compare as comparing

    theirs, client = comparing.read(file, campaign), reach(settings)
    found = [comparing.compare(client, named, days) for named, days in theirs.items()]
    click.echo(comparing.as_json(found) if form == "json" else "\n".join(map(comparing.table, found)), nl=False)
    return int(any(each.unexplained for each in found))
