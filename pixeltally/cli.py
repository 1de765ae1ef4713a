"""The command line: which command lies where."""

import logging
import os
import sys

import click

from pixeltally.command import LazyGroup
from pixeltally.process import die_with_parent
from pixeltally.settings import table

_PLACES = {
    "up": "local.commands",
    "demo": "local.commands",
    "clickhouse": "local.commands",
    "broker": "local.commands",
    "pixel": "ingest.commands",
    "key": "ingest.commands",
    "ingest": "ingest.commands",
    "nginx": "ingest.commands",
    "dead": "ingest.commands",
    "import": "ingest.commands",
    "restore": "ingest.commands",
    "streams": "streams.commands",
    "rules": "streams.commands",
    "sink": "sinks.commands",
    "reconcile": "sinks.commands",
    "sql": "ledger.query_commands",
    "sent": "ledger.query_commands",
    "funnel": "ledger.query_commands",
    "campaign": "ledger.money_commands",
    "report": "ledger.money_commands",
    "invoice": "ledger.money_commands",
    "advertiser": "ledger.tenant_commands",
    "forget": "ledger.privacy_commands",
    "statement": "ledger.proof_commands",
    "compare": "ledger.proof_commands",
    "verify": "audit.commands",
    "live": "dashboards.commands",
    "grafana": "dashboards.commands",
}


def _environment_help() -> str:
    rows = "\n".join(f"  {name} ({default or 'unset'}): {help}" for name, default, help in table())
    return f"\b\nSettings, by environment variable (default):\n{rows}"


@click.group(cls=LazyGroup, places=_PLACES, epilog=_environment_help(), context_settings={"max_content_width": 110})
@click.version_option(package_name="pixeltally")
def main() -> None:
    """Pixeltally counts tracking-pixel hits: exactly, through crashes, in seconds.

    \b
    Example: pixeltally demo
    """
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    if "SUPERVISOR_ENABLED" in os.environ:  # supervisord says so to whom it starts
        die_with_parent()
