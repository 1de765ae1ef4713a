"""The page: its frame with what can be chosen, a board's panels in it, and what stands there without numbers."""

from dataclasses import dataclass
from typing import Any

from dash import dcc, html
from dash.development.base_component import Component

from dashboards.boards.board import SCOPES, Board, Place
from dashboards.live import charts, pictures, words
from dashboards.live.colours import Scheme
from dashboards.live.feed import Snapshot
from dashboards.live.markup import markup
from dashboards.live.pictures import aria
from dashboards.live.table import table
from dashboards.live.view import SPANS, View, boards, path, zones
from dashboards.live.world import world
from pixeltally.settings import Settings

_CHARTS = ("series", "map")
_PICTURES = {
    "stat": pictures.figures,
    "bars": pictures.bars,
    "funnel": pictures.funnel,
    "heat": pictures.heat,
    "table": table,
}

POLL_MS = 1000
#: While a view's first answers come in.
FIRST_POLL_MS = 200
#: While the URL shows nothing.
WRONG_POLL_MS = 60_000

#: The newest hit is counted so soon; later than that the page says why it may be.
STALE_S = 10


@dataclass(frozen=True)
class Browser:
    """What the browser says of its viewer."""

    zone: str
    scheme: Scheme
    can_drag: bool  #: else a finger scrolls the page

    @classmethod
    def of(cls, said: Any) -> "Browser":
        """From what `live.js` sends; whatever else comes is a light page in UTC."""
        said = said if isinstance(said, dict) else {}
        scheme: Scheme = "dark" if said.get("scheme") == "dark" else "light"
        return cls(str(said.get("zone")), scheme, said.get("drag") is True)


def frame() -> Component:
    """The page without a board; `server` and `live.js` fill what has an id."""
    return html.Div(
        className="page",
        children=[
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Interval(id="poll", interval=POLL_MS),
            dcc.Store(id="browser"),
            dcc.Store(id="answer"),
            dcc.Store(id="shown"),
            html.A("Skip to the numbers", href="#board", className="skip"),
            html.Header(
                className="top",
                children=[
                    html.P("Pixeltally", className="brand"),
                    html.Nav(id="boards", **aria(label="Boards")),
                    html.P("Reading the newest numbers…", id="freshness", className="freshness"),
                ],
            ),
            _controls(),
            html.Main(id="board", tabIndex=-1),
        ],
    )


def _controls() -> Component:
    return html.Div(
        className="controls",
        role="group",
        **aria(label="What is shown"),
        children=[
            *(_labelled(scope, scope.capitalize(), _dropdown(scope, f"all {scope}s")) for scope in SCOPES),
            html.Fieldset(
                className="span",
                children=[
                    html.Legend("Range"),
                    dcc.RadioItems(
                        id="span", options=[{"label": label, "value": span} for span, (_, label) in SPANS.items()]
                    ),
                ],
            ),
            _labelled(
                "dates", "Days", dcc.DatePickerRange(id="dates", display_format="D MMM YYYY", first_day_of_week=1)
            ),
            _labelled("zone", "Time zone", _dropdown("zone", "yours", sorted(zones()))),
        ],
    )


def _labelled(id: str, title: str, control: Component) -> Component:
    return html.Div([html.Label(title, htmlFor=id), control], id=f"{id}-field", className=f"field {id}")


def _dropdown(id: str, placeholder: str, options: list[str] | None = None) -> Component:
    return dcc.Dropdown(id=id, options=options or [], placeholder=placeholder, optionHeight=32)


def controls(view: View) -> dict[str, Any]:
    """What the controls say of a view."""
    offered = [scope for scope in view.board.scope if not (view.tenant and scope == "advertiser")]
    return {
        "boards": [_link(each, view) for each in boards(view.tenant)],
        "span": view.span or None,
        "first": view.first[:10] or None,
        "last": view.last[:10] or None,
        "zone": view.zone if view.has_zone else None,
        **{scope: view.choice.get(scope) for scope in SCOPES},
        **{f"no {scope}": scope not in offered for scope in SCOPES},
    }


def _link(board: Board, view: View) -> Component:
    current = aria(current="page") if board is view.board else {}
    return html.A(board.title, href=view.href(board), **current)


def options(view: View, snapshot: Snapshot | None) -> dict[str, list[str]]:
    """Names that can be chosen by scope, the ones that are chosen among them."""
    names = {scope: {row[0] for row in snapshot.rows.get(scope, [])} if snapshot else set() for scope in SCOPES}
    return {scope: sorted((names[scope] | {view.choice.get(scope, "")}) - {""}) for scope in SCOPES}


def board(view: View) -> list[Component]:
    """A board's panels, still without numbers."""
    names = " / ".join(view.choice.values())
    title = html.H1([view.board.title, *([html.Span(f" {names}")] if names else [])])
    panels: Any = {"data-board": heading(view)}
    return [
        html.Div([title, html.P(id="range")], className="heading"),
        html.Div(id="nothing"),
        html.Div([_panel(place) for place in view.board.places], className="panels", **panels),
    ]


def heading(view: View) -> str:
    """What tells one board on the page from another: its title, and of whom it is."""
    return " / ".join([view.board.title, *view.choice.values()])


def _panel(place: Place) -> Component:
    panel = place.panel
    hole = html.Div(id=f"in-{panel.id}", className="in")
    chart = html.Div(id=f"chart-{panel.id}", className="chart", **aria(hidden="true"))
    return html.Section(
        className=f"panel {panel.picture}{' each' if panel.is_by_text else ''}",
        style={"--width": place.width, "--height": place.height},
        **aria(labelledby=panel.id),
        children=[
            html.H2(panel.title, id=panel.id),
            html.P(panel.description, className="description"),
            *([hole, chart] if panel.picture in _CHARTS else [hole]),
        ],
    )


def numbers(view: View, snapshot: Snapshot | None, browser: Browser, settings: Settings) -> dict[str, Any]:
    """What `live.js` puts into a board: HTML by the id of the place that it goes to, and charts by their panel."""
    places: dict[str, Any] = {"range": "", "nothing": None}
    drawn = {}
    if snapshot:
        places["range"] = _range(view, snapshot)
        if snapshot.whole and not has_numbers(view, snapshot):
            places["nothing"] = _empty(view, snapshot, settings)
    for panel in view.board.panels:
        place = f"in-{panel.id}"
        if snapshot and panel.id in snapshot.failed:
            places[place] = _none(snapshot.failed[panel.id])
        elif snapshot is None or panel.id not in snapshot.rows:
            places[place] = _none("Not read yet." if snapshot and snapshot.error else "Reading…")
        elif not snapshot.rows[panel.id]:
            places[place] = _none(panel.nothing or f"Nothing in the {view.range_label}.")
        elif panel.picture == "series":
            places[place], drawn[panel.id] = charts.series(panel, snapshot, view, browser.scheme, browser.can_drag)
        elif panel.picture == "map":
            places[place], drawn[panel.id] = world(panel, snapshot.rows[panel.id], view, browser.scheme)
        else:
            places[place] = _PICTURES[panel.picture](panel, snapshot.rows[panel.id], view)
    html_of = {id: markup(place) for id, place in places.items()}
    return {"board": heading(view), "html": html_of, "charts": drawn}


def _none(why: str) -> Component:
    return html.P(why, className="none")


def has_numbers(view: View, snapshot: Snapshot) -> bool:
    """Whether any panel has a number that isn't zero. How the pipeline does is worth a look without hits, too."""
    if not view.board.scope and view.board is not boards(view.tenant)[0]:
        return True
    return bool(snapshot.failed) or any(
        value
        for panel in view.board.panels
        for row in snapshot.rows[panel.id]
        for column, value in zip(panel.columns, row, strict=True)
        if column.unit not in ("text", "time", "day", "change")
    )


def _range(view: View, snapshot: Snapshot) -> str:
    start_s, end_s, step_s = snapshot.window
    now = snapshot.asked or start_s * 1000
    said = words.span(start_s * 1000, end_s * 1000, view.zone, now)
    return f"{said} · a point every {words.duration(step_s)} · times of {view.zone} ({words.offset(now, view.zone)})"


def _empty(view: View, snapshot: Snapshot, settings: Settings) -> Component:
    """Why there are no numbers, and what to do."""
    if not snapshot.ever:
        return _first_steps(view, settings)
    of = f" of {' / '.join(view.choice.values())}" if view.choice else ""
    if snapshot.newest is None:
        what, why = "No hits", "Earlier ones are there"
    else:
        what, why = "Nothing to show", "There were hits, but none that this board is about"
    return html.Section(
        className="nothing",
        children=[
            html.H2(f"{what}{of} in the {view.range_label}"),
            html.P(f"{why}: choose a longer range, or other names."),
        ],
    )


def _first_steps(view: View, settings: Settings) -> Component:
    pixel = f'<img src="{settings.public}/p/acme/spring/banner.gif" width="1" height="1" alt="">'
    steps = [
        html.P("See it count, with made-up traffic:"),
        html.Pre("pixeltally demo", tabIndex=0),
        html.P("Or paste a pixel into a page and open it:"),
        html.Pre(pixel, tabIndex=0),
    ]
    return html.Section(
        className="nothing",
        children=[html.H2("No hits yet"), html.P("Everything is ready to count."), *([] if view.tenant else steps)],
    )


def freshness(view: View, snapshot: Snapshot | None, now_ms: int) -> tuple[str, str]:
    """How far the page can be believed: (state, one sentence)."""
    if snapshot is None:
        return "idle", "Reading the newest numbers…"
    read_at = f"Numbers are from {words.at(snapshot.asked, view.zone):%H:%M:%S}"
    if snapshot.error:
        return "away", f"{snapshot.error}{f' {read_at}.' if snapshot.asked else ''} Trying again."
    if view.span and snapshot.newest is None:
        return "idle", "Waiting for a hit"
    if not view.span or now_ms - snapshot.asked > STALE_S * 1000:
        return "idle", read_at
    age_s = max(0, now_ms - (snapshot.newest or 0)) / 1000
    if age_s <= STALE_S:
        return "fresh", f"Newest hit counted {age_s:.0f} s ago"
    return "stale", f"Newest hit counted {words.duration(age_s)} ago: no traffic, or the pipeline lags"


def sorry(sentence: str, tenant: str) -> list[Component]:
    """What stands there for a URL that shows no view."""
    first = boards(tenant)[0]
    back = html.A(f"To the board {first.title}", href=path(first))
    nothing = html.Section([html.H2(sentence), html.P(back)], className="nothing")
    return [html.Div(html.H1("Nothing to show"), className="heading"), nothing]
