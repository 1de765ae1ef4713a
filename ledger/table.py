"""Rows as people and programs want them: a table, CSV or JSON."""

import csv
import io
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
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
        return comma_separated([list(columns), *cells])
    return aligned([[name.replace("_", " ") for name in columns], *cells])


def comma_separated(lines: Sequence[Sequence[Any]]) -> str:
    """Lines as CSV; None is empty."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue().rstrip("\n")


def aligned(lines: Sequence[Sequence[str]], right: Collection[int] = ()) -> str:
    """Lines in columns, those numbered in `right` to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if number in right else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def plain(value: Any) -> Any:
    """A value as JSON can say it."""
    if isinstance(value, datetime):
        at = value if value.tzinfo else value.replace(tzinfo=UTC)
        return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    if isinstance(value, date | Decimal):
        return str(value)
    return value


def _cell(value: Any, format: str) -> str:
    if isinstance(value, float) and format == "table":
        return f"{value:.1%}"
    return "" if value is None else str(plain(value))
