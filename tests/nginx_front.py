"""Debian's nginx as the front of an ingest tier, for tests."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import free_port, wait_until

from ingest import nginx
from pixeltally.settings import Settings

_PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

_MAIN = """
{user}
worker_processes 2;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/pixeltally.conf;
}}
"""


def require_nginx() -> str:
    """The program; without it the test is skipped, in CI it fails."""
    if _PROGRAM is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("needs nginx; `make nginx` installs it")
    return _PROGRAM


@contextmanager
def nginx_front(folder: Path, node: Path, upstream_port: int, **environ: str) -> Iterator[int]:
    """nginx in front of Flask, writing to the node; its port."""
    port = free_port()
    nginx.prepare(node)
    folder.mkdir()
    (folder / "pixeltally.conf").write_text(
        nginx.configuration(Settings.from_env(environ), f"127.0.0.1:{port}", str(node), f"127.0.0.1:{upstream_port}")
    )
    user = f"user {pwd.getpwuid(os.getuid()).pw_name};" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user=user))
    with subprocess.Popen([require_nginx(), "-c", str(folder / "nginx.conf"), "-p", str(folder)]) as process:
        try:
            wait_until((folder / "pid").exists, "nginx", 10)
            yield port
        finally:
            process.terminate()
            process.wait(10)
    log = (folder / "error.log").read_text()
    assert "[crit]" not in log, log
    assert "[alert]" not in log, log
