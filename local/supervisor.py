"""supervisord over some programs: it starts them, starts them again when they end, and stops them in order.

As a module (`python -m local.supervisor`) it is supervisord itself, bound to the life of who started it.
"""

import os
import secrets
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any
from xmlrpc.client import Error, ServerProxy

from supervisor.supervisord import main
from supervisor.xmlrpc import SupervisorTransport

from pixeltally.process import die_with_parent, environment_of_children

MAX_LINE_BYTES = 64 * 1024

# Times in seconds. A program that ends before `startsecs` is started again after a pause, a second longer each time.
_CONFIG = """\
[supervisord]
nodaemon = true
silent = true
nocleanup = true
loglevel = warn
logfile = %(here)s/stack.log
logfile_maxbytes = 0
pidfile = %(here)s/pid
{user}

[unix_http_server]
file = %(here)s/rpc
username = pixeltally
password = {password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
"""
_PROGRAM = """
[program:{name}]
command = {command}
environment = NOTIFY_SOCKET="%(here)s/{name}"
priority = {priority}
autorestart = true
exitcodes = 0,143
startsecs = 30
startretries = 1000000
stopwaitsecs = 15
killasgroup = true
redirect_stderr = true
stdout_logfile = %(here)s/{name}.log
stdout_logfile_maxbytes = 0
"""


class Supervisor:
    """supervisord, as a context: left when all programs have stopped, those named first before the others."""

    def __init__(
        self,
        programs: Mapping[str, list[str]],
        environ: Mapping[str, str],
        folder: Path,
        lock: int,
        log: Callable[[str, str], None],
    ) -> None:
        """`folder` is empty and has a short path; the file `lock` is kept open until supervisord has ended;
        `log` takes (name, line)."""
        self._config = folder / "supervisord.conf"
        # Root is told off unless it says that it is meant.
        password = secrets.token_hex()
        text = _CONFIG.format(user="" if os.getuid() else "user = root", password=password)
        for rank, (name, argv) in enumerate(programs.items()):
            command = shlex.join(argv).replace("%", "%%")
            text += _PROGRAM.format(name=name, command=command, priority=-rank)
        self._config.write_text(text)
        self._environ = environ
        self._lock = lock
        self._logs = {name: folder / f"{name}.log" for name in ("stack", *programs)}
        self._log = log
        self._crashes: dict[str, set[int]] = {name: set() for name in programs}
        self._transport = SupervisorTransport("pixeltally", password, f"unix://{folder / 'rpc'}")
        self._rpc: Any = ServerProxy("http://localhost", self._transport)
        self._undo = ExitStack()

    def __enter__(self) -> "Supervisor":
        with ExitStack() as undo:
            for name, path in self._logs.items():
                undo.enter_context(_Pump(path, partial(self._log, name)))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "local.supervisor", "-c", str(self._config)],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[self._lock],
                start_new_session=True,  # a Ctrl-C in the terminal is not for it
            )
            undo.callback(self._stop)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def crashes(self) -> dict[str, int]:
        """How often each program has been seen to have ended too soon; ask more than once a second."""
        try:
            programs = self._rpc.supervisor.getAllProcessInfo()
        except (OSError, HTTPException, Error):  # it doesn't listen yet, or no more
            self._transport.close()
            programs = []
        for program in programs:
            if program["statename"] == "BACKOFF":
                self._crashes[program["name"]].add(program["start"])
        return {name: len(starts) for name, starts in self._crashes.items()}

    def _stop(self) -> None:
        self._process.terminate()
        # It looks after its programs once a second, and whenever it is asked something.
        while self.exit_code() is None:
            self.crashes()
            time.sleep(0.05)


class _Pump:
    """Hands on, line by line, what supervisord writes into a named pipe, as a context."""

    def __init__(self, path: Path, take: Callable[[str], None]) -> None:
        os.mkfifo(path)
        self._reader = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb")
        # A pipe ends with its last writer: this one stays between two runs of a program.
        self._writer = os.open(path, os.O_WRONLY)
        os.set_blocking(self._reader.fileno(), True)
        self._take = take
        self._thread = threading.Thread(target=self._run, name=path.name)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        os.close(self._writer)
        self._thread.join()
        self._reader.close()

    def _run(self) -> None:
        while line := self._reader.readline(MAX_LINE_BYTES):
            if text := line.decode(errors="replace").rstrip():
                self._take(text)


if __name__ == "__main__":
    die_with_parent()
    os.environ.update(environment_of_children())
    main()
