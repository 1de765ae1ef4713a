"""One program of a stack: started, restarted when it crashes, stopped when told, its log passed on."""

import asyncio
import os
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from local.readiness import Check
from pixeltally.errors import Refused

#: What a part that is told to stop has to finish in.
STOP_TIMEOUT_S = 15
#: A crash is followed by a pause, twice as long each time; running that long makes it short again.
FIRST_PAUSE_S = 0.5
LAST_PAUSE_S = 10
STEADY_S = 30
#: A part that crashes so often without having been ready once never will be.
MAX_FAILED_STARTS = 5
MAX_LINE_BYTES = 64 * 1024


class Failed(Exception):
    """A part can't be started; the text says which and why."""


@dataclass(frozen=True)
class Tier:
    """What a part is: its name, command line, where to look at it, and how to ask whether it is ready."""

    name: str
    argv: list[str]
    where: str
    check: Check


class Part:
    """A tier that is kept running."""

    def __init__(
        self,
        tier: Tier,
        environ: Mapping[str, str],
        log: Callable[[str, str], None],
        record: Callable[[str], None],
    ) -> None:
        """`log` takes (name, line); `record` takes `+group` and `-group` as process groups come and go."""
        self.tier = tier
        self.ready = False
        self._environ = environ
        self._log = log
        self._record = record
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._sentence = ""
        self.task = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """End it: SIGTERM, time to finish, SIGKILL."""
        self._stopping.set()
        self._send(signal.SIGTERM)
        done, _ = await asyncio.wait([self.task], timeout=STOP_TIMEOUT_S)
        if not done:
            self._log(self.tier.name, f"did not stop within {STOP_TIMEOUT_S} s: killed")
            self._send(signal.SIGKILL)
            await asyncio.wait([self.task])

    async def _keep(self) -> None:
        """Run it again and again until it is told to stop; raise if it can't be started."""
        pause, failures = float(FIRST_PAUSE_S), 0
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            started = loop.time()
            code = await self._run()
            if self._stopping.is_set():
                return
            failures += 1
            if not self.ready and code == 2:
                raise Refused(self._sentence or f"{self.tier.name} refused to start.")
            if not self.ready and failures == MAX_FAILED_STARTS:
                raise Failed(f"{self.tier.name} stopped {failures} times before it was ready: {_end(code)}.")
            if loop.time() - started > STEADY_S:
                pause = FIRST_PAUSE_S
            self._log(self.tier.name, f"stopped with {_end(code)}; starts again in {pause:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)
            pause = min(2 * pause, LAST_PAUSE_S)

    async def _run(self) -> int:
        """Run it once, with all of its descendants; return its exit code."""
        reader, writer = os.pipe()
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.tier.argv,
                env=self._environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=writer,
                stderr=writer,
                # A Ctrl-C is for the stack, which stops its parts in order.
                start_new_session=True,
            )
        except OSError as error:
            os.close(reader)
            raise Failed(f"{self.tier.name} can't be started: {error}.") from None
        finally:
            os.close(writer)
        group = self._process.pid
        self._record(f"+{group}")
        if self._stopping.is_set():
            self._send(signal.SIGTERM)
        pump = asyncio.create_task(self._pump(reader))
        code = await self._process.wait()
        self._process = None
        # What it left behind would hold its port and its log.
        with suppress(OSError):
            os.killpg(group, signal.SIGKILL)
        self._record(f"-{group}")
        await pump
        return code

    async def _pump(self, source: int) -> None:
        """Pass its log on line by line, until the last writer is gone."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(source, "rb")
        )
        rest = b""
        while chunk := await reader.read(MAX_LINE_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._pass_on(line)
            if len(rest) > MAX_LINE_BYTES:
                self._pass_on(rest)
                rest = b""
        if rest:
            self._pass_on(rest)
        transport.close()

    def _pass_on(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if text.startswith("pixeltally: "):
            self._sentence = text.removeprefix("pixeltally: ")
        if text:
            self._log(self.tier.name, text)

    def _send(self, number: signal.Signals) -> None:
        if self._process:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)


def _end(code: int) -> str:
    return f"exit code {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
