"""A table's rows as what is shown of them: names that lead on, numbers that shade."""

from collections.abc import Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

from dashboards.boards.board import SCOPES
from dashboards.live.clickhouse import Rows
from dashboards.live.pictures import headed, marked, share
from dashboards.live.view import View, boards
from dashboards.panel import Column, Panel

#: Rows that are shown.
MOST_ROWS = 100

#: Columns that together name an ad unit: they share a table's first column, as a path.
_NAMES = (*SCOPES, "placement")
_PATHS = {1: "", 2: "Campaign", 3: "Creative", 4: "Ad unit"}


def table(panel: Panel, rows: Rows, view: View) -> Component:
    """The first rows, each headed by its name."""
    names = next((at for at, column in enumerate(panel.columns) if column.name not in _NAMES), len(panel.columns)) or 1
    heads, others = panel.columns[:names], panel.columns[names:]
    shaded = [place for place, column in enumerate(panel.columns) if column.shaded]
    most = {panel.columns[place].name: max((row[place] or 0 for row in rows), default=0) for place in shaded}
    known = [dict(zip((each.name for each in panel.columns), row, strict=True)) for row in rows[:MOST_ROWS]]
    titles = [html.Th(each.title, scope="col", className=_kind(each)) for each in others]
    body = [[_cell(column, row, most.get(column.name, 0), view) for column in others] for row in known]
    paths = [_path(heads, row, view) for row in known]
    more = f"The first {MOST_ROWS} of {len(rows)} rows." if len(rows) > MOST_ROWS else ""
    return headed(panel.title, "rows", [_PATHS[names] or heads[0].title, *titles], paths, body, more=more)


def _path(heads: Sequence[Column], known: dict[str, Any], view: View) -> list[Any]:
    parts: list[Any] = []
    for column in heads:
        if known[column.name] or not parts:
            parts += [html.Span(" / ", className="slash")] if parts else []
            parts.append(_named(column, known, view))
    return parts


def _cell(column: Column, known: dict[str, Any], most: float, view: View) -> Component:
    value = known[column.name]
    shade = share(value, most) if most and value else {}
    kind = f"{_kind(column)} shaded" if shade else _kind(column)
    title: Any = {"data-title": column.title}
    return html.Td(_named(column, known, view), className=kind, **title, **shade)


def _named(column: Column, known: dict[str, Any], view: View) -> Any:
    """The value; a link where it leads to a board, with the names before it chosen there."""
    board = next((each for each in boards(view.tenant) if each.uid == column.link), None)
    if board is None or not known[column.name]:
        return marked(column, known[column.name], view)
    upto = _NAMES.index(column.name)
    chosen = {scope: known.get(scope, "") if at <= upto else "" for at, scope in enumerate(SCOPES)}
    return html.A(known[column.name], href=view.href(board, **chosen))


def _kind(column: Column) -> str:
    return {"text": "text", "time": "number time"}.get(column.unit, "number")
