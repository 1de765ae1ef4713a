"""Commands run as people run them, on a ClickHouse that tests share."""

from typing import NamedTuple

from click.testing import CliRunner

from pixeltally.cli import main


class Done(NamedTuple):
    code: int
    out: str
    said: str  #: on standard error
    written: bytes  #: standard output, where it is no text


def run_on(url: str, *arguments: str, typed: str | None = None) -> Done:
    """Run `pixeltally ARGUMENTS` with ClickHouse at `url`."""
    environ = {"PIXELTALLY_CLICKHOUSE_URL": url, "PIXELTALLY_SECRET": "of the tests"}
    done = CliRunner().invoke(main, arguments, input=typed, env=environ, catch_exceptions=False)
    return Done(done.exit_code, done.stdout_bytes.decode(errors="replace"), done.stderr, done.stdout_bytes)
