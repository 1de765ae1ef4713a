"""Commands of the dashboards tier."""

import click

from pixeltally.command import command
from pixeltally.settings import Settings


@command()
def live(settings: Settings) -> None:
    """Serve the live page.

    \b
    Example: PIXELTALLY_LIVE_PORT=8090 pixeltally live
    """
    from dashboards import live as page

    page.run(settings)


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
