"""Builds the database: runs the numbered SQL files that have not been run yet, in order."""

import re
from importlib.resources import files

from clickhouse_connect.driver.client import Client

_FOLDER = files("sinks.migrations")

#: As facts are partitioned by it: 202611.
_MONTH = "${month}"

_STATEMENT_END = re.compile(r";[ \t]*$", re.MULTILINE)


def migrate(client: Client) -> list[str]:
    """Bring the schema of the client's database up to date; the names of the files run.

    Each statement may be run again (`IF NOT EXISTS`), so a migration that was cut short is simply run again. A view
    with parameters is looked for where the reader of the view that asks it is, so `${database}` names ours there. A
    statement about `${month}` is run for each month of facts, so that none takes longer than a client waits.
    """
    client.command(
        "CREATE TABLE IF NOT EXISTS schema_migrations"
        " (name String, applied_at DateTime('UTC') DEFAULT now())"
        " ENGINE = ReplacingMergeTree(applied_at) ORDER BY name"
    )
    done = {row[0] for row in client.query("SELECT name FROM schema_migrations").result_rows}
    missing = [name for name in migrations() if name not in done]
    for name in missing:
        for statement in statements(name):
            for month in _months(client) if _MONTH in statement else [""]:
                client.command(statement.replace("${database}", str(client.database)).replace(_MONTH, month))
        client.insert("schema_migrations", [[name]], column_names=["name"])
    return missing


def _months(client: Client) -> list[str]:
    parts = "system.parts WHERE database = currentDatabase() AND table = 'facts' AND active"
    found = client.query(f"SELECT DISTINCT partition FROM {parts} ORDER BY partition DESC")
    return [month for (month,) in found.result_rows]


def migrations() -> list[str]:
    """The names of all migrations, in order."""
    return sorted(file.name for file in _FOLDER.iterdir() if file.name.endswith(".sql"))


def statements(name: str) -> list[str]:
    """The statements of a migration; each ends with a semicolon at a line's end."""
    return [text for part in _STATEMENT_END.split((_FOLDER / name).read_text()) if (text := part.strip())]
