"""Commands for whoever was given a statement: they need no server and no secret."""

from pathlib import Path

import click

from pixeltally.command import command
from pixeltally.settings import Settings

_FILE = click.Path(path_type=Path)


@command(
    click.argument("file", type=_FILE),
    click.option("--segments", type=_FILE, help="A copy of the archive: everything is counted again from the raw log."),
    click.option("--key", default="", help="The public key, or a file with it, that must have signed the statement."),
)
def verify(settings: Settings, file: Path, segments: Path | None, key: str) -> int:
    """Check a statement: who signed it, whether it adds up and, with the archive, count everything again.

    \b
    Says what is wrong and exits with 1 where anything is. Needs no server.
    Example: pixeltally verify acme-2026-11.json --segments archive --key pixeltally.pub
    """
    from audit.verify import verified

    found = verified(file, segments, key)
    for line in found.checked:
        click.echo(line)
    for line in found.problems:
        click.echo(f"WRONG  {line}")
    return 1 if found.problems else 0
