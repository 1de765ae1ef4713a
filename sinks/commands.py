"""Commands of the sinks tier."""

import time
from datetime import UTC, datetime

import click

from pixeltally.command import command
from pixeltally.settings import Settings

_MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M"])


@command()
def sink(settings: Settings) -> None:
    """Migrate ClickHouse, then write facts, minutes and dead letters into it.

    \b
    Example: PIXELTALLY_CLICKHOUSE_URL=http://clickhouse:8123 pixeltally sink
    """
    from sinks import sink as tier

    tier.run(settings)


@command(
    click.option("--from", "first", type=_MOMENT, help="UTC; unset: a day before."),
    click.option("--to", "last", type=_MOMENT, help="UTC, not included; unset: up to what is settled."),
    click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True),
)
def reconcile(settings: Settings, first: datetime | None, last: datetime | None, form: str) -> int:
    """Count again, stage by stage from independent sources, and say where the stages differ: then it exits with 1.

    \b
    answered, spooled, in Kafka, facts, windows, reach; docs/proof.md says what each is counted from.
    Example: pixeltally reconcile --from 2026-11-23 --to 2026-11-24
    """
    from confluent_kafka import KafkaException

    from pixeltally.database import reach
    from pixeltally.errors import Refused
    from sinks import reconcile_report
    from sinks.reconcile import MINUTE_S
    from sinks.reconcile import reconcile as run

    end = int(last.replace(tzinfo=UTC).timestamp()) if last else None
    start = int(first.replace(tzinfo=UTC).timestamp()) if first else (end or int(time.time())) - 86_400
    if end is not None and end <= start:
        raise Refused("--to must be after --from")
    try:
        found = run(settings, reach(settings), start // MINUTE_S * MINUTE_S, end)
    except KafkaException as error:
        raise Refused(f"Kafka doesn't answer on {settings.kafka_servers}: {error}.") from None
    click.echo(reconcile_report.table(found) if form == "table" else reconcile_report.as_json(found), nl=False)
    return 1 if found.difference else 0
