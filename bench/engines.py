"""The peers of streams: each one process on the same core, fed the same hits from the same Kafka."""

import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil

from bench import idiomatic_faust, kafka
from bench.processes import CORE, cpu_s, running

HERE = Path(__file__).parent
PARTITIONS = 4

#: Quix Streams' own virtual environment, made by `make bench`.
QUIX = Path(sys.prefix) / "quix" / "bin" / "python"

_HITS = "bench.hits"
_FACTS = "bench.facts"
_MINUTES = "bench.minutes"

#: A peer is measured once it has been giving out for so long.
_WARM_S = 2.0
_START_S = 120.0


class Engine(NamedTuple):
    """A peer: how it is started, the topic that it writes one message a hit to, and how much faster we want to be."""

    name: str
    goal: int
    command: tuple[str, ...]
    out: str
    compact: bool = False


class Speed(NamedTuple):
    """Hits a second of CPU, and of wall time."""

    per_core: float
    rate: float


def engines(servers: str, folder: Path) -> list[Engine]:
    """The peers that can run here."""
    faust = (sys.executable, "-m", "bench.idiomatic_faust", servers, _HITS, str(folder / "faust"))
    found = [Engine("idiomatic Faust", 100, faust, idiomatic_faust.COUNTS, compact=True)]
    if QUIX.exists():
        quix = (str(QUIX), str(HERE / "quix.py"), servers, _HITS, _FACTS, _MINUTES, str(folder / "quix"))
        found.append(Engine("Quix Streams", 2, quix, _FACTS))
    return found


def fill(servers: str, messages: Iterable[bytes]) -> None:
    """Write the hits of NDJSON messages one a message, with the ad unit for its key."""
    kafka.renew(servers, [_HITS], PARTITIONS)
    kafka.produce(servers, _HITS, ((_unit(line), line) for value in messages for line in value.split(b"\n")))


def _unit(line: bytes) -> bytes:
    hit = msgspec.json.decode(line, type=_Unit)
    return f"{hit.advertiser}/{hit.campaign}/{hit.creative}/{hit.placement}".encode()


class _Unit(msgspec.Struct):
    advertiser: str
    campaign: str
    creative: str = ""
    placement: str = ""


def measure(servers: str, engine: Engine, hits: int, seconds: float, log: Path) -> Speed:
    """How fast a peer is while it works off the `hits` that stand in Kafka; what it says goes to `log`."""
    kafka.renew(servers, [engine.out, _MINUTES], PARTITIONS, engine.compact)
    out = kafka.Reader(servers, engine.out)
    with log.open("wb") as told, running(list(engine.command), os.environ, log=told) as started:
        try:
            process = psutil.Process(started.pid)
            process.cpu_affinity([CORE])
            until = time.monotonic() + _START_S
            while not out.waiting():
                if started.poll() is not None or time.monotonic() > until:
                    sys.exit(f"{log.read_text()}\n{engine.name} gave nothing out")
                time.sleep(0.1)
            time.sleep(_WARM_S)
            began, before_s, before = time.monotonic(), cpu_s([process]), out.waiting()
            time.sleep(seconds)
            took_s, cpu, done = time.monotonic() - began, cpu_s([process]) - before_s, out.waiting()
        finally:
            started.kill()
            out.close()
    if done == before:
        sys.exit(f"{log.read_text()}\n{engine.name} stopped giving out")
    if done >= hits:
        sys.exit(f"{engine.name} was faster than expected: it needs more than {hits} hits")
    return Speed((done - before) / cpu, (done - before) / took_s)
