"""Commands about those who see an ad."""

from ipaddress import ip_address

import click

from pixeltally.command import command
from pixeltally.database import reach
from pixeltally.errors import Refused
from pixeltally.settings import Settings


@command(
    click.option("--ip", help="An address, IPv4 or IPv6."),
    click.option("--subscriber", help="A subscriber, as the tags' `s=` names it."),
    click.option("--advertiser", default="", help="Only what this advertiser's campaigns kept; unset: everybody's."),
)
def forget(settings: Settings, ip: str | None, subscriber: str | None, advertiser: str) -> int:
    """Erase who somebody is from all that is kept; what was counted, and so what was billed, stays.

    \b
    Kafka and the spool are not searched: docs/privacy.md says how long they keep what. May be repeated.
    Example: pixeltally forget --subscriber anna@example.org --advertiser acme
    """
    from ledger import forget as erasure
    from ledger.table import text
    from pixeltally import tags

    if (ip is None) == (subscriber is None):
        raise Refused("say who: either --ip ADDRESS or --subscriber NAME")
    if advertiser:
        tags.advertiser_name(advertiser)
    try:
        address = None if ip is None else ip_address(ip)
    except ValueError:
        raise Refused(f"--ip {ip!r} is no address") from None
    client = reach(settings)
    if address is not None:
        person = erasure.address(client, settings, address)
    else:
        person = erasure.subscriber(settings, subscriber or "")
    erased = erasure.forget(client, person, advertiser)
    if erased.hits:
        click.echo(text(erased.hits, erasure.COLUMNS, "table"))
    click.echo(
        f"{sum(row['hits'] for row in erased.hits):,} hits are nobody's now;"
        f" {erased.on_lists:,} places on lists and {erased.letters:,} dead letters were erased"
    )
    return 0
