"""Serves the live page: Dash asks it what to show whenever the URL changes, and every second."""

import logging
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, no_update
from flask import Flask, Response, g, request
from waitress import create_server

from dashboards.boards.board import SCOPES
from dashboards.live import page
from dashboards.live.access import Access, token
from dashboards.live.clickhouse import ClickHouse
from dashboards.live.feed import Feed
from dashboards.live.view import Wrong, read
from pixeltally.errors import Refused
from pixeltally.settings import Settings

log = logging.getLogger("live")

#: Nothing leaves the machine, whatever a library tries. Plotly sets styles of its own.
_POLICY = (
    "default-src 'self'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SCRIPT = "pixeltally"


def run(settings: Settings) -> None:
    """Serve the page until SIGTERM or SIGINT; raise Refused where the port can't be used."""
    with Feed(ClickHouse(settings.clickhouse)) as feed:
        app = application(settings, feed)
        server = listener(app.server, settings)

        def stop(_signal: int, _frame: FrameType | None) -> None:
            sys.exit(0)  # waitress closes its listeners on it and returns

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        if secret := token(settings).decode():
            log.info("the live page, for whoever has this address: %s/?token=%s", settings.live, secret)
        server.run()


def listener(app: Flask, settings: Settings) -> Any:
    """waitress's server, which listens already; raises :class:`Refused` where the port can't be used."""
    try:
        # With the headers by which a proxy is known: :class:`Access` looks for them.
        return create_server(
            app, host=settings.host, port=settings.live_port, threads=8, clear_untrusted_proxy_headers=False
        )
    except OSError as error:
        raise Refused(
            f"The live page can't listen on {settings.host}:{settings.live_port}: {error.strerror}; "
            "PIXELTALLY_LIVE_PORT chooses another port."
        ) from None


def application(settings: Settings, feed: Feed) -> Dash:
    """The Dash application that shows what `feed` reads."""
    here = Path(__file__).parent
    app = Dash(
        __name__,
        assets_folder=str(here / "assets"),
        title="Pixeltally",
        update_title="",
        assets_ignore=r"(\.min|ahead)\.js$",  # index.html loads them
        index_string=(here / "index.html").read_text(),
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        suppress_callback_exceptions=True,  # charts come and go with the boards
    )
    app.layout = page.frame()
    Access(settings).guard(app.server)
    app.server.add_url_rule("/healthz", "healthz", lambda: Response("ok\n", mimetype="text/plain"))
    app.server.add_url_rule("/ahead", "ahead", lambda: _look_ahead(feed))
    _show(app, settings, feed)
    _hear(app)
    policy = _POLICY.format(hashes=" ".join(app.csp_hashes()))

    def harden(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = policy
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response

    app.server.after_request(harden)
    return app


def _look_ahead(feed: Feed) -> Response:
    """Begin to read what a page that is still loading will show."""
    path, query, zone = (request.args.get(name, "") for name in ("path", "query", "zone"))
    with suppress(Wrong):
        feed.watch(read(path, query, zone, g.viewer.advertiser))
    return Response(status=204)


def _show(app: Dash, settings: Settings, feed: Feed) -> None:
    """What the server answers: the controls whenever the URL changed, the board whenever its numbers did.

    In one answer: a dropdown forgets a value that its options don't hold.
    """
    outputs: Any = {
        "controls": {
            "boards": Output("boards", "children"),
            "span": Output("span", "value"),
            "first": Output("dates", "start_date"),
            "last": Output("dates", "end_date"),
            "zone": Output("zone", "value"),
            **{scope: Output(scope, "value") for scope in SCOPES},
            **{f"no {scope}": Output(f"{scope}-field", "hidden") for scope in SCOPES},
        },
        "options": {scope: Output(scope, "options") for scope in SCOPES},
        "board": Output("board", "children"),
        "answer": Output("answer", "data"),
        "shown": Output("shown", "data"),
        "freshness": [Output("freshness", "className"), Output("freshness", "children")],
        "poll": Output("poll", "interval"),
    }
    inputs = [Input("url", "pathname"), Input("url", "search"), Input("browser", "data"), Input("poll", "n_intervals")]

    # Not before an answer is there: a browser drops one that comes after it asked again.
    resting: Any = [(Output("poll", "disabled"), True, False)]

    @app.callback(outputs, inputs, State("shown", "data"), running=resting)
    def show(pathname: str, search: str, said: Any, _polls: int, last: Any) -> Any:
        browser, last = page.Browser.of(said), last if isinstance(last, dict) else {}
        answer: Any = dict.fromkeys(outputs, no_update)
        answer |= {part: dict.fromkeys(outputs[part], no_update) for part in ("controls", "options")}
        try:
            view = read(str(pathname or "/"), str(search or ""), browser.zone, g.viewer.advertiser)
        except Wrong as wrong:
            sorry = page.sorry(str(wrong), g.viewer.advertiser)
            return answer | {"board": sorry, "shown": {}, "freshness": ["freshness", ""], "poll": page.WRONG_POLL_MS}
        snapshot = feed.snapshot(view)
        state, sentence = page.freshness(view, snapshot, round(time.time() * 1000))
        answer["freshness"] = [f"freshness {state}", sentence]
        answer["poll"] = page.POLL_MS if snapshot and (snapshot.whole or snapshot.error) else page.FIRST_POLL_MS
        shown = {
            "board": page.heading(view),
            "view": view.href(),
            "browser": said,
            "stamp": snapshot and snapshot.stamp,
        }
        if shown["board"] != last.get("board"):
            answer["board"] = page.board(view)
        if shown["view"] != last.get("view"):
            answer["controls"] = page.controls(view)
        if shown != last:
            numbers = page.numbers(view, snapshot, browser, settings)
            answer |= {"answer": numbers, "options": page.options(view, snapshot), "shown": shown}
        return answer


def _hear(app: Dash) -> None:
    """What `live.js` does: say what the browser knows, and write into the URL what is chosen."""
    script: Any = app.clientside_callback  # has no types
    script(ClientsideFunction(_SCRIPT, "browser"), Output("browser", "data"), Input("url", "id"))
    script(ClientsideFunction(_SCRIPT, "draw"), Input("answer", "data"))
    script(ClientsideFunction(_SCRIPT, "hear"), Input("freshness", "children"))
    chosen = [Input(scope, "value") for scope in SCOPES]
    script(ClientsideFunction(_SCRIPT, "choose"), *chosen, prevent_initial_call=True)
    script(ClientsideFunction(_SCRIPT, "span"), Input("span", "value"), prevent_initial_call=True)
    script(ClientsideFunction(_SCRIPT, "zone"), Input("zone", "value"), prevent_initial_call=True)
    dates = (Input("dates", "start_date"), Input("dates", "end_date"))
    script(ClientsideFunction(_SCRIPT, "dates"), *dates, State("browser", "data"), prevent_initial_call=True)
    dragged = Input({"chart": ALL}, "relayoutData")
    script(ClientsideFunction(_SCRIPT, "dragged"), dragged, State("browser", "data"), prevent_initial_call=True)
