"""How fast hits are counted: `make bench`, or `python -m bench.streams [--rounds N] [--most HITS] [--seconds S]`.

Workers of `pixeltally streams` run as their users run them, hits in Kafka to facts and minutes in Kafka; hits are as
ingest ships them (`bench/hits.py`). The peers work on the same hits, from the same broker, in the same run.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import click
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from bench import engines, scaling, workers
from bench.hits import UNITS, VISITORS
from bench.processes import CORE, free_port, leave_core, running
from bench.table import Row, say
from pixeltally.packed import MESSAGE_LINES

OURS = "pixeltally streams"

PEERS_HITS = 300_000

#: Bursts that a worker is measured for, behind its first.
AT_WORK = 4

_NOTES = f"""\
Hits: {VISITORS:,} visitors, Zipf-like, {UNITS} ad units, {MESSAGE_LINES:,} lines a message, four partitions. Per core:
by CPU seconds of the process, all its threads included; wall: until the last fact was in Kafka. One worker, as each
peer, is alone on core {CORE}; Kafka and this program have the others. All hits are in Kafka before a worker sees the
first, a million at a time. As the peers, a worker has been at work when it is measured: for {AT_WORK} million hits
behind its first million, of visitors who are all new, which stands apart. Idiomatic Faust counts windows and uniques,
no more; Quix Streams also marks duplicates and writes facts; neither joins clicks. The peers take one hit a message,
with the ad unit for its key.
"""


@click.command()
@click.option("--rounds", default=1, show_default=True, help="Of ours and each peer, one after the other.")
@click.option("--seconds", default=5, show_default=True, help="That a peer is measured for, per round.")
@click.option(
    "--most",
    default=3_000_000,
    show_default=True,
    help="Hits in the largest set of windows; 100,000,000 take 23 GB of disk.",
)
def main(rounds: int, seconds: int, most: int) -> None:
    """Measure and print the table."""
    leave_core()
    if not engines.QUIX.exists():
        click.echo(f"{engines.QUIX} is missing: no ratio to Quix Streams. `make bench` sets it up.", err=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with _broker(folder) as servers:
            say("making hits …")
            hits = scaling.bursts(1 + AT_WORK)
            ours, rows = _against_peers(servers, folder, hits, rounds, seconds)
            rows += scaling.small_messages(servers, folder, hits[0])
            rows += scaling.curve(servers, folder, most)
            rows += scaling.two_workers(servers, folder, ours)
            rows += scaling.recovery(servers, folder)
    say("")
    click.echo("\n".join(map(str, [Row("", "measured", "ratio", "goal"), *rows])) + "\n")
    click.echo(_NOTES)


@contextmanager
def _broker(folder: Path) -> Iterator[str]:
    port = str(free_port())
    environ = {**os.environ, "PIXELTALLY_DATA": str(folder), "PIXELTALLY_KAFKA_PORT": port}
    servers = f"127.0.0.1:{port}"
    with running([sys.executable, "-m", "pixeltally", "broker"], environ) as process:
        admin = AdminClient({"bootstrap.servers": servers, "log_level": 0})
        while process.poll() is None:
            try:
                admin.list_topics(timeout=1)
                break
            except KafkaException:
                time.sleep(0.1)
        else:
            sys.exit("the broker did not start")
        yield servers


def _against_peers(
    servers: str, folder: Path, hits: list[scaling.Messages], rounds: int, seconds: int
) -> tuple[workers.Burst, list[Row]]:
    engines.fill(servers, [value for _, value in hits[0][: PEERS_HITS // MESSAGE_LINES]])
    peers = engines.engines(servers, folder)
    cold: list[workers.Burst] = []
    ours: list[workers.Burst] = []
    theirs: dict[engines.Engine, list[engines.Speed]] = {peer: [] for peer in peers}
    for number in range(rounds):
        say(f"round {number + 1} of {rounds}: {OURS} …")
        with workers.started(servers, folder) as crew:
            first, *others = (crew.take(burst, scaling.BURST_HITS) for burst in hits)
        cold.append(first)
        ours.append(workers.Burst(*map(sum, zip(*others, strict=True))))
        for peer in peers:
            say(f"round {number + 1} of {rounds}: {peer.name} …")
            theirs[peer].append(engines.measure(servers, peer, PEERS_HITS, seconds, folder / "peer.log"))
    best = max(ours, key=lambda each: each.rate)
    rows = [
        Row(f"{OURS}, hits/s/core", f"{median(each.per_core for each in ours):,.0f}", "", "≥ 300,000"),
        Row(f"{OURS}, hits/s by wall", f"{best.rate:,.0f}"),
        Row(f"{OURS}, its first {scaling.BURST_HITS:,} hits", f"{median(each.per_core for each in cold):,.0f}"),
    ]
    for peer, speeds in theirs.items():
        ratio = median(our.per_core / its.per_core for our, its in zip(ours, speeds, strict=True))
        value = median(each.per_core for each in speeds)
        rows.append(Row(f"{peer.name}, hits/s/core", f"{value:,.0f}", f"ours × {ratio:,.1f}", f"≥ × {peer.goal}"))
    return best, rows


if __name__ == "__main__":
    main()
