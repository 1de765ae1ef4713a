"""The command line: one thin command per tier and per question."""

import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from pixeltally.errors import Refused
from pixeltally.process import die_with_parent, say_refused
from pixeltally.settings import Settings, table


def _environment_help() -> str:
    rows = "\n".join(f"  {name} ({default or 'unset'}): {help}" for name, default, help in table())
    return f"\b\nSettings, by environment variable (default):\n{rows}"


@click.group(epilog=_environment_help(), context_settings={"max_content_width": 110})
@click.version_option(package_name="pixeltally")
def main() -> None:
    """Pixeltally counts tracking-pixel hits: exactly, through crashes, in seconds."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    if "SUPERVISOR_ENABLED" in os.environ:  # supervisord says so to whom it starts
        die_with_parent()


def _command(*options: Callable[[Any], Any], of: click.Group = main) -> Callable[[Callable[..., Any]], click.Command]:
    """A subcommand that gets the settings first and turns `Refused` into one line and exit code 2."""

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def run(**arguments: Any) -> None:
            try:
                sys.exit(function(Settings.from_env(), **arguments))
            except Refused as refusal:
                say_refused(str(refusal))
                click.echo(f"pixeltally: {refusal}", err=True)
                sys.exit(2)

        command: Any = run
        for option in reversed(options):
            command = option(command)
        return of.command(name=function.__name__.strip("_"))(command)

    return decorate


@_command(click.option("--data", type=click.Path(), help="Folder to keep everything in (PIXELTALLY_DATA)."))
def up(settings: Settings, data: str | None) -> int:
    """Run everything on this machine until Ctrl-C; prints `ready` when all answer.

    \b
    Example: pixeltally up --data ./data
    """
    from local import stack

    if data:
        os.environ["PIXELTALLY_DATA"] = data
    return stack.up(Settings.from_env())


@_command(
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


@_command(
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


@main.group()
def advertiser() -> None:
    """Advertisers: who reports conversions."""


@_command(click.argument("name"), of=advertiser)
def token(settings: Settings, name: str) -> None:
    """Print the token with which an advertiser's servers report conversions.

    \b
    Example: pixeltally advertiser token acme
    """
    from pixeltally.tags import advertiser_token

    click.echo(advertiser_token(settings, name))


@main.group()
def key() -> None:
    """Keys that sign click links and tokens."""


@_command(of=key)
def list_(settings: Settings) -> None:
    """List the keys, oldest first; the last one signs.

    \b
    Example: pixeltally key list
    """
    from pixeltally.keys import rows

    for row in rows(settings.keys()):
        click.echo("  ".join(f"{cell:<16}" for cell in row).rstrip())


@_command(of=key)
def rotate(settings: Settings) -> None:
    """Make a new key, which signs from now on; what the others signed stays valid for PIXELTALLY_KEY_GRACE_DAYS.

    \b
    Example: pixeltally key rotate
    """
    click.echo(f"key {settings.keys().rotate().id} signs from now on")


@_command()
def ingest(settings: Settings) -> None:
    """Answer pixel and click requests, spool them and ship them to Kafka.

    \b
    Example: PIXELTALLY_KAFKA=kafka:9092 pixeltally ingest
    """
    from ingest import server

    server.run(settings)


@_command(
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


@_command()
def streams(settings: Settings) -> None:
    """Run one Faust worker: hits to facts and minutes. Start as many as there are partitions.

    \b
    Example: PIXELTALLY_KAFKA=kafka:9092 pixeltally streams
    """
    from streams import worker

    worker.run(settings)


@_command()
def sink(settings: Settings) -> None:
    """Migrate ClickHouse, then write facts, minutes and dead letters into it.

    \b
    Example: PIXELTALLY_CLICKHOUSE_URL=http://clickhouse:8123 pixeltally sink
    """
    from sinks import sink as tier

    tier.run(settings)


@_command()
def live(settings: Settings) -> None:
    """Serve the live page.

    \b
    Example: PIXELTALLY_LIVE_PORT=8090 pixeltally live
    """
    from dashboards import live as page

    page.run(settings)


@_command()
def clickhouse(settings: Settings) -> None:
    """Serve the embedded ClickHouse engine over ClickHouse's HTTP interface.

    \b
    Example: PIXELTALLY_CLICKHOUSE_PORT=8123 pixeltally clickhouse
    """
    from local import clickhouse as engine

    engine.run(settings)


@_command()
def broker(settings: Settings) -> None:
    """Run Apache Kafka on this machine, or without Java an in-memory broker.

    \b
    Example: PIXELTALLY_KAFKA_PORT=9092 pixeltally broker
    """
    from local import kafka

    kafka.run(settings)
