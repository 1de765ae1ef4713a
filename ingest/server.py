"""The tier's processes: granian's web workers, and one shipper."""

import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

from granian import Granian
from granian.constants import Interfaces

from pixeltally.errors import Refused
from pixeltally.settings import Settings

log = logging.getLogger("ingest")

#: How long the shipper may take to hand Kafka what is left when the tier stops.
SHIPPER_STOP_S = 12

_LOOK_S = 0.5


def run(settings: Settings) -> None:
    """Answer and ship until SIGTERM; raises :class:`Refused` where the port or the folder can't be used."""
    _check(settings)
    with Shipper():
        Granian(
            "ingest.app:build",
            factory=True,
            interface=Interfaces.WSGI,
            address=settings.host,
            port=settings.ingest_port,
            workers=settings.ingest_workers,
            blocking_threads=1,  # a worker's spool has one writer
            respawn_failed_workers=True,
            log_enabled=False,
            process_name="pixeltally ingest",
        ).serve()


class Shipper:
    """Keeps a shipper process running for as long as the web workers run, and a little longer."""

    def __enter__(self) -> None:
        self._stopping = threading.Event()
        self._keeper = threading.Thread(target=self._keep)
        self._keeper.start()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._keeper.join()

    def _keep(self) -> None:
        # Starts and stops in one thread: a shipper dies with the thread that started it.
        process = self._start()
        while not self._stopping.wait(_LOOK_S):
            code = process.poll()
            if code is not None:
                log.error("the shipper ended with %s; starting it again", code)
                process = self._start()
        process.terminate()
        try:
            process.wait(SHIPPER_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "ingest.shipper"])


def _check(settings: Settings) -> None:
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
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.ingest_port))
        except OSError as error:
            raise Refused(
                f"{settings.host}:{settings.ingest_port} can't be used ({error.strerror});"
                " set PIXELTALLY_INGEST_PORT to a free port."
            ) from None
