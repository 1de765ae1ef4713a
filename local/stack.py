"""`pixeltally up`: every tier on this machine, kept running until it is told to stop.

The tiers know nothing of this: each waits for what it needs and can be started and stopped alone.
"""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import IO, Any

from local.part import Failed, Part, Tier
from local.preflight import require_folder, require_port
from local.readiness import Check, answers, has_metadata, is_consumed_by
from pixeltally.errors import Refused
from pixeltally.settings import Settings, variable

#: A stack that was killed may need so long to be gone from its folder and ports.
LOCK_TIMEOUT_S = 6
CHECK_EVERY_S = 0.1
REMIND_EVERY_S = 30
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::") else settings.host  # noqa: S104
    ingest, live = f"http://{host}:{settings.ingest_port}/", f"http://{host}:{settings.live_port}/"
    kafka, clickhouse = settings.kafka_servers, settings.clickhouse
    table = [
        _tier("ingest", ingest, answers(f"{ingest}readyz")),
        _tier("streams", "group pixeltally-streams", is_consumed_by(kafka, "pixeltally-streams")),
        _tier("sink", "group pixeltally-sink", is_consumed_by(kafka, "pixeltally-sink")),
        _tier("live", live, answers(f"{live}healthz")),
    ]
    if not settings.clickhouse_url:
        table.append(_tier("clickhouse", f"{clickhouse}/", answers(f"{clickhouse}/ping")))
    if not settings.kafka:
        table.append(_tier("broker", kafka, has_metadata(kafka)))
    return table


def _tier(name: str, where: str, check: Check) -> Tier:
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
        self._stopping = threading.Event()
        self._settled = threading.Event()  #: all are ready, or never will be
        self._error: BaseException | None = None
        self._began = time.monotonic()
        self._handlers: dict[signal.Signals, Any] = {}

    @property
    def stopping(self) -> bool:
        """Has it been asked to stop?"""
        return self._stopping.is_set()

    def wait(self, seconds: float | None = None) -> bool:
        """Sleep so long, or until it is asked to stop; say whether it was."""
        until = None if seconds is None else time.monotonic() + seconds
        # In short naps, since a signal that another thread receives wakes nobody.
        while not self.stopping and (until is None or time.monotonic() < until):
            self._stopping.wait(1 if until is None else min(1, max(0, until - time.monotonic())))
        return self.stopping

    def __enter__(self) -> "Stack":
        self._lock = _claim(self._settings)
        try:
            self._loop = asyncio.new_event_loop()
            self._asked = asyncio.Event()
            self._guard = _start_guard(self._lock)
        except BaseException:
            self._lock.close()
            raise
        self._handlers = {number: signal.signal(number, self._on_signal) for number in SIGNALS}
        self._thread = threading.Thread(target=self._run, name="stack")
        self._thread.start()
        while not self._settled.wait(1):
            pass
        if self._error:
            self.__exit__()
        return self

    def __exit__(self, *_: object) -> None:
        self._ask()
        while self._thread.is_alive():
            self._thread.join(1)
        assert self._guard.stdin
        self._guard.stdin.close()
        self._guard.wait()
        self._lock.close()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self._error:
            raise self._error

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._ask()

    def _ask(self) -> None:
        with suppress(RuntimeError):  # the loop has ended: there is nothing left to ask
            self._loop.call_soon_threadsafe(self._asked.set)

    # In the thread

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
                runner.run(self._supervise())
        finally:
            self._stopping.set()
            self._settled.set()

    async def _supervise(self) -> None:
        """Start all, wait until one fails or a stop is asked for, stop all in order."""
        environ = _environ(self._settings)
        parts = [Part(tier, environ, _log, self._record) for tier in self._table]
        announcing = asyncio.create_task(self._announce(parts))
        asked = asyncio.create_task(self._asked.wait())
        work = [announcing, *(part.task for part in parts)]
        await asyncio.wait([asked, *work], return_when=asyncio.FIRST_COMPLETED)
        self._error = next((task.exception() for task in work if task.done()), None)
        self._stopping.set()
        announcing.cancel()
        asked.cancel()
        for part in parts:
            await part.stop()

    async def _announce(self, parts: list[Part]) -> None:
        """Say of each part when it is ready, and in the end of all. Ends, unless it fails, with the stack."""
        pending = {asyncio.create_task(self._wait_for(part)) for part in parts}
        try:
            while pending:
                done, pending = await asyncio.wait(pending, timeout=REMIND_EVERY_S, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                if not done:
                    missing = ", ".join(part.tier.name for part in parts if not part.ready)
                    _log("stack", f"still waiting for {missing}")
        finally:
            for task in pending:
                task.cancel()
        _print("ready")
        self._settled.set()
        await self._asked.wait()

    async def _wait_for(self, part: Part) -> None:
        while not await asyncio.to_thread(part.tier.check):
            await asyncio.sleep(CHECK_EVERY_S)
        part.ready = True
        took = time.monotonic() - self._began
        _print(f"{part.tier.name:<10} {part.tier.where}  ready in {took:.1f} s")

    def _record(self, entry: str) -> None:
        assert self._guard.stdin
        with suppress(OSError):  # without its guard a stack still counts
            self._guard.stdin.write(f"{entry}\n".encode())
            self._guard.stdin.flush()


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


def _start_guard(lock: IO[bytes]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        [sys.executable, "-I", str(Path(__file__).with_name("guard.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=[lock.fileno()],
        start_new_session=True,
    )


def _environ(settings: Settings) -> dict[str, str]:
    """The environment that gives a tier these settings."""
    environ = {**os.environ, "PYTHONUNBUFFERED": "1"}
    for each in fields(settings):
        value = getattr(settings, each.name)
        environ[variable(each.name)] = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
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
