"""Commands of the dashboards tier."""

import click

from pixeltally.command import command
from pixeltally.settings import Settings


@click.group(invoke_without_command=True)
@click.pass_context
def live(context: click.Context) -> None:
    """Serve the live page.

    \b
    Example: PIXELTALLY_LIVE_PORT=8090 pixeltally live
    """
    if context.invoked_subcommand is None:
        context.invoke(_serve)


@command()
def _serve(settings: Settings) -> None:
    from dashboards.live import server

    server.run(settings)


@command(
    click.argument("advertiser"),
    click.option("--days", type=click.IntRange(1, 3650), default=30, show_default=True, help="How long it is valid."),
    of=live,
)
def live_link(settings: Settings, advertiser: str, days: int) -> None:
    """Print an address that shows one advertiser's boards, and no other's, to whoever has it.

    \b
    It is signed: nobody can change the advertiser or the day that it ends. Rotating the keys ends it, too, after
    PIXELTALLY_KEY_GRACE_DAYS.
    Example: pixeltally live link acme --days 7
    """
    from dashboards.live.access import link
    from pixeltally.tags import advertiser_name

    click.echo(link(settings, advertiser_name(advertiser), days))


@command(click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing."))
def grafana(settings: Settings, dry_run: bool) -> int:
    """Give every advertiser its part of Grafana: organisation, data source, boards, alert rules, a viewer.

    \b
    Safe to repeat: what somebody changed is told and set back. Needs PIXELTALLY_GRAFANA_PASSWORD, and the
    PIXELTALLY_SECRET that ingest has. Exits with 1 if a part fails, with --dry-run if anything would change.
    Example: pixeltally grafana --dry-run
    """
    from dashboards.provision.run import run

    return run(settings, click.echo, dry_run)
