"""`pixeltally demo`: the whole stack, real traffic, and the proof that every hit was counted once."""

import secrets
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from ipaddress import ip_network
from itertools import islice, takewhile
from math import inf
from threading import Event

from local import impressions, recount, terms, traffic
from local.freshness import SAMPLE_S, Freshness
from local.proof import prove, summary
from local.sender import Sender
from local.stack import Failed, Stack
from local.traffic import Request, Wire
from pixeltally.database import connect
from pixeltally.settings import Settings
from pixeltally.signing import sign

PROGRESS_S = 5.0
WATCH_S = 0.1

#: How long a sender that fell behind may go on after its time.
GRACE_S = 5.0


@dataclass(frozen=True)
class Run:
    """One demonstration. Its name marks each of its requests and is the seed of them all."""

    name: str
    rate: float  #: impressions a second
    seconds: float | None  #: None runs until it is stopped

    def requests(self) -> Iterator[Request]:
        """What it sends: the same whenever it is asked."""
        plan = traffic.plan(impressions.read(), self.rate, traffic.block_s(self.seconds), self.name)
        if self.seconds is None:
            return plan
        end_s = self.seconds
        return takewhile(lambda request: request.at_s < end_s, plan)


def run(settings: Settings, rate: float, seconds: float | None) -> int:
    """Run the demonstration; 1 if it was asked for a proof and not every hit sent is counted exactly once."""
    if not settings.trusted_proxies:
        # Visitors' addresses come in X-Forwarded-For, as behind a proxy on this machine.
        settings = replace(settings, trusted_proxies=(ip_network("127.0.0.1"), ip_network("::1")))
    try:
        with Stack(settings) as stack:
            name = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(2)
            return _demonstrate(settings, Run(name, rate, seconds), stack)
    except Failed as failure:
        print(f"pixeltally: {failure}", file=sys.stderr)
        return 1


def _demonstrate(settings: Settings, run: Run, stack: Stack) -> int:
    host = settings.reachable_host
    length = f"for {run.seconds:g} s" if run.seconds else "until Ctrl-C"
    print(f"\nWatch it count: http://{host}:{settings.live_port}/")
    print(f"Sending {run.rate:,g} hits/s {length}, each with demo={run.name} in its params\n", flush=True)
    client = connect(settings)
    terms.set_once(client)
    with Freshness(client, run.name) as freshness:
        wire = Wire(f"{host}:{settings.ingest_port}", run.name, _signing(settings))
        sender = Sender((host, settings.ingest_port), wire, answered=freshness.answered)
        took_s = _send(run, sender, freshness, stack)
        if run.seconds is None:
            return 0
        planned = list(islice(run.requests(), sender.tally.taken))
        window_ms = settings.duplicate_window_s * 1000
        proof = prove(client, run.name, planned, sender.tally, window_ms=window_ms, sleep=stack.wait)
    if proof is None:
        print("\nStopped before everything was counted: nothing is proved.", flush=True)
        return 1
    print(f"\n{summary(proof, sender.tally, took_s, freshness.delays_s)}\n", flush=True)
    return 0 if proof.holds else 1


def _signing(settings: Settings) -> Callable[[str, str], str]:
    key = settings.keys().signing()
    return lambda unit, target: sign(key, unit, target)


def _send(run: Run, sender: Sender, freshness: Freshness, stack: Stack) -> float:
    """Send the run's requests, telling of the progress; the seconds that it took."""
    requests, stop = run.requests(), Event()
    end_s = inf if run.seconds is None else run.seconds + GRACE_S
    began_s = last_s = time.monotonic()
    last = 0
    with ThreadPoolExecutor(1) as pool:
        sending = pool.submit(sender.run, requests, stop)
        while not wait([sending], WATCH_S).done:
            now_s, sent = time.monotonic(), sender.tally.sent
            if stack.stopping or now_s - began_s > end_s:
                stop.set()
            elif now_s - last_s >= PROGRESS_S:
                rate = (sent - last) / (now_s - last_s)
                print(_progress(now_s - began_s, sent, rate, freshness), flush=True)
                last_s, last = now_s, sent
        sending.result()
    return time.monotonic() - began_s


def _progress(elapsed_s: float, sent: int, rate: float, freshness: Freshness) -> str:
    return f"{elapsed_s:5.0f} s {sent:>11,} hits sent {rate:8,.0f} hits/s  {_seen(freshness)}"


def _seen(freshness: Freshness) -> str:
    newest_s = freshness.delays_s[-round(PROGRESS_S / SAMPLE_S) :]
    if not newest_s:
        return "none in ClickHouse yet"
    return f"in ClickHouse {recount.percentile(newest_s, 50):.1f} s after their answer (median)"
