"""Commands of the ingest tier: itself, its front, and what its URLs are signed with."""

import click

from pixeltally.command import command
from pixeltally.settings import Settings


@command()
def ingest(settings: Settings) -> None:
    """Answer pixel and click requests, spool them and ship them to Kafka.

    \b
    Example: PIXELTALLY_KAFKA=kafka:9092 pixeltally ingest
    """
    from ingest import server

    server.run(settings)


@command(
    click.option("--listen", default="80", show_default=True, help="Where nginx listens, as in its `listen`."),
    click.option("--upstream", help="HOST:PORT of `pixeltally ingest`, as nginx reaches it; unset: from the settings."),
    click.option("--folder", help="The folder DATA/spool/NAME, as nginx sees it, where that is elsewhere."),
    click.option("--name", default="nginx", show_default=True, help="The folder's name; each nginx has its own."),
)
def nginx(settings: Settings, listen: str, upstream: str | None, folder: str | None, name: str) -> None:
    """Print the configuration that makes nginx answer pixels itself, and make the folder that it writes to.

    \b
    Example: pixeltally nginx > /etc/nginx/conf.d/pixeltally.conf
    """
    from ingest import nginx as front

    node = (settings.spool / name).resolve()
    front.prepare(node)
    upstream = upstream or f"{settings.reachable_host}:{settings.ingest_port}"
    click.echo(front.configuration(listen, folder or str(node), upstream), nl=False)


@command(
    click.argument("unit", metavar="ADVERTISER/CAMPAIGN/CREATIVE[/PLACEMENT]"),
    click.option("--to", "target", help="Where a click leads: also print the signed click link."),
    click.option("--subscriber", help="Who will see it: counted as the visitor."),
)
def pixel(settings: Settings, unit: str, target: str | None, subscriber: str | None) -> None:
    """Print an ad unit's tags, ready to paste.

    \b
    Example: pixeltally pixel acme/spring/banner/blog --to https://acme.example/offer
    """
    from pixeltally.tags import tags

    for place, tag in tags(settings, unit, target, subscriber).items():
        click.echo(f"{place}:\n  {tag}")


@click.group()
def key() -> None:
    """Keys that sign click links and tokens."""


@command(of=key)
def key_list(settings: Settings) -> None:
    """List the keys, oldest first; the last one signs.

    \b
    Example: pixeltally key list
    """
    from pixeltally.keys import rows

    for row in rows(settings.keys()):
        click.echo("  ".join(f"{cell:<16}" for cell in row).rstrip())


@command(of=key)
def key_rotate(settings: Settings) -> None:
    """Make a new key, which signs from now on; what the others signed stays valid for PIXELTALLY_KEY_GRACE_DAYS.

    \b
    Example: pixeltally key rotate
    """
    click.echo(f"key {settings.keys().rotate().id} signs from now on")
