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

from bench.peers import FLASK_VIEW, NGINX, OURS, Peer, started
from bench.processes import leave_core

CONNECTIONS = 32
PATH = "/p/acme/spring/banner/blog.gif?cb=8731"

#: The share of a peer's rate at which its answering time is taken.
LOAD = 0.7

_LUA = Path(__file__).with_name("wrk.lua")
_WAIT_SHIPPED_S = 300

_NOTES = """\
Ratios are to the first line's, medians of the rounds' ratios: of answers a second, and of answers a second of CPU.
CPU is that of all processes of a peer; where the machine has other work, it says more than rates do. p99 is taken at
{load:.0%} of the peer's rate: the median of the rounds, and of the least disturbed one. All peers answer on core 0 and
write a line an answer. wrk, the shipper and Kafka have the other cores, the shipper at low priority: what comes in a
burst is shipped after it. Its CPU is its own line.
"""


class Sample(NamedTuple):
    """What one run of wrk says of a peer."""

    rate: float  #: answers a second
    cpu_ms: float  #: per 1,000 answers
    p99_ms: float
    answers: int


Samples = dict[str, list[Sample]]


@click.command()
@click.option("--rounds", default=7, show_default=True)
@click.option("--seconds", default=2, show_default=True, help="Per peer and round, and again for its answering time.")
def main(rounds: int, seconds: int) -> None:
    """Measure and print the table."""
    if shutil.which("wrk") is None:
        sys.exit("make bench needs wrk: install your system's package so that 'wrk' is on PATH.")
    if NGINX is None:
        click.echo("nginx is not installed: the ratios to it are missing. Install your system's package.", err=True)
    leave_core()
    with tempfile.TemporaryDirectory() as folder, started(Path(folder)) as peers:
        before_s = sum(peer.shipping_cpu_s() for peer in peers)
        full, paced = _rounds(peers, rounds, seconds)
        click.echo("\rshipping …     ", err=True)
        _wait_shipped(next(peer for peer in peers if peer.shipping))
        shipping_s = sum(peer.shipping_cpu_s() for peer in peers) - before_s
        shipped = [peer.name for peer in peers if peer.shipped]
    answers = sum(each.answers for name in shipped for each in full[name] + paced[name])
    click.echo(_table(full, paced))
    click.echo(f"{'shipper (of ' + ' and '.join(shipped) + ')':58}{shipping_s / answers * 1e6:>14.1f}\n")
    click.echo(_NOTES.format(load=LOAD))


def _rounds(peers: list[Peer], rounds: int, seconds: int) -> tuple[Samples, Samples]:
    """Samples at each peer's full rate, and at `LOAD` of it."""
    full: Samples = {peer.name: [] for peer in peers}
    paced: Samples = {peer.name: [] for peer in peers}
    for number in range(rounds):
        click.echo(f"\rround {number + 1} of {rounds}", nl=False, err=True)
        for peer in peers:
            full[peer.name].append(_sample(peer, seconds))
    for number in range(rounds):
        click.echo(f"\rround {number + 1} of {rounds} at {LOAD:.0%}", nl=False, err=True)
        for peer in peers:
            rate = LOAD * median(each.rate for each in full[peer.name])
            paced[peer.name].append(_sample(peer, seconds, rate))
    return full, paced


def _sample(peer: Peer, seconds: int, at_rate: float = 0) -> Sample:
    """Ask for so long, as fast as it goes or at a rate."""
    before_s = peer.answering_cpu_s()
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "--latency", "-s", str(_LUA)]
    text = subprocess.run(
        [*command, f"http://127.0.0.1:{peer.port}{PATH}"],
        env={**os.environ, "RATE": str(at_rate)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in text or "Socket errors" in text:
        sys.exit(f"not every request was answered by {peer.name}:\n{text}")
    answers = int(_found(r"(\d+) requests in", text))
    cpu_ms = (peer.answering_cpu_s() - before_s) / answers * 1e6
    return Sample(float(_found(r"Requests/sec:\s+([\d.]+)", text)), cpu_ms, _p99_ms(text), answers)


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


def _table(full: Samples, paced: Samples) -> str:
    first = next(iter(full))
    titles = ("answers/s", "ratio", "CPU ms/1,000", "ratio", f"p99 at {LOAD:.0%}", "at best")
    lines = [f"{'on one core':30}" + "".join(f"{title:>14}" for title in titles)]
    for name, samples in full.items():
        rate, cpu_ms = median(each.rate for each in samples), median(each.cpu_ms for each in samples)
        p99_ms = [each.p99_ms for each in paced[name]]
        cells = (
            f"{rate:,.0f}",
            f"{_ratio(full, name, first, 'rate'):.2f}",
            f"{cpu_ms:.1f}",
            f"{_ratio(full, first, name, 'cpu_ms'):.2f}",
            f"{median(p99_ms):.1f} ms",
            f"{min(p99_ms):.1f} ms",
        )
        lines.append(f"{name:30}" + "".join(f"{cell:>14}" for cell in cells))
    rate, cpu = _ratio(full, OURS, FLASK_VIEW, "rate"), _ratio(full, FLASK_VIEW, OURS, "cpu_ms")
    return "\n".join([*lines, f"{f'{OURS} ÷ {FLASK_VIEW}':44}{rate:>14.1f}{'':14}{cpu:>14.1f}"])


def _ratio(samples: Samples, name: str, peer: str, value: str) -> float:
    """The median over the rounds of one peer's value ÷ another's."""
    pairs = zip(samples[name], samples[peer], strict=True)
    return float(median(getattr(one, value) / getattr(other, value) for one, other in pairs))


if __name__ == "__main__":
    main()
