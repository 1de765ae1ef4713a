"""How fast pixels are answered on one core: `make bench`, or `python -m bench.ingest [--rounds N] [--seconds S]`.

Each round measures every peer once, one after the other, so that what else the machine does hits all of them alike;
ratios are medians of the rounds' ratios. wrk asks over 32 kept-alive connections with a browser's headers.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import NamedTuple
from urllib.request import urlopen

import click

from bench.peers import NGINX, Peer, started

CONNECTIONS = 32
PATH = "/p/acme/spring/banner/blog.gif?cb=8731"

#: The share of a peer's rate at which its answering time is taken.
LOAD = 0.7

_LUA = Path(__file__).with_name("wrk.lua")
_WAIT_SHIPPED_S = 300

_NOTES = """\
CPU is of all processes of the peer per 1,000 answers; it is steadier than rates where the machine has other work.
p99 is taken at {load:.0%} of the peer's rate. All peers answer on core 0, one line written per answer; the shipper and
Kafka run beside wrk at low priority: a burst goes into the spool and is shipped after it.
"""


class Sample(NamedTuple):
    """What one round says of a peer."""

    rate: float  #: answers a second
    cpu_ms: float  #: per 1,000 answers
    answers: int
    p99_ms: float


@click.command()
@click.option("--rounds", default=7, show_default=True)
@click.option("--seconds", default=1.5, show_default=True, help="Per peer and round, and again for its answering time.")
def main(rounds: int, seconds: float) -> None:
    """Measure and print the table."""
    if shutil.which("wrk") is None:
        sys.exit("make bench needs wrk: install your system's package so that 'wrk' is on PATH.")
    if NGINX is None:
        click.echo("nginx is not installed: the ratios to it are missing. Install your system's package.", err=True)
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as peers:
        samples: dict[str, list[Sample]] = {peer.name: [] for peer in peers}
        before_s = sum(peer.shipping_cpu_s() for peer in peers)
        for number in range(rounds):
            click.echo(f"\rround {number + 1} of {rounds}", nl=False, err=True)
            for peer in peers:
                samples[peer.name].append(_sample(peer, seconds))
        click.echo("\rshipping …     ", err=True)
        shipped = sum(each.answers for peer in peers if peer.shipped for each in samples[peer.name])
        _wait_shipped(next(peer for peer in peers if peer.shipping))
        shipping_ms = (sum(peer.shipping_cpu_s() for peer in peers) - before_s) / shipped * 1e6
    click.echo(_table(samples, shipping_ms, {peer.name for peer in peers if peer.shipped}))


def _sample(peer: Peer, seconds: float) -> Sample:
    before_s = peer.answering_cpu_s()
    text = _wrk(peer.port, seconds)
    answers = int(_found(r"(\d+) requests in", text))
    cpu_ms = (peer.answering_cpu_s() - before_s) / answers * 1e6
    rate = float(_found(r"Requests/sec:\s+([\d.]+)", text))
    paced = _wrk(peer.port, seconds, RATE=str(LOAD * rate))
    return Sample(rate, cpu_ms, answers + int(_found(r"(\d+) requests in", paced)), _p99_ms(paced))


def _wrk(port: int, seconds: float, **environ: str) -> str:
    # wrk takes whole seconds only: `1500ms` is not known to it.
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{round(seconds)}", "--latency", "-s", str(_LUA)]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{port}{PATH}"],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        sys.exit(f"not every request was answered:\n{done.stdout}")
    return done.stdout


def _found(pattern: str, text: str) -> str:
    match = re.search(pattern, text)
    assert match, text
    return match[1]


def _p99_ms(text: str) -> float:
    value, unit = re.findall(r"99%\s+([\d.]+)(us|ms|s)", text)[0]
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


def _wait_shipped(peer: Peer) -> None:
    """Wait until the shipper has read all that was answered, so that its work is all in its CPU time."""
    until = time.monotonic() + _WAIT_SHIPPED_S
    while time.monotonic() < until:
        with urlopen(f"http://127.0.0.1:{peer.port}/metrics") as answer:
            backlogs = re.findall(rb"^pixeltally_ingest_spool_backlog_bytes\S* (\S+)", answer.read(), re.MULTILINE)
        if sum(map(float, backlogs)) == 0:
            return
        time.sleep(0.5)
    sys.exit(f"the shipper did not catch up within {_WAIT_SHIPPED_S} s")


def _table(samples: dict[str, list[Sample]], shipping_ms: float, shipped: set[str]) -> str:
    peers = list(samples)
    header = "".join(f"{text:>16}" for text in ("answers/s", "× the first", "CPU ms/1,000", "its share", "p99 at 70 %"))
    lines = [f"{'on one core':32}{header}"]
    for name, rounds in samples.items():
        rate, cpu_ms, p99_ms = (median(each[column] for each in rounds) for column in (0, 1, 3))
        ratio = _ratio(samples, name, peers[0], 0)
        lines.append(
            f"{name:32}{rate:>16,.0f}{ratio:>16.2f}{cpu_ms:>16.1f}"
            f"{1 / _ratio(samples, name, peers[0], 1):>16.2f}{f'{p99_ms:.2f} ms':>16}"
        )
    lines.append(f"{'shipper, for ' + ' and '.join(sorted(shipped)):64}{shipping_ms:>16.1f}")
    return "\n".join([*lines, "", _NOTES.format(load=LOAD)])


def _ratio(samples: dict[str, list[Sample]], name: str, peer: str, column: int) -> float:
    """The median over the rounds of one peer's value ÷ another's."""
    return median(one[column] / other[column] for one, other in zip(samples[name], samples[peer], strict=True))


if __name__ == "__main__":
    main()
