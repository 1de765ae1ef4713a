"""A panel's rows as what is shown of them: figures, bars, a funnel, shades. Tables and charts have own modules.

Colours and shades are the style sheet's: a cell only says its share of the largest.
"""

from collections.abc import Sequence
from typing import Any

from dash import html
from dash.development.base_component import Component

from dashboards.live.clickhouse import Rows
from dashboards.live.view import View
from dashboards.live.words import number, said
from dashboards.panel import Column, Panel

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def figures(panel: Panel, rows: Rows, view: View) -> Component:
    """A `stat`: key figures, each with its change and its note; where a text comes first, those of each row."""
    names = [column.name for column in panel.columns]
    known = [dict(zip(names, row, strict=True)) for row in rows] or [{}]
    parts = [part for row in known for part in _figures(panel, row, view)]
    return html.Dl([html.Div(each, className="figure") for each in parts], className="figures")


def _figures(panel: Panel, row: dict[str, Any], view: View) -> list[list[Any]]:
    """What the figures of one row are made of."""
    of = f", {row[panel.shown[0].name]}" if panel.is_by_text else ""
    made: list[list[Any]] = []
    for column in panel.shown[panel.is_by_text :]:
        value = row.get(column.name)
        if column.unit == "change":
            made[-1].insert(2, html.Dd(_change(value), className="change"))
            continue
        note = ""
        if column.note and value is not None:
            texts = {each.name: said(row[each.name], each.unit, view.zone) for each in panel.columns}
            note = column.note.format(**texts)
        kind = "value moment" if column.unit == "time" else "value"
        shown = html.Dd(marked(column, value, view), className=kind)
        made.append([html.Dt(f"{column.title}{of}"), shown, html.Dd(note, className="note")])
    return made


def _change(value: float | None) -> list[Any]:
    if value is None:
        return ["nothing to compare with"]
    arrow = "\N{BLACK UP-POINTING TRIANGLE}" if value > 0 else "\N{BLACK DOWN-POINTING TRIANGLE}" if value < 0 else "="
    meaning = html.Span(" on the period before", className="unseen")
    return [html.Span(arrow, **aria(hidden="true")), f" {number(value, 'change')}", meaning]


def marked(column: Column, value: Any, view: View) -> Any:
    """A value, and a mark where it is worth a look or wrong."""
    text = said(value, column.unit, view.zone)
    for level, limit, meaning in (("alarm", column.alarm, "too high"), ("warn", column.warn, "worth a look")):
        if limit is not None and value is not None and value >= limit:
            return html.Span([text, html.Span(f" ({meaning})", className="unseen")], className=level, title=meaning)
    return text


def bars(panel: Panel, rows: Rows, view: View) -> Component:
    """Ranked rows: a name, a bar as long as the first number, and all numbers."""
    name, *numbers = panel.shown
    most = max((row[1] for row in rows), default=0)
    body = [[_bar(row[1], most), *map(html.Td, _said(numbers, row[1:], view))] for row in rows]
    heads = [html.Td(), *(html.Th(each.title, scope="col") for each in numbers)]
    return headed(panel.title, "ranked", [name.title, *heads], [row[0] for row in rows], body)


def _said(columns: Sequence[Column], values: Sequence[Any], view: View) -> list[str]:
    return [said(value, column.unit, view.zone) for column, value in zip(columns, values, strict=True)]


def funnel(panel: Panel, rows: Rows, view: View) -> Component:
    """Steps: a bar as long as the step is large, and which share of the step before it is."""
    name, count = panel.shown
    body, before = [], ("", 0)
    for step, value in rows:
        share_of = f"{number(value / before[1], 'ratio')} of {before[0].lower()}" if before[1] else ""
        shown = html.Td(said(value, count.unit, view.zone))
        body.append([_bar(value, rows[0][1]), shown, html.Td(share_of, className="share")])
        before = (step, value)
    heads = [html.Td(), html.Th(count.title, scope="col"), html.Th("Share", scope="col")]
    return headed(panel.title, "ranked steps", [name.title, *heads], [step for step, _ in rows], body)


def heat(panel: Panel, rows: Rows, view: View) -> Component:
    """Numbers by weekday and hour: the larger, the darker."""
    name, *hours = panel.shown
    by_day = {row[0]: row[1:] for row in rows}
    most = max((value for row in by_day.values() for value in row), default=0)
    body = [[_shade(value, most) for value in by_day.get(day, [0] * len(hours))] for day in _WEEKDAYS]
    head = html.Span(name.title, className="unseen")
    return headed(panel.title, "hours", [head, *(html.Th(each.title, scope="col") for each in hours)], _WEEKDAYS, body)


def headed(
    title: str, kind: str, heads: Sequence[Any], names: Sequence[Any], body: Sequence[list[Any]], *, more: str = ""
) -> Component:
    """A table of cells whose rows have names. It scrolls, by keys, too, where it is larger than its panel."""
    rows = [html.Tr([html.Th(name, scope="row"), *cells]) for name, cells in zip(names, body, strict=True)]
    head = html.Thead(html.Tr([html.Th(heads[0], scope="col"), *heads[1:]]))
    table = html.Table([head, html.Tbody(rows), *([html.Caption(more)] if more else [])], className=kind)
    return html.Div(table, className="scroll", tabIndex=0, role="region", **aria(label=title))


def share(value: float, most: float) -> Any:
    """Which part of the largest a value is, for the style sheet."""
    return {"style": {"--share": f"{value / most:.3f}" if most else "0"}}


def aria(**attributes: str) -> Any:
    """ARIA attributes of a component."""
    return {f"aria-{name}": value for name, value in attributes.items()}


def _bar(value: float, most: float) -> Component:
    return html.Td(html.Div(**share(value, most)), className="bar", **aria(hidden="true"))


def _shade(value: float, most: float) -> Component:
    return html.Td(html.Span(number(value, "count")), title=number(value, "count"), **share(value, most))
