"""One process that answers requests, on a listening socket that others share: `python -m ingest.worker FD`.

Everything happens on one thread, in an event loop: what Flask answers takes a fraction of a millisecond, and nobody
waits for a slow client.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys

import uvloop
from setproctitle import setproctitle

from ingest import room
from ingest.app import routes
from ingest.connection import Connection, Connections
from ingest.recorder import Recorder
from ingest.site import Site
from pixeltally.process import die_with_parent
from pixeltally.settings import Settings

#: How long a stopping worker lets clients take their answers.
DRAIN_S = 3.0

#: How long a stopping worker waits for room in the spool, if lines wait for it.
ROOM_S = 3.0


async def serve(listener: socket.socket, site: Site, recorder: Recorder) -> None:
    """Answer until SIGTERM; then what has been asked is answered and written down before this returns.

    What still waits for room in the spool then is given `ROOM_S`.
    """
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    connections = Connections(site, loop)
    server = await loop.create_server(lambda: Connection(connections), sock=listener)
    while not stopping.is_set():
        site.turn()
        recorder.turn()
        connections.close_overdue()
        try:
            await asyncio.wait_for(stopping.wait(), 1)
        except TimeoutError:
            continue
    server.close()
    connections.close_all()
    until = loop.time() + DRAIN_S
    while len(connections) and loop.time() < until:
        await asyncio.sleep(0.01)
    until = loop.time() + ROOM_S
    while recorder.problem() and loop.time() < until:
        await asyncio.sleep(0.1)
        recorder.turn()
    recorder.lose_waiting()


def main() -> None:
    """The process."""
    setproctitle("pixeltally ingest")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    settings = Settings.from_env()
    recorder = Recorder(room.open_spool(settings))
    site = Site(recorder, routes(settings, recorder))
    # What lives as long as the process need not be looked at by every collection.
    gc.freeze()
    uvloop.run(serve(socket.socket(fileno=int(sys.argv[1])), site, recorder))


if __name__ == "__main__":
    main()
