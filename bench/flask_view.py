"""The peer that says what the pixel's own path is good for: the same route as a plain Flask view on the same server.

Run as `python -m bench.flask_view FD`.
"""

import socket
import sys
from typing import Any

import uvloop
from flask import Flask, Response, request

from ingest import room, wsgi
from ingest.answers import GIF, UNCACHED
from ingest.recorder import Recorder
from ingest.site import Site
from ingest.worker import serve
from pixeltally.process import die_with_parent
from pixeltally.settings import Settings


class FlaskSite(Site):
    """Hands Flask everything."""

    def answer(self, environ: dict[str, Any], body: bytes, last: bool) -> bytes:
        return wsgi.call(self._flask, environ, body, self.date, last)


def view(recorder: Recorder) -> Flask:
    """An application of one view: the pixel, recorded before it is answered."""
    app = Flask(__name__, static_folder=None)

    @app.get("/p/<advertiser>/<campaign>/<creative>/<placement>.gif")
    def pixel(advertiser: str, campaign: str, creative: str, placement: str) -> Response:
        recorder.record("p", request.environ)
        return Response(GIF, mimetype="image/gif", headers=UNCACHED)

    return app


if __name__ == "__main__":
    die_with_parent()
    recorder = Recorder(room.open_spool(Settings.from_env()))
    uvloop.run(serve(socket.socket(fileno=int(sys.argv[1])), FlaskSite(recorder, view(recorder)), recorder))
