"""Builds the database: runs the numbered SQL files that have not been run yet, in order."""

import re
from importlib.resources import files

from clickhouse_connect.driver.client import Client

_FOLDER = files("sinks.migrations")

_STATEMENT_END = re.compile(r";[ \t]*$", re.MULTILINE)


def migrate(client: Client) -> list[str]:
    """Bring the schema of the client's database up to date; the names of the files run.

    Each statement may be run again (`IF NOT EXISTS`), so a migration that was cut short is simply run again. A view
    with parameters is looked for where the reader of the view that asks it is, so `${database}` names ours there.
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
            client.command(statement.replace("${database}", str(client.database)))
        client.insert("schema_migrations", [[name]], column_names=["name"])
    return missing


def migrations() -> list[str]:
    """The names of all migrations, in order."""
    return sorted(file.name for file in _FOLDER.iterdir() if file.name.endswith(".sql"))


def statements(name: str) -> list[str]:
    """The statements of a migration; each ends with a semicolon at a line's end."""
    return [text for part in _STATEMENT_END.split((_FOLDER / name).read_text()) if (text := part.strip())]
