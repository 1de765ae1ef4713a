"""The HTTP tier. Pixels are answered in front of Flask, the rest by Flask."""

import logging
import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from ingest import room
from ingest.answers import GIF, PNG, UNCACHED
from ingest.reading import UNIT
from ingest.recorder import Recorder
from ingest.target import is_allowed, with_click
from pixeltally.process import die_with_parent
from pixeltally.settings import Settings
from pixeltally.signing import is_signed

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

#: The shipper reports every second; older than this it is stuck or gone.
SHIPPER_SILENT_S = 5.0


def build() -> "WSGIApplication":
    """A worker's whole application, with a spool of its own."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    die_with_parent()
    settings = Settings.from_env()
    return application(settings, Recorder(room.open_spool(settings)))


def application(settings: Settings, recorder: Recorder) -> "WSGIApplication":
    """The pixel's fast path, and Flask behind it."""
    flask = routes(settings, recorder)

    def answer(environ: dict[str, Any], start_response: "StartResponse") -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/p/"):
            return pixel(environ, start_response, recorder)
        return flask(environ, start_response)

    return answer


_HEADERS = {
    image: [("Content-Type", kind), ("Content-Length", str(len(image))), *UNCACHED]
    for image, kind in ((GIF, "image/gif"), (PNG, "image/png"))
}


def pixel(environ: dict[str, Any], start_response: "StartResponse", recorder: Recorder) -> Iterable[bytes]:
    """Answer `/p/…`: always the image, whatever the name or the query; a GET is recorded first."""
    method = environ["REQUEST_METHOD"]
    if method not in ("GET", "HEAD"):
        start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Length", "0")])
        return []
    image = PNG if environ["PATH_INFO"].endswith(".png") else GIF
    if method == "GET":
        recorder.record("p", environ)
    start_response("200 OK", _HEADERS[image])
    return [image] if method == "GET" else []


def routes(settings: Settings, recorder: Recorder) -> Flask:
    """Everything but the pixel."""
    app = Flask(__name__, static_folder=None)
    key = settings.secret_key()

    @app.get("/c/<path:unit>")
    def click(unit: str) -> Response:
        target, signature = request.args.get("to", ""), request.args.get("k", "")
        refused = _refusal(key, unit, target, signature)
        if request.method == "HEAD":
            return _refuse(refused) if refused else _redirect(target)
        click_id = recorder.record("c", request.environ, refused)
        return _refuse(refused) if refused else _redirect(with_click(target, click_id))

    @app.get("/healthz")
    def healthz() -> Response:
        return Response("ok\n", mimetype="text/plain")

    @app.get("/readyz")
    def readyz() -> Response:
        problem = _problem(settings)
        return Response(f"{problem or 'ready'}\n", status=503 if problem else 200, mimetype="text/plain")

    @app.get("/metrics")
    def metrics() -> Response:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return app


def _refusal(key: bytes, unit: str, target: str, signature: str) -> str:
    if UNIT.fullmatch(unit) is None:
        return "bad-name"
    if not is_allowed(target):
        return "bad-target"
    return "" if is_signed(key, unit, target, signature) else "bad-signature"


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
