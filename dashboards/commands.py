"""Commands of the dashboards tier."""

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
