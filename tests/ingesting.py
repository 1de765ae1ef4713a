"""The HTTP tier without its processes: a client, and what its spool says then."""

from pathlib import Path
from typing import Any

from werkzeug.test import Client

from ingest import request
from ingest.answers import GIF
from ingest.app import routes
from ingest.reading import Uncountable, reader
from ingest.recorder import Recorder
from ingest.redaction import redactor
from ingest.room import segment_bytes
from ingest.site import Site
from ingest.spool import Spool
from ingest.tail import Reader
from pixeltally.hit import Hit
from pixeltally.settings import Settings


class Ingest:
    """One worker on a data folder."""

    def __init__(self, data: Path, **environ: str) -> None:
        self.settings = Settings.from_env({"PIXELTALLY_DATA": str(data), **environ})
        self._spool = Spool(self.settings.spool, lambda: self._left, segment_bytes(self.settings))
        self._left = 1 << 40
        self.folder, self.node = self._spool.folder, self._spool.node
        self._reader = Reader(self.folder)
        self.recorder = Recorder(self._spool)
        self.client = Client(_front(self.settings, self.recorder))

    def leave(self, left: int) -> None:
        """The spool has so many bytes left from now on."""
        self._left, self._spool._look_again = left, 0

    def close(self) -> None:
        """Let go of the node."""
        self._spool.close()

    def get(self, path: str, **options: Any) -> Any:
        """GET from 192.0.2.7."""
        return self.client.get(path, environ_base={"REMOTE_ADDR": "192.0.2.7"}, **options)

    def lines(self) -> list[bytes]:
        """The lines written since this was asked last."""
        return [line for _, line in self._reader.read(1 << 20)]

    def read(self) -> list[Hit | str]:
        """What the shipper makes of them: hits, or why they can't be counted."""
        read, result = reader(self.settings), []
        for seq, line in self._reader.read(1 << 20):
            try:
                result.append(read(request.decode(line), self._reader.node, seq))
            except Uncountable as reason:
                result.append(str(reason))
        return result

    def redacted(self) -> list[str]:
        """The lines as dead letters would hold them."""
        return [redactor(self.settings)(line) for line in self.lines()]


def _front(settings: Settings, recorder: Recorder) -> Any:
    """Pixels recorded by the site, as a worker does, the rest answered by Flask."""
    flask = routes(settings, recorder)
    site = Site(recorder, flask)

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        if not environ["PATH_INFO"].startswith("/p/"):
            return flask(environ, start_response)
        site.answer(environ, b"", last=False)
        site.settle()
        start_response("200 OK", [("Content-Type", "image/gif")])
        return [GIF]

    return application
