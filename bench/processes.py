"""Processes and ports of what is measured."""

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import IO

import psutil

#: The core that what is measured runs on; clients, Kafka and the rest have the others.
CORE = 0


def leave_core() -> None:
    """Have this process, and all that it starts, leave `CORE` free where there are others."""
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - {CORE} or {CORE})


@contextmanager
def running(
    command: list[str], environ: Mapping[str, str], fds: tuple[int, ...] = (), log: IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A running process, until the block ends. What it says goes to `log` where there is one."""
    with subprocess.Popen(command, env=environ, pass_fds=fds, stdout=log, stderr=log) as process:
        try:
            yield process
        finally:
            process.terminate()


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    """CPU seconds that processes have taken so far, all their threads included."""
    times = [each.cpu_times() for each in processes]
    return float(sum(each.user + each.system for each in times))


def free_port() -> int:
    """A free port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])
