"""What is measured side by side: each a process tree on the same core, and a port that answers the pixel."""

import os
import pwd
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import psutil

from bench.processes import CORE, cpu_s, free_port, running
from ingest import nginx
from pixeltally.settings import Settings

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

OURS = "pixeltally ingest"
FLASK_VIEW = "plain Flask view, same server"

_NGINX = """
{user}
worker_processes 1;
daemon off;
pcre_jit on;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    keepalive_requests 1000000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {server}
}}
"""

_EMPTY_GIF = """
    access_log @FOLDER@/access.log combined;
    server { listen 127.0.0.1:@PORT@; location / { empty_gif; } }
"""


@dataclass(frozen=True)
class Peer:
    """A running server."""

    name: str
    port: int
    answering: list[psutil.Process]
    shipping: list[psutil.Process]
    shipped: bool = False  #: whether a shipper carries its lines to Kafka

    def answering_cpu_s(self) -> float:
        """CPU seconds that answering has taken so far."""
        return cpu_s(self.answering)

    def shipping_cpu_s(self) -> float:
        """CPU seconds that shipping has taken so far."""
        return cpu_s(self.shipping)


@contextmanager
def started(folder: Path) -> Iterator[list[Peer]]:
    """All peers, the one that others are compared with first; those without a program here are left out."""
    with ExitStack() as stack:
        data, kafka_port = folder / "data", str(free_port())
        environ = {**os.environ, "PIXELTALLY_DATA": str(data), "PIXELTALLY_KAFKA_PORT": kafka_port}
        stack.enter_context(running([sys.executable, "-m", "pixeltally", "broker"], environ))
        ours = stack.enter_context(_ingest(environ, free_port()))
        peers = [ours, stack.enter_context(_flask_view(folder / "flask", environ))]
        if NGINX:
            plain = _nginx("nginx empty_gif, access log", folder / "plain", _EMPTY_GIF, free_port())
            peers.insert(0, stack.enter_context(plain))
            port, node = free_port(), data / "spool" / "nginx"
            nginx.prepare(node)
            front = nginx.configuration(
                Settings.from_env(environ), f"127.0.0.1:{port}", str(node), f"127.0.0.1:{ours.port}"
            )
            peers.append(stack.enter_context(_nginx("pixeltally's nginx front", folder / "front", front, port, True)))
        yield peers


@contextmanager
def _ingest(environ: Mapping[str, str], port: int) -> Iterator[Peer]:
    command = [sys.executable, "-m", "pixeltally", "ingest"]
    with running(command, {**environ, "PIXELTALLY_INGEST_PORT": str(port)}) as process:
        wait_for(f"http://127.0.0.1:{port}/readyz")
        answering: list[psutil.Process] = []
        shipping: list[psutil.Process] = []
        for child in psutil.Process(process.pid).children():
            (shipping if "shipper" in " ".join(child.cmdline()) else answering).append(child)
        _settle(answering, shipping)
        yield Peer(OURS, port, answering, shipping, shipped=True)


@contextmanager
def _flask_view(data: Path, environ: Mapping[str, str]) -> Iterator[Peer]:
    (data / "spool").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0), backlog=2048) as listener:
        fd = listener.fileno()
        command = [sys.executable, "-m", "bench.flask_view", str(fd)]
        environ = {**environ, "PIXELTALLY_DATA": str(data), "PROMETHEUS_MULTIPROC_DIR": str(data)}
        with running(command, environ, fds=(fd,)) as process:
            answering = [psutil.Process(process.pid)]
            _settle(answering, [])
            yield Peer(FLASK_VIEW, listener.getsockname()[1], answering, [])


@contextmanager
def _nginx(name: str, folder: Path, server: str, port: int, shipped: bool = False) -> Iterator[Peer]:
    folder.mkdir()
    user = f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        _NGINX.format(
            folder=folder, user=user, server=server.replace("@FOLDER@", str(folder)).replace("@PORT@", str(port))
        )
    )
    with running([str(NGINX), "-c", str(folder / "nginx.conf"), "-p", str(folder)], os.environ) as process:
        wait_for(f"http://127.0.0.1:{port}/p/a/b/c.gif")
        answering = psutil.Process(process.pid).children()
        _settle(answering, [])
        yield Peer(name, port, answering, [], shipped)


def _settle(answering: list[psutil.Process], shipping: list[psutil.Process]) -> None:
    for process in answering:
        process.cpu_affinity([CORE])
    for process in shipping:
        # The spool is there so that shipping may lag: with few cores it must not take the clients' time.
        process.nice(19)


def wait_for(url: str, seconds: float = 60) -> None:
    """Wait until the URL is answered."""
    until = time.monotonic() + seconds
    while True:
        try:
            urlopen(url, timeout=5).close()  # noqa: S310
            return
        except (URLError, ConnectionError, TimeoutError):
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
