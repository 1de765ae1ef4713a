"""`pixeltally up`: every tier on this machine, kept running until it is told to stop.

The tiers know nothing of this: each waits for what it needs and can be started and stopped alone.
"""

import fcntl
import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, fields
from pathlib import Path
from typing import IO

from local.preflight import require_folder, require_port
from local.readiness import Check, Notices, answers, has_metadata
from local.supervisor import Supervisor
from pixeltally.errors import Refused
from pixeltally.process import environment_of_children, say_ready
from pixeltally.settings import Settings, variable

#: A part that crashes so often without having been ready once never will be.
MAX_CRASHES = 5
#: A stack that was killed may need so long to be gone from its folder and ports.
LOCK_TIMEOUT_S = 6
CHECK_EVERY_S = 0.1
REMIND_EVERY_S = 30
#: What is left of a unix socket's 107 bytes after the names that are put under the folder for temporary files.
MAX_TEMPORARY_BYTES = 80


class Failed(Exception):
    """The stack can't go on; the text says why."""


@dataclass(frozen=True)
class Tier:
    """A program of the stack: its name, command line, where to look at it, and how to ask whether it is ready;
    one that can't be asked says so itself."""

    name: str
    argv: list[str]
    where: str
    check: Check | None = None


def up(settings: Settings) -> int:
    """Run everything until a signal; return the exit code."""
    try:
        with Stack(settings) as stack:
            stack.wait()
    except Failed as failure:
        print(f"pixeltally: {failure}", file=sys.stderr)
        return 1
    return 0


def tiers(settings: Settings) -> list[Tier]:
    """The tiers to run, in the order in which they are stopped: whoever hands on before whoever takes."""
    host = settings.reachable_host
    ingest, live = f"http://{host}:{settings.ingest_port}/", f"http://{host}:{settings.live_port}/"
    kafka, clickhouse = settings.kafka_servers, settings.clickhouse
    table = [
        _tier("ingest", ingest, answers(f"{ingest}readyz")),
        _tier("streams", "group pixeltally-streams"),
        _tier("sink", "group pixeltally-sink"),
        _tier("live", live, answers(f"{live}healthz")),
    ]
    if not settings.clickhouse_url:
        table.append(_tier("clickhouse", f"{clickhouse}/", answers(f"{clickhouse}/ping")))
    if not settings.kafka:
        table.append(_tier("broker", kafka, has_metadata(kafka)))
    return table


def _tier(name: str, where: str, check: Check | None = None) -> Tier:
    return Tier(name, [sys.executable, "-m", "pixeltally", name], where, check)


class Stack:
    """All tiers, as a context: entered when all are ready, left when all have stopped.

    A signal (Ctrl-C, SIGTERM) asks it to stop, at any time and as often as one likes; whoever works inside
    asks `stopping`, or sleeps with `wait`. Raises `Refused` where it can't run here and `Failed` where a
    tier can't be started; nothing is left running then.
    """

    def __init__(self, settings: Settings, table: Sequence[Tier] | None = None) -> None:
        self._settings = settings
        self._table = tiers(settings) if table is None else table
        self._asked = False

    @property
    def stopping(self) -> bool:
        """Has it been asked to stop, or must it?"""
        return self._asked or self._supervisor.exit_code() is not None

    def wait(self, seconds: float = float("inf")) -> bool:
        """Sleep so long, or until it is asked to stop; say whether it was."""
        until = time.monotonic() + seconds
        # In short naps, since a signal doesn't end a sleep.
        while not self.stopping and (left := until - time.monotonic()) > 0:
            time.sleep(min(CHECK_EVERY_S, left))
        return self.stopping

    def __enter__(self) -> "Stack":
        began = time.monotonic()
        with ExitStack() as undo:
            lock = undo.enter_context(_claim(self._settings))
            undo.enter_context(self._signals())
            folder = undo.enter_context(_folder())
            notices = {tier.name: undo.enter_context(closing(Notices(folder / tier.name))) for tier in self._table}
            programs = {tier.name: tier.argv for tier in self._table}
            self._supervisor = undo.enter_context(
                Supervisor(programs, _environ(self._settings), folder, lock.fileno(), _log)
            )
            self._wait_until_ready(notices, began)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        code = self._supervisor.exit_code()
        self._undo.close()
        if code is not None and not self._asked:
            raise Failed(f"supervisord ended unasked, with {code}: all tiers ended with it.")

    def _wait_until_ready(self, notices: dict[str, Notices], began: float) -> None:
        """Say of each tier when it is ready, and in the end of all; return early where a stop is asked for."""
        pending = list(self._table)
        remind = began + REMIND_EVERY_S
        while pending and not self.wait(CHECK_EVERY_S):
            _require_hope(pending, notices, self._supervisor.crashes())
            for tier in list(pending):
                if (tier.check or notices[tier.name].ready)():
                    pending.remove(tier)
                    _print(f"{tier.name:<10} {tier.where}  ready in {time.monotonic() - began:.1f} s")
            if pending and time.monotonic() > remind:
                _log("stack", f"still waiting for {', '.join(tier.name for tier in pending)}")
                remind += REMIND_EVERY_S
        if not pending:
            _print("ready")
            say_ready()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Take the signals that ask a stack to stop."""

        def ask(*_: object) -> None:
            self._asked = True

        # Who started it with nohup wants it to outlive the terminal.
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        numbers = [signal.SIGINT, signal.SIGTERM] + ([] if ignored else [signal.SIGHUP])
        handlers = {number: signal.signal(number, ask) for number in numbers}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _require_hope(pending: list[Tier], notices: dict[str, Notices], crashes: dict[str, int]) -> None:
    for tier in pending:
        refusal = notices[tier.name].refusal()
        if refusal is not None:
            raise Refused(refusal)
        if crashes[tier.name] >= MAX_CRASHES:
            raise Failed(f"{tier.name} stopped {MAX_CRASHES} times before it was ready; its log says why.")


# What a stack needs before it starts


def _claim(settings: Settings) -> IO[bytes]:
    """Make sure that a stack can run here, and lock its folder; the lock is the open file."""
    require_folder(settings.data)
    lock = (settings.data / "lock").open("ab")
    try:
        _wait_for_lock(lock, settings.data)
        _require_ports(settings)
    except BaseException:
        lock.close()
        raise
    return lock


def _wait_for_lock(lock: IO[bytes], data: Path) -> None:
    until = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except OSError:
            if time.monotonic() > until:
                raise Refused(
                    f"another stack runs on {data}: stop it, or name another folder by PIXELTALLY_DATA."
                ) from None
        time.sleep(0.1)


def _require_ports(settings: Settings) -> None:
    names = ["ingest_port", "live_port"]
    names += [] if settings.kafka else ["kafka_port"]
    names += [] if settings.clickhouse_url else ["clickhouse_port"]
    taken: dict[int, str] = {}
    for name in names:
        port = getattr(settings, name)
        if port in taken:
            raise Refused(f"{variable(name)} and {variable(taken[port])} are both {port}: change one of them.")
        taken[port] = name
        require_port(settings.host, port, variable(name))


@contextmanager
def _folder() -> Iterator[Path]:
    """A temporary folder whose path is short enough for sockets."""
    try:
        fits = len(os.fsencode(tempfile.gettempdir())) <= MAX_TEMPORARY_BYTES
        made = tempfile.TemporaryDirectory(prefix="pt-", dir=None if fits else "/tmp")  # noqa: S108
    except OSError as error:
        raise Refused(f"no temporary folder can be made: {error.strerror}.") from None
    with made as name:
        # systemd-tmpfiles removes what lies in /tmp for long, unless it is locked.
        lock = os.open(name, os.O_RDONLY)
        try:
            fcntl.flock(lock, fcntl.LOCK_SH)
            yield Path(name)
        finally:
            os.close(lock)


def _environ(settings: Settings) -> dict[str, str]:
    """The environment that gives a tier these settings."""
    environ = {**environment_of_children(), "PYTHONUNBUFFERED": "1"}
    for each in fields(settings):
        environ[variable(each.name)] = settings.text(each.name)
    return environ


# What it says


def _log(name: str, line: str) -> None:
    """A line of a tier's log, to standard error."""
    label = f"{name:<10} |"
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        label = f"\033[{31 + sum(name.encode()) % 6}m{label}\033[0m"
    _print(f"{label} {line}", sys.stderr)


def _print(text: str, file: IO[str] | None = None) -> None:
    with suppress(OSError):  # nobody reads any more: no reason to stop counting
        print(text, file=file, flush=True)
