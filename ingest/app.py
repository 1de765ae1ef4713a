"""The routes that Flask answers: all but the pixel, which `ingest.site` answers in front of it."""

import time

from flask import Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from werkzeug.routing import PathConverter

from ingest import conversion, image, room
from ingest.answers import UNCACHED
from ingest.reading import UNIT
from ingest.recorder import Recorder
from pixeltally.keys import Keys
from pixeltally.settings import Settings
from pixeltally.signing import is_signed
from pixeltally.target import is_allowed, with_click

#: The shipper reports every second; older than this it is stuck or gone.
SHIPPER_SILENT_S = 5.0


class Anything(PathConverter):
    """The rest of a path, whatever it holds: every request is answered, and written down."""

    regex = r"[\s\S]*"
    part_isolating = False


def routes(settings: Settings, recorder: Recorder) -> Flask:
    """Everything but the pixel."""
    app = Flask(__name__, static_folder=None)
    # Its redirect would break a page that shows an image, and would go to whatever host the client named.
    app.url_map.merge_slashes = False
    app.url_map.converters["anything"] = Anything
    keys = settings.keys()
    app.add_url_rule("/i/<anything:name>", view_func=image.view(settings.images, recorder))
    app.add_url_rule("/v/<anything:name>", view_func=conversion.pixel(recorder))
    app.add_url_rule("/v/<anything:name>", view_func=conversion.postback(keys, recorder), methods=["POST"])

    @app.get("/c/<anything:unit>")
    def click(unit: str) -> Response:
        target, signature = request.args.get("to", ""), request.args.get("k", "")
        refused = _refusal(keys, unit, target, signature)
        if request.method == "HEAD":
            return _refuse(refused) if refused else _redirect(with_click(target, ""))
        click_id = recorder.record("c", request.environ, refused)
        return _refuse(refused) if refused else _redirect(with_click(target, click_id))

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        problem = recorder.problem() or _problem(settings)
        return Response(f"{problem or 'ready'}\n", status=503 if problem else 200, mimetype="text/plain")

    @app.get("/metrics")
    def metrics() -> Response:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return app


def _refusal(keys: Keys, unit: str, target: str, signature: str) -> str:
    if UNIT.fullmatch(unit) is None:
        return "bad-name"
    if not is_allowed(target):
        return "bad-target"
    return "" if is_signed(keys.accepted(), unit, target, signature) else "bad-signature"


_REFUSALS = {
    "bad-name": "The link names no ad unit: /c/advertiser/campaign/creative[/placement].",
    "bad-target": "The link's target (to=) is not an http or https URL.",
    "bad-signature": "The link's signature (k=) is missing or wrong; make links with `pixeltally pixel --to URL`.",
}


def _refuse(reason: str) -> Response:
    return Response(f"{_REFUSALS[reason]}\n", status=400, mimetype="text/plain", headers=UNCACHED)


def _redirect(url: str) -> Response:
    response = Response(status=302, headers=UNCACHED)
    response.autocorrect_location_header = False
    response.headers["Location"] = url
    return response


def _problem(settings: Settings) -> str:
    if problem := room.problem(settings):
        return problem
    status = settings.spool / "shipper.status"
    try:
        if time.time() - status.stat().st_mtime > SHIPPER_SILENT_S:
            return "the shipper doesn't report: hits are kept in the spool"
        return status.read_text()
    except FileNotFoundError:
        return "the shipper hasn't reached Kafka yet: hits are kept in the spool"
