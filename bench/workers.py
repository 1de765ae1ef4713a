"""`pixeltally streams` from outside: started on topics of its own, given hits in bursts, and measured."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from bench import kafka, shares
from bench.processes import CORE, cpu_s, running
from pixeltally import topics
from pixeltally.settings import Settings

GROUP = "pixeltally-streams"

_READY_S = 60.0
_SILENT_S = 60.0

#: A burst is over when all its facts are there and nothing has come for so long.
_QUIET_S = 0.5


class Burst(NamedTuple):
    """What a burst of hits took."""

    hits: int
    wall_s: float  #: from the moment the workers saw them until the last fact was in Kafka
    cpu_s: float  #: of all workers

    @property
    def per_core(self) -> float:
        """Hits a second of CPU."""
        return self.hits / self.cpu_s

    @property
    def rate(self) -> float:
        """Hits a second of wall time."""
        return self.hits / self.wall_s


class Workers:
    """Running workers of the streams tier, and what has come out of them."""

    def __init__(self, servers: str, log: Path) -> None:
        self._servers = servers
        self._log = log
        self.processes: list[psutil.Process] = []
        self._facts = kafka.Reader(servers, topics.FACTS)

    def take(self, messages: Iterable[tuple[int, bytes]], hits: int) -> Burst:
        """Hand them hits that are all in Kafka before they see the first, and wait for all facts."""
        for each in self.processes:
            each.send_signal(signal.SIGSTOP)
        try:
            hand_in(self._servers, messages)
        finally:
            before_s, began_ms = self._cpu_s(), time.time() * 1000
            for each in self.processes:
                each.send_signal(signal.SIGCONT)
        last_ms = self.await_facts(hits)
        return Burst(hits, (last_ms - began_ms) / 1000, self._cpu_s() - before_s)

    def await_facts(self, hits: int) -> int:
        """Wait for so many more facts; when the last came, by the broker's clock."""
        waiting, changed, found, last_ms = 0, time.monotonic(), 0, 0
        while found < hits:
            time.sleep(0.1)
            if waiting != (waiting := self._facts.waiting()):
                changed = time.monotonic()
            elif waiting and time.monotonic() > changed + _QUIET_S:
                arrivals = self._facts.arrivals()
                found += sum(each.lines for each in arrivals)
                last_ms = arrivals[-1].at_ms
            elif time.monotonic() > changed + _SILENT_S:
                sys.exit(f"{self._log.read_text()}\nonly {found} of {hits} facts came, none for {_SILENT_S:.0f} s")
        return last_ms

    def kill(self) -> None:
        """End all of them at once, by SIGKILL."""
        for each in self.processes:
            each.kill()
            each.wait()

    def rss_bytes(self) -> int:
        """Memory of all workers."""
        return sum(each.memory_info().rss for each in self._family())

    def _cpu_s(self) -> float:
        return cpu_s(self._family())

    def _family(self) -> list[psutil.Process]:
        """All workers' processes, what they started included."""
        return self.processes + [child for each in self.processes for child in each.children(recursive=True)]


@contextmanager
def started(
    servers: str, folder: Path, count: int = 1, fresh: bool = True, share: float | None = None
) -> Iterator[Workers]:
    """So many workers, once each has its partitions; on empty topics where `fresh`.

    Each is held to its `share` of a core, on any core; without, one alone has `CORE` for itself.
    """
    if fresh:
        kafka.remove(servers, topics.ALL)
        kafka.forget_group(servers, GROUP)
        topics.ensure(Settings.from_env({"PIXELTALLY_KAFKA": servers}))
    log = folder / "streams.log"
    crew = Workers(servers, log)
    with ExitStack() as stack:
        for number in range(count):
            cores = [CORE] if count == 1 and share is None else list(range(os.cpu_count() or 1))
            address = f"pixeltally-bench-{os.getpid()}-{number}"
            crew.processes.append(_start(stack, servers, log, address, cores))
            if share is not None:
                stack.enter_context(shares.held(crew.processes[-1].pid, share))
        yield crew


def _start(stack: ExitStack, servers: str, log: Path, address: str, cores: list[int]) -> psutil.Process:
    """A worker that says it is ready."""
    listener = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
    listener.bind("\0" + address)
    listener.settimeout(_READY_S)
    environ = {"PIXELTALLY_KAFKA": servers, "PIXELTALLY_DATA": str(log.parent), "NOTIFY_SOCKET": "@" + address}
    command = [sys.executable, "-m", "pixeltally", "streams"]
    told = stack.enter_context(log.open("ab"))
    process = psutil.Process(stack.enter_context(running(command, {**os.environ, **environ}, log=told)).pid)
    process.cpu_affinity(cores)
    while b"READY=1" not in listener.recv(4096):
        pass
    return process


def hand_in(servers: str, messages: Iterable[tuple[int, bytes]]) -> None:
    """Write hits, as ingest's shipper does."""
    kafka.produce(servers, topics.HITS, messages)
