"""Commands of the sinks tier."""

from pixeltally.command import command
from pixeltally.settings import Settings


@command()
def sink(settings: Settings) -> None:
    """Migrate ClickHouse, then write facts, minutes and dead letters into it.

    \b
    Example: PIXELTALLY_CLICKHOUSE_URL=http://clickhouse:8123 pixeltally sink
    """
    from sinks import sink as tier

    tier.run(settings)
