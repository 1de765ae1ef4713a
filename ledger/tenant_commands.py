"""Commands about advertisers: who they are, what they may read, what signs for them."""

import click

from pixeltally.command import command
from pixeltally.database import reach
from pixeltally.settings import Settings


@click.group()
def advertiser() -> None:
    """Advertisers: their ClickHouse users and tokens.

    \b
    Example: pixeltally advertiser list
    """


@command(click.argument("name"), of=advertiser)
def advertiser_add(settings: Settings, name: str) -> int:
    """Add an advertiser: a ClickHouse user that reads its own rows alone, and a token that reports conversions.

    \b
    Safe to repeat, which also sets the password anew after `key rotate`. Exits with 1 where ClickHouse is
    the embedded one, which has no users: then the advertiser is on the list, and has its token.
    Example: pixeltally advertiser add acme
    """
    from ledger import tenants
    from pixeltally import tags

    token = tags.advertiser_token(settings, name)
    client = reach(settings)
    click.echo(f"{name}: {'added' if tenants.register(client, name) else 'was there already'}")
    click.echo(f"reports conversions with the token {token}")
    try:
        user = tenants.make(client, settings, name)
    except tenants.Failed as failure:
        click.echo(f"pixeltally: {failure}", err=True)
        return 1
    click.echo(f"asks ClickHouse as {user.name} with the password {user.password}")
    click.echo(f"reads its own rows of {user.tables} tables and views, and nothing else (tried just now)")
    return 0


@command(
    click.option("--format", "format_name", type=click.Choice(["table", "csv", "json"]), default="table"), of=advertiser
)
def advertiser_list(settings: Settings, format_name: str) -> None:
    """List advertisers: when they were added, their ClickHouse users, and the newest minute that was counted.

    \b
    Those that were counted and never added stand there too.
    Example: pixeltally advertiser list
    """
    from ledger import tenants
    from ledger.table import text

    click.echo(text(tenants.listed(reach(settings)), tenants.COLUMNS, format_name))


@command(click.argument("name"), of=advertiser)
def advertiser_token(settings: Settings, name: str) -> None:
    """Print the token with which an advertiser's servers report conversions.

    \b
    Example: pixeltally advertiser token acme
    """
    from pixeltally import tags

    click.echo(tags.advertiser_token(settings, name))
