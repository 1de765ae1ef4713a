"""The live page: what is counted, seconds after it happened.

The server only hands out numbers (:mod:`dashboards.query`); `assets/live.js` draws them, because the viewer's
time zone and colour scheme are known there, and `assets/live.css` says how it looks.
"""

import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from dash import ClientsideFunction, Dash, Input, Output, State, dcc, html, no_update
from flask import Response
from waitress import create_server

from dashboards.panel import Column, Panel
from dashboards.panels import DEAD_LETTERS, NEWEST, PANELS
from dashboards.query import Feed, connect
from pixeltally.errors import Refused
from pixeltally.settings import Settings

#: The ranges on offer: seconds → label.
SPANS = {900: "15 min", 3600: "1 h", 6 * 3600: "6 h", 24 * 3600: "24 h"}
POLL_MS = 1000

#: Nothing leaves the machine, whatever a library tries. Plotly sets styles of its own.
_POLICY = "default-src 'self'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:"
_CHART: Any = {"displayModeBar": False, "responsive": True, "doubleClick": "autosize"}


def run(settings: Settings) -> None:
    """Serve the page until SIGTERM or SIGINT; raise Refused where the port can't be used."""
    with Feed(connect(settings.clickhouse)) as feed:
        app = page(settings, feed)
        try:
            server = create_server(app.server, host=settings.host, port=settings.live_port, threads=8)
        except OSError as error:
            raise Refused(
                f"The live page can't listen on {settings.host}:{settings.live_port}: {error.strerror}; "
                "PIXELTALLY_LIVE_PORT chooses another port."
            ) from None

        def stop(_signal: int, _frame: FrameType | None) -> None:
            sys.exit(0)  # waitress closes its listeners on it and returns

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        server.run()


def page(settings: Settings, feed: Feed) -> Dash:
    """The Dash application that shows what `feed` reads."""
    app = Dash(
        "dashboards.live",
        title="Pixeltally",
        update_title="",
        index_string=(Path(__file__).parent / "index.html").read_text(),
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    app.layout = _layout(settings)
    app.server.add_url_rule("/healthz", view_func=lambda: Response("ok\n", mimetype="text/plain"))

    @app.callback(Output("data", "data"), Input("poll", "n_intervals"), Input("span", "value"))
    def data(_polls: int, span_s: int) -> Any:
        snapshot = feed.snapshot(span_s) if span_s in SPANS else None
        if snapshot is None:
            return no_update
        return asdict(snapshot) | {"now": round(time.time() * 1000), "span": SPANS[span_s]}

    draw: Any = app.clientside_callback  # has no types
    draw(ClientsideFunction("pixeltally", "receive"), Input("data", "data"), State("panels", "data"))
    policy = _POLICY.format(hashes=" ".join(app.csp_hashes()))

    def guard(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    app.server.after_request(guard)
    return app


def _layout(settings: Settings) -> html.Div:
    """The page without numbers; what has an id is filled by `live.js`."""
    stats = [panel for panel in PANELS if panel.picture == "stat" and panel is not NEWEST]
    return html.Div(
        id="page",
        className="page loading",
        children=[
            html.Header(
                className="top",
                children=[
                    html.H1("Pixeltally"),
                    html.P("Reading the newest numbers…", id="freshness", className="freshness"),
                    _span_choice(),
                ],
            ),
            html.Main(
                children=[
                    html.Section(
                        [_tile(panel, column) for panel in stats for column in panel.columns if column.shown],
                        className="tiles",
                        **_aria(label="Key figures"),
                    ),
                    html.P(id="range", className="range"),
                    _empty(settings),
                    html.Div([_panel(panel) for panel in PANELS if panel.picture != "stat"], className="panels"),
                ]
            ),
            dcc.Interval(id="poll", interval=POLL_MS),
            dcc.Store(id="data"),
            dcc.Store(id="panels", data=[asdict(panel) for panel in PANELS]),
        ],
    )


def _span_choice() -> html.Fieldset:
    return html.Fieldset(
        className="span",
        children=[
            html.Legend("Range"),
            dcc.RadioItems(
                id="span",
                options=[{"label": label, "value": span_s} for span_s, label in SPANS.items()],
                value=next(iter(SPANS)),
                persistence=True,
            ),
        ],
    )


def _tile(panel: Panel, column: Column) -> html.Div:
    return html.Div(
        id=f"tile-{column.name}",
        className=f"tile {panel.id}",
        hidden=panel is DEAD_LETTERS,
        title=panel.description,
        children=[
            html.H2(column.title),
            html.P("\N{EN DASH}", id=f"value-{column.name}", className="value"),
            html.P(id=f"note-{column.name}", className="note"),
        ],
    )


def _panel(panel: Panel) -> html.Section:
    return html.Section(
        className=f"panel {panel.picture} {panel.id}",
        **_aria(labelledby=f"title-{panel.id}"),
        children=[
            html.H2(panel.title, id=f"title-{panel.id}"),
            html.P(panel.description, className="description"),
            _table(panel) if panel.picture == "table" else _chart(panel),
        ],
    )


def _chart(panel: Panel) -> html.Div:
    return html.Div(
        [
            html.P(id=f"legend-{panel.id}", className="legend"),
            html.Div(dcc.Graph(id=f"chart-{panel.id}", config=_CHART), className="chart"),
        ]
    )


def _table(panel: Panel) -> html.Table:
    """Names share the first column, as a path; each number has its own."""
    numbers = [column for column in panel.columns if column.unit != "text"]
    heads = [html.Th("Ad unit", scope="col")] + [html.Th(column.title, scope="col") for column in numbers]
    return html.Table([html.Thead(html.Tr(heads)), html.Tbody(id=f"rows-{panel.id}")])


def _empty(settings: Settings) -> html.Section:
    pixel = (
        f'<img src="http://{settings.host}:{settings.ingest_port}/p/acme/spring/banner.gif"'
        ' width="1" height="1" alt="">'
    )
    return html.Section(
        id="empty",
        className="nothing",
        children=[
            html.H2(id="empty-title"),
            html.P(id="empty-text"),
            html.Div(
                className="first-steps",
                children=[
                    html.P("See it count, with made-up traffic:"),
                    html.Pre("pixeltally demo", tabIndex=0),
                    html.P("Or paste a pixel into a page and open it:"),
                    html.Pre(pixel, tabIndex=0),
                ],
            ),
        ],
    )


def _aria(**attributes: str) -> Any:
    return {f"aria-{name}": value for name, value in attributes.items()}
