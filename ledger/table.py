"""Rows as people and programs want them: a table, CSV or JSON."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

FORMATS = ("table", "csv", "json")


def text(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], format: str) -> str:
    """The columns of the rows as text in one of `FORMATS`.

    Moments are ISO 8601 in UTC, None is an empty cell, and a float is a share: a percentage in the table.
    """
    if format == "json":
        return json.dumps([{name: plain(row[name]) for name in columns} for row in rows], indent=2)
    cells = [[_cell(row[name], format) for name in columns] for row in rows]
    if format == "csv":
        file = io.StringIO()
        csv.writer(file, lineterminator="\n").writerows([list(columns), *cells])
        return file.getvalue().rstrip("\n")
    return _aligned([[name.replace("_", " ") for name in columns], *cells])


def plain(value: Any) -> Any:
    """A value as JSON can say it."""
    if isinstance(value, datetime):
        at = value if value.tzinfo else value.replace(tzinfo=UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return value


def _cell(value: Any, format: str) -> str:
    if isinstance(value, float) and format == "table":
        return f"{value:.1%}"
    return "" if value is None else str(plain(value))


def _aligned(lines: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
