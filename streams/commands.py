"""Commands of the streams tier: itself, and the rules that it judges by."""

import json
import sys
from datetime import datetime
from itertools import islice

import click

from pixeltally.command import command
from pixeltally.settings import Settings

#: What is told of a rule.
_RULE = ("name", "version", "reason", "says", "source")

#: Requests that are judged at a time.
_AT_A_TIME = 1000

_DAY = click.DateTime(["%Y-%m-%d"])


@command()
def streams(settings: Settings) -> None:
    """Run one Faust worker: hits to facts and minutes. Start as many as there are partitions.

    \b
    Example: PIXELTALLY_KAFKA=kafka:9092 pixeltally streams
    """
    from streams import worker

    worker.run(settings)


@click.group()
def rules() -> None:
    """Rules of invalid traffic.

    \b
    Example: pixeltally rules list
    """


@command(
    click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True), of=rules
)
def rules_list(settings: Settings, form: str) -> None:
    """List the rules in the order of primary reasons, and the lists that they rest on.

    \b
    Example: pixeltally rules list
    """
    from streams.enrich import Enricher
    from streams.rules import RULES

    enricher = Enricher(settings)
    if form == "json":
        click.echo(json.dumps([{name: getattr(rule, name) for name in _RULE} for rule in RULES], indent=2))
        return
    rows = [(rule.name, str(rule.version), rule.reason or "not recorded", rule.source) for rule in RULES]
    _print([("rule", "version", "reason", "source"), *rows])
    click.echo()
    _print([("list", "version"), *((name, version or "can't be read") for name, version in enricher.lists().items())])
    click.echo(f"\nrules_version: {enricher.version()}")


@command(of=rules)
def rules_judge(settings: Settings) -> None:
    """Say what the lists find of requests, whatever came before them: lines of JSON in, lines of JSON out.

    \b
    In: {"kind", "ip", "user_agent", "purpose"}. Out: {"reasons", "network" (shared, local or empty), "rules_version"}.
    Example: echo '{"kind": "impression", "user_agent": "curl/8.5.0"}' | pixeltally rules judge
    """
    from streams.enrich import Enricher
    from streams.judging import judged

    enricher, answers = Enricher(settings), click.get_binary_stream("stdout")
    done = 0
    while lines := [*islice(sys.stdin.buffer, _AT_A_TIME)]:
        answers.writelines(judged(enricher, lines, done))
        done += len(lines)


@command(
    click.option("--from", "first", type=_DAY, metavar="DATE", required=True, help="The first day, in UTC."),
    click.option("--to", "last", type=_DAY, metavar="DATE", required=True, help="The last day, in UTC."),
    of=rules,
)
def rules_rerun(settings: Settings, first: datetime, last: datetime) -> None:
    """Rate facts by today's rules, into the table rerates; what they were found to be first stays as it is.

    \b
    Example: pixeltally rules rerun --from 2026-11-01 --to 2026-11-30
    """
    from pixeltally.database import reach
    from streams.enrich import Enricher
    from streams.rerun import rerun

    client, enricher = reach(settings), Enricher(settings)
    changes = rerun(client, enricher, first.date(), last.date())
    rows = [(before, after, f"{count:,}") for (before, after), count in sorted(changes.items())]
    _print([("first", "now", "hits"), *rows])
    click.echo(f"\nrules_version: {enricher.version()}")


def _print(rows: list[tuple[str, ...]]) -> None:
    """A table whose first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
