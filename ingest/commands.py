"""Commands of the ingest tier: itself, its front, and what its URLs are signed with."""

from datetime import datetime
from typing import IO

import click

from pixeltally.command import command
from pixeltally.errors import Refused
from pixeltally.settings import Settings


@command()
def ingest(settings: Settings) -> None:
    """Answer pixel and click requests, spool them and ship them to Kafka.

    \b
    Example: PIXELTALLY_KAFKA=kafka:9092 pixeltally ingest
    """
    from ingest import server

    server.run(settings)


@command(
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
    click.echo(front.configuration(settings, listen, folder or str(node), upstream), nl=False)


@command(
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


@click.group()
def key() -> None:
    """Keys that sign click links and tokens.

    \b
    Example: pixeltally key list
    """


@command(of=key)
def key_list(settings: Settings) -> None:
    """List the keys, oldest first; the last one signs.

    \b
    Example: pixeltally key list
    """
    from pixeltally.keys import rows

    for row in rows(settings.keys()):
        click.echo("  ".join(f"{cell:<16}" for cell in row).rstrip())


@command(of=key)
def key_rotate(settings: Settings) -> None:
    """Make a new key, which signs from now on; what the others signed stays valid for PIXELTALLY_KEY_GRACE_DAYS.

    \b
    Example: pixeltally key rotate
    """
    click.echo(f"key {settings.keys().rotate().id} signs from now on")


@command(of=key)
def key_public(settings: Settings) -> None:
    """Print the public key of statements: whoever has it can check them. Made where there is none yet.

    \b
    Example: pixeltally key public > pixeltally.pub
    """
    from pixeltally.statement_key import StatementKey

    click.echo(StatementKey(settings.data).public)


_CHOSEN = (
    click.option("--reason", default="", help="Those with this reason (docs/dead-letters.md)."),
    click.option(
        "--since",
        type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]),
        help="Those found since then, UTC.",
    ),
)
_IDS = click.argument("ids", nargs=-1, metavar="[ID]...")


@click.group()
def dead() -> None:
    """Dead letters: what could not be counted, why, and how it is put back.

    \b
    Example: pixeltally dead list
    """


@command(
    *_CHOSEN,
    click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True),
    of=dead,
)
def dead_list(settings: Settings, reason: str, since: datetime | None, form: str) -> None:
    """Count them, by reason and by where they were found.

    \b
    Example: pixeltally dead list --since 2026-11-01
    """
    from ingest import letters, telling
    from pixeltally.database import reach

    counts = letters.count(reach(settings), letters.Chosen(reason=reason, since=since))
    click.echo(telling.table(counts) if form == "table" else telling.json(counts), nl=False)


@command(
    _IDS,
    *_CHOSEN,
    click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True),
    of=dead,
)
def dead_show(settings: Settings, ids: tuple[str, ...], reason: str, since: datetime | None, form: str) -> int:
    """Show them whole: the line, where it stood, what is wrong with it and whether it could be counted today.

    As JSON they are lines that can be mended and given to `dead replay --mended`. Exits 1 where there is none.

    \b
    Example: pixeltally dead show --reason not-a-hit --format json > letters.ndjson
    """
    from ingest import letters, replay, telling
    from pixeltally.database import reach

    found = letters.find(reach(settings), letters.chosen(ids, reason, since))
    if form == "json":
        click.echo("".join(map(telling.json_line, found)), nl=False)
    else:
        judge = replay.judgement(settings)
        click.echo("\n".join(telling.letter(letter, judge) for letter in found), nl=False)
    return 0 if found else 1


@command(
    _IDS,
    *_CHOSEN,
    click.option("--mended", type=click.File("rb"), help="Those of a file of mended letters, `-` for standard input."),
    of=dead,
)
def dead_replay(
    settings: Settings, ids: tuple[str, ...], reason: str, since: datetime | None, mended: IO[bytes] | None
) -> int:
    """Judge them again and put back those that can be counted by now, each once however often it is done.

    Exits 1 where some still can't be counted.

    \b
    Examples: pixeltally dead replay --reason unknown-event
              pixeltally dead replay --mended letters.ndjson
    """
    from ingest import letters, replay, telling
    from pixeltally.database import reach

    client = reach(settings)
    if mended is not None and not (ids or reason or since):
        found = replay.mended(mended, client)
    elif mended is None:
        found = letters.find(client, letters.chosen(ids, reason, since))
    else:
        raise Refused("--mended names the letters: leave out IDs, --reason and --since.")
    outcome = replay.replay(settings, client, found)
    click.echo(telling.outcome(outcome), nl=False)
    return 1 if outcome.left else 0


@command(
    click.argument("files", nargs=-1, required=True, metavar="FILE..."),
    click.option("--format", "form", type=click.Choice(["combined", "json"]), help="Unset: what the first line is."),
    click.option("--map", "maps", multiple=True, metavar="GLOB=UNIT", help="Count pages of these paths as an ad unit."),
    click.option("--bad", type=click.File("wb"), help="A file for the lines that can't be read or counted."),
    click.option("--wait/--no-wait", default=True, help="Wait until ClickHouse has all of it."),
)
def import_(
    settings: Settings,
    *,
    files: tuple[str, ...],
    form: str | None,
    maps: tuple[str, ...],
    bad: IO[bytes] | None,
    wait: bool,
) -> int:
    """Import servers' logs (plain, .gz or .zst; `-` is standard input). The same log counts once.

    Exits 1 where lines are bad, too old, or not yet in ClickHouse.

    \b
    Example: pixeltally import access.log.2.gz access.log.1 --map '/blog/*=acme/site/blog'
    """
    from ingest import import_report, importing, log_file, log_judge

    log_file.check(files, bad.name if bad else None)
    run = importing.Import(settings, [log_judge.page(text) for text in maps], form or "", bad, import_report.bar)
    tallies = []
    for name in files:
        with log_file.opened(name) as log:
            tallies.append(run.add(log))
            click.echo(import_report.of_log(tallies[-1]), nl=False)
    there = run.wait() if wait else None
    click.echo(import_report.of_all(run.hits(), there), nl=False)
    return import_report.exit_code(tallies, run.hits(), there)


@command()
def restore(settings: Settings) -> int:
    """Count again all that the archive holds, after Kafka and ClickHouse were lost. May be repeated.

    Start with an empty Kafka, and keep visitors away until it has ended. Exits 1 where not all is there in the end.

    \b
    Example: PIXELTALLY_ARCHIVE=/backup/archive pixeltally restore
    """
    from ingest import import_report
    from ingest.restoring import restore as run

    restored = run(settings)
    click.echo(import_report.of_restored(restored), nl=False)
    return import_report.exit_code_of_restored(restored)
