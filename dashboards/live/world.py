"""A map of countries, and the same as a list: who can't see the map, or a small country on it, reads that."""

import json
from functools import cache
from math import log
from pathlib import Path
from typing import Any

from dash import dcc
from dash.development.base_component import Component

from dashboards.live.clickhouse import Rows
from dashboards.live.colours import COLOURS, Scheme
from dashboards.live.pictures import bars
from dashboards.live.view import View
from dashboards.live.words import said
from dashboards.panel import Panel

#: Countries of the list.
_MOST = 12

#: Outlines by ISO 3166-1 alpha-2 code; `assets/vendored/sources.txt` says whose they are. Plotly would fetch outlines
#: of its own from the internet: it is given a file that holds none.
_OUTLINES = "/assets/vendored/world.json"
_CONFIG: Any = {"displayModeBar": False, "responsive": True, "topojsonURL": "/assets/vendored/"}


def world(panel: Panel, rows: Rows, view: View, scheme: Scheme) -> tuple[Component, dcc.Graph]:
    """(the list, the map) of countries by the panel's number: the more, the darker, by its logarithm."""
    colours, unit = COLOURS[scheme], panel.shown[-1].unit
    counts = {row[0]: row[-1] for row in rows}
    most = log(max(counts.values(), default=1) + 1)
    shades = [log(counts.get(code, 0) + 1) / most for code in names()]
    trace = {
        "type": "choropleth",
        "geojson": _OUTLINES,
        "locations": list(names()),
        "z": shades,
        "zmin": 0,
        "zmax": 1,
        "text": [f"{name} <b>{said(counts.get(code, 0), unit, view.zone)}</b>" for code, name in names().items()],
        "hovertemplate": "%{text}<extra></extra>",
        "colorscale": [[0, colours.line], [0.001, colours.wash(colours.series[0], 30)], [1, colours.series[0]]],
        "showscale": False,
        "marker": {"line": {"color": colours.surface, "width": 0.5}},
    }
    layout = {
        "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "geo": {
            "visible": False,
            "bgcolor": "rgba(0,0,0,0)",
            "projection": {"type": "natural earth"},
            "lataxis": {"range": [-57, 84]},
        },
        "dragmode": False,
        "hoverlabel": {"bgcolor": colours.surface, "bordercolor": colours.line, "font": {"color": colours.ink}},
    }
    graph = dcc.Graph(id={"chart": panel.id}, figure={"data": [trace], "layout": layout}, config=_CONFIG)
    return bars(panel, [(names().get(row[0], row[0]), *row[1:]) for row in rows[:_MOST]], view), graph


@cache
def names() -> dict[str, str]:
    """The countries that have an outline, by their code."""
    outlines = json.loads((Path(__file__).parent / "assets" / "vendored" / "world.json").read_text())
    return {each["id"]: each["properties"]["name"] for each in outlines["features"]}
