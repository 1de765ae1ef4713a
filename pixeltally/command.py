"""What every command of the command line has in common."""

import sys
from collections.abc import Callable
from functools import wraps
from importlib import import_module
from keyword import iskeyword
from typing import Any

import click

from pixeltally.errors import Refused
from pixeltally.process import say_refused
from pixeltally.settings import Settings


class LazyGroup(click.Group):
    """A group that loads a command's module when it is asked for, so that a tier starts without the others."""

    def __init__(self, *arguments: Any, places: dict[str, str], **options: Any) -> None:
        """`places`: each command's name → the module that holds it, as `NAME` with `-` as `_`, or `NAME_`."""
        super().__init__(*arguments, **options)
        self._places = places

    def list_commands(self, context: click.Context) -> list[str]:
        """All names, sorted."""
        return sorted({*super().list_commands(context), *self._places})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """The command called `name`, or None."""
        if name not in self._places:
            return super().get_command(context, name)
        module, attribute = import_module(self._places[name]), name.replace("-", "_")
        found: click.Command = getattr(module, f"{attribute}_" if iskeyword(attribute) else attribute)
        return found


def command(
    *options: Callable[[Any], Any], of: click.Group | None = None
) -> Callable[[Callable[..., Any]], click.Command]:
    """A command that gets the settings first and turns `Refused` into one line and exit code 2.

    It is named after its function; one of the group `of` has the group's name before its own: `key_rotate`.
    """

    def decorate(function: Callable[..., Any]) -> click.Command:
        @wraps(function)
        def run(**arguments: Any) -> None:
            try:
                sys.exit(function(Settings.from_env(), **arguments))
            except Refused as refusal:
                say_refused(str(refusal))
                click.echo(f"pixeltally: {refusal}", err=True)
                sys.exit(2)

        called: Any = run
        for option in reversed(options):
            called = option(called)
        if of is None:
            return click.command(name=function.__name__.rstrip("_").replace("_", "-"))(called)
        return of.command(name=function.__name__.removeprefix(f"{of.name}_").replace("_", "-"))(called)

    return decorate
