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
from ingest.spool import Spool
from pixeltally.process import die_with_parent
from pixeltally.settings import Settings

#: How long a stopping worker lets clients take their answers.
DRAIN_S = 3.0


async def serve(listener: socket.socket, site: Site, spool: Spool) -> None:
    """Answer until SIGTERM; then what has been asked is answered and written down before this returns."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    connections = Connections(site, loop)
    server = await loop.create_server(lambda: Connection(connections), sock=listener)
    while not stopping.is_set():
        site.turn()
        spool.turn()
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


def main() -> None:
    """The process."""
    setproctitle("pixeltally ingest")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    settings = Settings.from_env()
    spool = room.open_spool(settings)
    recorder = Recorder(spool)
    site = Site(recorder, routes(settings, recorder))
    # What lives as long as the process need not be looked at by every collection.
    gc.freeze()
    uvloop.run(serve(socket.socket(fileno=int(sys.argv[1])), site, spool))


if __name__ == "__main__":
    main()
