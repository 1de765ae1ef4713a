"""The plain table that `bench.streams` ends in, and what it says meanwhile."""

from typing import NamedTuple

import click


class Row(NamedTuple):
    """One line: what was measured, the figure with its unit, its ratio to what, and the goal."""

    what: str
    value: str
    ratio: str = ""
    goal: str = ""

    def __str__(self) -> str:
        return f"{self.what:58}{self.value:>16}{self.ratio:>20}{self.goal:>14}"


def say(what: str) -> None:
    """Say on one line what is being done."""
    click.echo(f"\r{what:60}", nl=False, err=True)
