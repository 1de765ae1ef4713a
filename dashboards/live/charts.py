"""A series as a figure of Plotly, and the line above it that says its newest numbers.

Plotly knows no time zones, so moments are given to it as the clock on the wall shows them.
"""

from collections import Counter
from math import ceil
from typing import Any, NamedTuple

from dash import dcc, html
from dash.development.base_component import Component

from dashboards.live.clickhouse import Rows
from dashboards.live.colours import COLOURS, Colours, Scheme
from dashboards.live.feed import Snapshot
from dashboards.live.view import View
from dashboards.live.words import at, said, wall
from dashboards.panel import Panel, Unit

Json = dict[str, Any]

#: A hit may take so long to be counted: a moment that ended since is still filling.
FILLING_S = 10
DAY_S = 86_400

#: Of a series that a text splits: so many texts, the others together.
_MOST_PARTS = 7

_CONFIG: Any = {"displayModeBar": False, "responsive": True, "doubleClick": False}
_TICKS = {"count": "~s", "number": "~g", "ratio": "~p", "seconds": "~g", "per_second": ",~g"}
_HOVER = {"count": ",d", "number": ",.2f", "ratio": ".2%", "seconds": ",.1f", "per_second": ",.1f"}
_SUFFIX = {"seconds": " s", "per_second": "/s"}


class Line(NamedTuple):
    """One line of a chart: what it shows, in which colour, on which axis."""

    title: str
    unit: Unit
    colour: str
    points: list[tuple[int, Any]]
    is_second: bool = False  #: of the axis at the right
    is_filled: bool = False


class Frame(NamedTuple):
    """What all lines of a chart share. Times are epoch milliseconds."""

    start: int
    end: int
    step: int
    open_from: int  #: moments from here on are still filling
    zone: str
    colours: Colours

    def wall(self, moment: float) -> str:
        """A moment as Plotly takes it."""
        return wall(round(moment), self.zone)


def series(panel: Panel, snapshot: Snapshot, view: View, scheme: Scheme, can_drag: bool) -> tuple[Component, dcc.Graph]:
    """(the newest numbers, the chart): lines over time, or stacked steps where a text splits the numbers."""
    rows, colours = snapshot.rows[panel.id], COLOURS[scheme]
    frame = _frame(panel, rows, snapshot, view, colours)
    is_split = any(column.unit == "text" for column in panel.columns)
    lines = _parts(panel, rows, frame) if is_split else _lines(panel, rows, colours)
    traces = [each for line in lines for each in ([_stacked(line, frame)] if is_split else _curve(line, frame))]
    marks = [row for each in view.board.marks(view.tenant) for row in snapshot.rows.get(each.name, [])]
    layout = _layout(lines, frame, marks, is_split) | {"dragmode": "zoom" if can_drag else False}
    graph = dcc.Graph(id={"chart": panel.id}, figure={"data": traces, "layout": layout}, config=_CONFIG)
    return _totals(lines) if is_split else _newest(lines, frame), graph


def _frame(panel: Panel, rows: Rows, snapshot: Snapshot, view: View, colours: Colours) -> Frame:
    start_s, end_s, step_s = snapshot.window
    if panel.columns[0].unit == "day":
        start_s, end_s, step_s = rows[0][0] // 1000, rows[-1][0] // 1000 + DAY_S, DAY_S
    filled = snapshot.asked - FILLING_S * 1000 - step_s * 1000
    return Frame(start_s * 1000, end_s * 1000, step_s * 1000, filled, view.zone, colours)


def _lines(panel: Panel, rows: Rows, colours: Colours) -> list[Line]:
    """A line a number. Another unit than the first's is at the right; a rate there is what it is about."""
    numbers = [(index, column) for index, column in enumerate(panel.columns) if index and column.shown]
    first = numbers[0][1].unit
    is_rated = first != "ratio" and any(column.unit == "ratio" for _, column in numbers)
    made = []
    for place, (index, column) in enumerate(numbers):
        colour = colours.series[0 if is_rated and column.unit == "ratio" else place + is_rated]
        points = [(row[0], row[index]) for row in rows]
        is_filled = place == 0 and first != "ratio"
        made.append(Line(column.title, column.unit, colour, points, column.unit != first, is_filled))
    return made


def _parts(panel: Panel, rows: Rows, frame: Frame) -> list[Line]:
    """A line a text, the largest first; what is beyond the most that can be told apart is “others”."""
    column = panel.columns[2]
    sums: Counter[str] = Counter()
    for _, text, value in rows:
        sums[text] += value
    told = [text for text, _ in sums.most_common(_MOST_PARTS)]
    order = [*told, *(["others"] if len(sums) > len(told) else [])]
    moments = dict.fromkeys(range(frame.start // frame.step * frame.step, frame.end, frame.step), 0)
    points = {text: dict(moments) for text in order}
    for moment, text, value in rows:
        points[text if text in told else "others"][moment] += value
    colours = frame.colours.series
    return [Line(text, column.unit, colours[at], [*points[text].items()]) for at, text in enumerate(order)]


def _curve(line: Line, frame: Frame) -> list[Json]:
    """The line through full moments, and points for those that are still filling."""
    colours = frame.colours
    full = [point for point in line.points if point[0] <= frame.open_from]
    filling = [point for point in line.points if point[0] > frame.open_from]
    value = f"<b>%{{y:{_HOVER[line.unit]}}}{_SUFFIX.get(line.unit, '')}</b><extra></extra>"
    both = {"type": "scatter", "yaxis": "y2" if line.is_second else "y"}
    return [
        {
            **both,
            **_points(full, frame),
            "mode": "lines+markers" if len(full) <= 31 else "lines",
            "line": {"color": line.colour, "width": 1.75},
            "marker": {"size": 4, "color": line.colour},
            "fill": "tozeroy" if line.is_filled else "none",
            "fillcolor": colours.wash(line.colour),
            "hovertemplate": f"{line.title} {value}",
        },
        {
            **both,
            **_points(filling, frame),
            "mode": "markers",
            "marker": {"color": colours.surface, "size": 7, "line": {"color": line.colour, "width": 1.5}},
            "cliponaxis": False,
            "hovertemplate": f"{line.title} so far {value}",
        },
    ]


def _stacked(line: Line, frame: Frame) -> Json:
    return {
        "type": "scatter",
        **_points(line.points, frame),
        "stackgroup": "all",
        "mode": "none",
        "line": {"shape": "hvh"},
        "fillcolor": line.colour,
        "hovertemplate": f"{line.title} <b>%{{y:{_HOVER[line.unit]}}}</b><extra></extra>",
    }


def _points(points: list[tuple[int, Any]], frame: Frame) -> Json:
    return {"x": [frame.wall(moment) for moment, _ in points], "y": [value for _, value in points]}


def _layout(lines: list[Line], frame: Frame, marks: Rows, is_stacked: bool) -> Json:
    colours = frame.colours
    has_second = any(line.is_second for line in lines)
    font = {"family": "system-ui, sans-serif", "size": 11, "color": colours.ink}
    second = {"overlaying": "y", "side": "right", "showgrid": False}
    return {
        "autosize": True,
        "margin": {"l": 46, "r": 50 if has_second else 14, "t": 8, "b": 34},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": font,
        "showlegend": False,
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": colours.surface, "bordercolor": colours.line, "font": font | {"size": 12}},
        "xaxis": _time_axis(frame),
        "yaxis": _axis([line for line in lines if not line.is_second], is_stacked, colours)
        | {"gridcolor": colours.line},
        "yaxis2": _axis([line for line in lines if line.is_second], is_stacked, colours) | second,
        "shapes": [_filling(lines, frame), *(_band(begin, end, frame, colours.series[2]) for begin, end, _ in marks)],
        "annotations": [_label(row, frame) for row in marks],
    }


def _time_axis(frame: Frame) -> Json:
    colours, half = frame.colours, frame.step / 2
    length_s = (frame.end - frame.start) / 1000
    is_long = length_s > 8 * DAY_S or frame.step >= DAY_S * 1000
    days = {"tick0": frame.wall(frame.start), "dtick": ceil(length_s / DAY_S / 7) * DAY_S * 1000}
    return {
        "type": "date",
        "range": [frame.wall(frame.start - half), frame.wall(frame.end - half)],
        "tickformat": "%-d %b" if is_long else "%H:%M\n%-d %b",
        "hoverformat": "%a %-d %b" if frame.step >= DAY_S * 1000 else "%a %-d %b %H:%M",
        **(days if frame.step >= DAY_S * 1000 else {"nticks": 7}),
        "showgrid": False,
        "zeroline": False,
        "showline": True,
        "linecolor": colours.line,
        "tickfont": {"color": colours.quiet},
        "showspikes": True,
        "spikemode": "across",
        "spikethickness": 1,
        "spikedash": "solid",
        "spikecolor": colours.line,
    }


def _axis(lines: list[Line], is_stacked: bool, colours: Colours) -> Json:
    """An axis from zero; counts of a few have whole steps."""
    unit = lines[0].unit if lines else "count"
    heights = zip(*([value or 0 for _, value in line.points] for line in lines), strict=True)
    most = max((sum(each) if is_stacked else max(each) for each in heights), default=0)
    made = {
        "rangemode": "tozero",
        "fixedrange": True,
        "zeroline": False,
        "tickmode": "auto",
        "nticks": 5,
        "tickformat": _TICKS[unit],
        "ticksuffix": _SUFFIX.get(unit, ""),
        "ticklabelstandoff": 4,
        "tickfont": {"color": colours.quiet},
    }
    made |= {"tickmode": "linear", "dtick": 1} if unit == "count" and most < 5 else {}
    return made | ({} if most else {"range": [0, 1]})


def _filling(lines: list[Line], frame: Frame) -> Json:
    """Where moments are still filling."""
    filling = (moment for line in lines for moment, _ in line.points if moment > frame.open_from)
    return _band(min(filling, default=frame.end), frame.end, frame, frame.colours.series[1])


def _band(begin: int, end: int | None, frame: Frame, colour: str) -> Json:
    """A span of time, or a moment where it has no end."""
    half = frame.step / 2
    return {
        "type": "rect",
        "layer": "below",
        "yref": "paper",
        "y0": 0,
        "y1": 1,
        "x0": frame.wall(begin - half),
        "x1": frame.wall((end or begin) - half),
        "line": {"width": 0 if end else 1, "color": colour},
        "fillcolor": frame.colours.wash(colour),
    }


def _label(mark: tuple[Any, ...], frame: Frame) -> Json:
    begin, end, text = mark
    return {
        "x": frame.wall((begin + (end or begin)) / 2),
        "yref": "paper",
        "y": 1,
        "text": text,
        "showarrow": False,
        "font": {"color": frame.colours.quiet, "size": 11},
    }


def _newest(lines: list[Line], frame: Frame) -> Component:
    """Names the lines and says the newest full moment's values, also for who can't see the chart."""
    full = [moment for moment, _ in lines[0].points if moment <= frame.open_from]
    when = at(full[-1], frame.zone).strftime("%-d %b" if frame.step >= DAY_S * 1000 else "%H:%M") if full else ""
    values = [dict(line.points)[full[-1]] if full else None for line in lines]
    keys = [_key(line, said(value, line.unit, frame.zone)) for line, value in zip(lines, values, strict=True)]
    open_key = html.Span("\N{WHITE CIRCLE} still filling", className="open")
    return html.P([*keys, html.Span(f"at {when}" if when else ""), open_key], className="legend")


def _totals(lines: list[Line]) -> Component:
    keys = [_key(line, said(sum(value for _, value in line.points), line.unit, "UTC")) for line in lines]
    return html.P(keys, className="legend")


def _key(line: Line, value: str) -> Component:
    return html.Span([html.I(style={"background": line.colour}), f"{line.title} ", html.B(value)], className="key")
