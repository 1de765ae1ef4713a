"""All advertisers' organisations, one after the other."""

from collections.abc import Callable

from clickhouse_connect.driver.client import Client

from dashboards.provision.api import Failed, Grafana
from dashboards.provision.organisation import Organisation, tenant
from pixeltally.database import reach
from pixeltally.errors import Refused
from pixeltally.settings import Settings


def run(settings: Settings, say: Callable[[str], None], dry: bool) -> int:
    """Exit code: 0 when all is as it should be; 1 when an advertiser's part failed or, `dry`, would change."""
    if not settings.grafana_password:
        raise Refused("PIXELTALLY_GRAFANA_PASSWORD is unset: it is the password of Grafana's administrator.")
    grafana = Grafana(settings.grafana_url, settings.grafana_user, settings.grafana_password)
    advertisers = added(reach(settings))
    if not advertisers:
        say("no advertiser was added: `pixeltally advertiser add NAME` does")
    changes = failed = 0
    for name in advertisers:
        part = Organisation(grafana, tenant(settings, name), say, dry)
        try:
            part.settle()
            if not dry:
                part.check()
        except Failed as failure:
            failed += 1
            say(f"{name}: failed: {failure}")
        changes += part.changes
    say(f"{len(advertisers)} advertisers, {changes} changes{' to make' if dry else ''}, {failed} failed")
    return 1 if failed or (dry and changes) else 0


def added(client: Client) -> list[str]:
    """Advertisers that `pixeltally advertiser add` put on the list."""
    rows = client.query("SELECT DISTINCT advertiser FROM advertisers ORDER BY advertiser").result_rows
    return [row[0] for row in rows]
