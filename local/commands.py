"""Commands that run Pixeltally on one machine."""

import os

import click

from pixeltally.command import command
from pixeltally.settings import Settings


@command(click.option("--data", type=click.Path(), help="Folder to keep everything in (PIXELTALLY_DATA)."))
def up(settings: Settings, data: str | None) -> int:
    """Run everything on this machine until Ctrl-C; prints `ready` when all answer.

    \b
    Example: pixeltally up --data ./data
    """
    from local import stack

    if data:
        os.environ["PIXELTALLY_DATA"] = data
    return stack.up(Settings.from_env())


@command(
    click.option("--rate", type=click.FloatRange(min=1), default=200.0, show_default=True, help="Hits a second."),
    click.option("--for", "seconds", type=click.FloatRange(min=1), help="Stop after so many seconds, with a summary."),
)
def demo(settings: Settings, rate: float, seconds: float | None) -> int:
    """Run everything and send realistic traffic; with --for, prove that every hit was counted once.

    \b
    Example: pixeltally demo --rate 2000 --for 60
    """
    from local import demo as demonstration

    return demonstration.run(settings, rate, seconds)


@command()
def clickhouse(settings: Settings) -> None:
    """Serve the embedded ClickHouse engine over ClickHouse's HTTP interface.

    \b
    Example: PIXELTALLY_CLICKHOUSE_PORT=8123 pixeltally clickhouse
    """
    from local import clickhouse as engine

    engine.run(settings)


@command()
def broker(settings: Settings) -> None:
    """Run Apache Kafka on this machine, or without Java an in-memory broker.

    \b
    Example: PIXELTALLY_KAFKA_PORT=9092 pixeltally broker
    """
    from local import kafka

    kafka.run(settings)
