"""What must hold before a part is started: its port is free, its folder can be written."""

import errno
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

from pixeltally.errors import Refused

#: Below this much free space nothing is started: a log that can't grow loses hits.
MIN_FREE_BYTES = 200 * 1024 * 1024

_MOMENT_S = 3.0


def free_port(host: str) -> int:
    """A port that nothing listens on at this moment."""
    with socket.create_server((host, 0)) as taken:
        return int(taken.getsockname()[1])


def require_port(host: str, port: int, variable: str) -> None:
    """Refuse if `port` can't be bound; `variable` is the setting that chooses another.

    What was killed a moment ago may hold it for another one.
    """
    until = time.monotonic() + _MOMENT_S
    while (error := _why_not(host, port)) is not None:
        if error.errno != errno.EADDRINUSE or time.monotonic() > until:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise Refused(
                f"port {port} on {host} can't be used ({reason}): stop what holds it, or set {variable} to a free one."
            )
        time.sleep(0.1)


def _why_not(host: str, port: int) -> OSError | None:
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        return error
    return None


def require_folder(path: Path) -> None:
    """Make the folder; refuse if it can't be written or its disk is nearly full."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path) as probe:
            probe.write(b"\0")
    except OSError as error:
        raise Refused(
            f"the folder {path} can't be written ({error.strerror}): mend that, or name another by PIXELTALLY_DATA."
        ) from None
    free = shutil.disk_usage(path).free
    if free < MIN_FREE_BYTES:
        raise Refused(
            f"the disk of {path} has only {free >> 20} MB left and {MIN_FREE_BYTES >> 20} MB are needed: "
            "free some, or name another folder by PIXELTALLY_DATA."
        )
