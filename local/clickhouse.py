"""Tier `pixeltally clickhouse`: the embedded ClickHouse engine behind ClickHouse's HTTP interface."""

import logging
import os
import signal
import sys
import threading
import time

import waitress

from local.clickhouse_engine import Engine
from local.clickhouse_http import Interface
from local.clickhouse_room import Room
from pixeltally.errors import Refused
from pixeltally.settings import Settings

log = logging.getLogger("clickhouse")

#: Requests that are answered at once; more wait.
THREADS = 32
#: How long running requests may take to finish after SIGTERM, and once their queries are killed. With `FLUSH_S` it is
#: less than whoever stops a tier waits.
DRAIN_S = 7.0
KILL_S = 5.0
#: How often its disk is looked at.
LOOK_S = 0.05
#: How long clients may take to read what they were answered.
FLUSH_S = 2.0
_INBUF_BYTES = 16 << 20


def run(settings: Settings) -> None:
    """Serve `settings.data/clickhouse` on `settings.clickhouse_port` until SIGTERM or SIGINT.

    Then running requests finish and the engine closes. Raises Refused where the port or the folder can't be
    used. Where its disk has been full, it starts itself again.
    """
    stop = threading.Event()
    engine = Engine((settings.data / "clickhouse").absolute())
    try:
        room = Room(engine)
        interface = Interface(engine, room)
        server = _listen(interface, settings.host, settings.clickhouse_port)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        threading.Thread(target=server.run, daemon=True).start()
        log.info("clickhouse listens on http://%s:%d", settings.host, settings.clickhouse_port)
        # In naps, for signals, too: one that a thread of the engine receives doesn't wake this one.
        while not (stop.wait(LOOK_S) or room.is_back()):
            pass
        if not interface.drain(DRAIN_S):
            engine.kill()
            engine.stop_merges()  # which an OPTIMIZE waits for, killed or not
            if not interface.drain(KILL_S):
                log.error("closing while requests still run: what they were to write may be missing")
        _flush(server)
    finally:
        engine.close()
    if not stop.is_set():
        log.warning("there is room again: starting anew, since parts that were written on a full disk can't be read")
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606


def _listen(interface: Interface, host: str, port: int) -> waitress.server.BaseWSGIServer:
    try:
        return waitress.create_server(
            interface,
            host=host,
            port=port,
            threads=THREADS,
            ident=None,
            recv_bytes=1 << 18,
            send_bytes=1,  # an answer leaves with the thread that made it
            inbuf_overflow=_INBUF_BYTES,  # larger request bodies wait on the disk, not in memory
            max_request_body_size=1 << 40,
            channel_request_lookahead=1,  # so that a client's leaving is seen while its query runs
        )
    except OSError as error:
        raise Refused(
            f"Port {port} of {host} can't be used ({error.strerror}); set PIXELTALLY_CLICKHOUSE_PORT."
        ) from None


def _flush(server: waitress.server.BaseWSGIServer) -> None:
    """Wait until what was answered has been sent, or its clients read nothing for long."""
    end = time.monotonic() + FLUSH_S
    while time.monotonic() < end and any(each.total_outbufs_len for each in list(server.active_channels.values())):
        time.sleep(0.01)
