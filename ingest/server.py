"""The tier's processes: workers that answer on one listening socket, and one shipper."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from prometheus_client.multiprocess import mark_process_dead

from ingest.keeper import Keeper
from pixeltally.errors import Refused
from pixeltally.process import environment_of_children
from pixeltally.settings import Settings

log = logging.getLogger("ingest")

#: How long the workers may take to answer what they were asked and to write it down, and the shipper to hand Kafka what
#: is left.
WORKER_STOP_S = 7.0
SHIPPER_STOP_S = 12.0

#: Connections that the kernel holds until a worker takes them.
BACKLOG = 2048

_LOOK_S = 0.2
_RESTART_PAUSE_S = 0.5


def run(settings: Settings) -> None:
    """Answer and ship until SIGTERM; raises :class:`Refused` where the port or the folder can't be used."""
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    _prepare(settings)
    with _listener(settings) as listener, Keeper(settings):
        shipper = Kept("the shipper", "ingest.shipper")
        fd = listener.fileno()
        workers = [Kept("a worker", "ingest.worker", str(fd), fds=(fd,)) for _ in range(settings.ingest_workers)]
        while not stopping.wait(_LOOK_S):
            for process in (shipper, *workers):
                process.look()
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait(WORKER_STOP_S)
        # Last, so that it ships what the workers have written.
        shipper.terminate()
        shipper.wait(SHIPPER_STOP_S)


class Kept:
    """A process that is started again when it ends."""

    def __init__(self, name: str, module: str, *arguments: str, fds: tuple[int, ...] = ()) -> None:
        self._name = name
        self._command = [sys.executable, "-m", module, *arguments]
        self._fds = fds
        self._start()

    def look(self) -> None:
        """Start it again where it has ended, but not at once when it ended at once."""
        code = self._process.poll()
        if code is not None and time.monotonic() > self._started + _RESTART_PAUSE_S:
            log.error("%s ended with %s; starting it again", self._name, code)
            mark_process_dead(self._process.pid)  # type: ignore[no-untyped-call]
            self._start()

    def terminate(self) -> None:
        """Have it finish."""
        self._process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait till it has finished, at most so long."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _start(self) -> None:
        self._started = time.monotonic()
        environment = environment_of_children()
        self._process = subprocess.Popen(self._command, pass_fds=self._fds, env=environment)  # noqa: S603


def _listener(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        listener = socket.create_server((settings.host, settings.ingest_port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise Refused(
            f"{settings.host}:{settings.ingest_port} can't be used ({error.strerror});"
            " set PIXELTALLY_INGEST_PORT to a free port."
        ) from None
    listener.setblocking(False)
    return listener


def _prepare(settings: Settings) -> None:
    metrics = settings.data / "metrics" / "ingest"
    try:
        shutil.rmtree(metrics, ignore_errors=True)
        metrics.mkdir(parents=True)
        settings.spool.mkdir(parents=True, exist_ok=True)
        (settings.spool / "shipper.status").unlink(missing_ok=True)
        settings.secret_key()
    except OSError as error:
        raise Refused(f"PIXELTALLY_DATA={settings.data} can't be written: {error.strerror}.") from None
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(Path(metrics).resolve())
