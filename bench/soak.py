"""An hour of traffic on a whole stack: does memory, open files or disk grow? `make soak`, or `python -m bench.soak`.

First it sends as fast as it can for a while: what is then counted a second, from the first request until the last
one is in ClickHouse, is what the machine can do. Then it sends a share of that, steadily, and looks at every process.
What was sent must be what is counted, no process may have been started again, and memory, open files and spool must be
flat.
"""

import json
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from threading import Event

import click
import clickhouse_connect

from bench import soak_report
from bench.soak_report import Sample
from bench.soak_watch import Watch
from local import impressions, traffic
from local.preflight import free_port
from local.sender import Sender, Tally
from local.stack import Stack
from pixeltally.settings import Settings
from pixeltally.signing import sign

#: Ports of the stack, which may run beside another.
PORTS = ("ingest_port", "live_port", "kafka_port", "clickhouse_port")

#: More than any machine can do, so that every request is due at once; and how long it is sent.
FLAT_OUT = 50_000.0
FLAT_OUT_S = 20.0

#: Streams remember what arrived in this or the span before. By default they do so for half an hour, and would come to
#: their full size only when the soak ends.
SPAN_S = 300

SAMPLE_S = 10.0
ARRIVAL_S = 300.0


@click.command()
@click.option("--minutes", default=60.0, show_default=True)
@click.option("--percent", default=30.0, show_default=True, help="Share of what the machine can do.")
@click.option("--out", type=click.Path(path_type=Path), help="File that samples are written to, as JSON lines.")
def main(minutes: float, percent: float, out: Path | None) -> None:
    """Run it, print the figures, and exit with 1 where anything is not flat."""
    with tempfile.TemporaryDirectory(prefix="pixeltally-soak-") as name:
        settings = _settings(Path(name))
        with Stack(settings) as stack:
            most = _most(settings)
            rate = most * percent / 100
            click.echo(f"\n100 % is {most:,.0f} hits/s; sending {rate:,.0f} hits/s for {minutes:g} min\n")
            samples = _soak(settings, rate, minutes * 60, stack.wait, out)
            report, flat = soak_report.report(samples)
            click.echo(report)
    sys.exit(not flat)


def _settings(folder: Path) -> Settings:
    settings = Settings.from_env()
    ports = dict.fromkeys(PORTS, 0) | {name: free_port("127.0.0.1") for name in PORTS}
    return replace(
        settings,
        **ports,  # type: ignore[arg-type]
        data=folder / "data",
        archive=str(folder / "archive"),
        attribution_window_s=SPAN_S,
        trusted_proxies=(ip_network("127.0.0.1"),),
    )


def _most(settings: Settings) -> float:
    """Hits a second that the stack counts when it is sent more."""
    began = time.monotonic()
    tally = _send(settings, FLAT_OUT, FLAT_OUT_S, lambda _: False, lambda _: None)
    _await(settings, tally.answered)
    return tally.answered / (time.monotonic() - began)


def _soak(
    settings: Settings, rate: float, seconds: float, sleep: Callable[[float], bool], out: Path | None
) -> list[Sample]:
    """Send for so long; what was seen meanwhile."""
    watch, before = Watch(settings), _counted(settings)
    samples = [watch.sample(0)]

    def look(tally: Tally) -> None:
        samples.append(watch.sample(tally.answered))
        if out:
            with out.open("a") as file:
                file.write(json.dumps(samples[-1]._asdict()) + "\n")

    tally = _send(settings, rate, seconds, sleep, look)
    _await(settings, before + tally.answered)
    samples.append(watch.sample(tally.answered))
    counted = _counted(settings) - before
    click.echo(f"answered {tally.answered:,}, counted {counted:,}, unanswered {len(tally.unknown):,}")
    if not tally.answered <= counted <= tally.answered + len(tally.unknown):
        sys.exit("what was sent is NOT what was counted")
    return samples


def _send(
    settings: Settings, rate: float, seconds: float, sleep: Callable[[float], bool], look: Callable[[Tally], None]
) -> Tally:
    """Send at a rate for so long, looking every `SAMPLE_S`; the tally."""
    host, name = settings.reachable_host, f"soak-{secrets.token_hex(2)}"
    key = settings.keys().signing()
    wire = traffic.Wire(f"{host}:{settings.ingest_port}", name, lambda unit, target: sign(key, unit, target))
    sender, stop = Sender((host, settings.ingest_port), wire), Event()
    plan = traffic.plan(impressions.read(), rate, min(10.0, seconds), name)
    until = time.monotonic() + seconds
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(sender.run, plan, stop)
        try:
            while time.monotonic() < until and not sleep(0.0):
                if wait([sending], min(SAMPLE_S, max(0.0, until - time.monotonic()))).done:
                    break
                look(sender.tally)
        finally:
            stop.set()
        sending.result()
    return sender.tally


def _await(settings: Settings, hits: int) -> None:
    until = time.monotonic() + ARRIVAL_S
    while _counted(settings) < hits:
        if time.monotonic() > until:
            sys.exit(f"only {_counted(settings):,} of {hits:,} hits were counted {ARRIVAL_S:.0f} s after the last")
        time.sleep(0.5)


def _counted(settings: Settings) -> int:
    client = clickhouse_connect.get_client(dsn=settings.clickhouse, database="pixeltally")
    try:
        return int(client.query("SELECT uniqExact(id) FROM facts").result_rows[0][0])
    finally:
        client.close()


if __name__ == "__main__":
    main()
