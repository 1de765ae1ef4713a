"""How the streams tier's cost grows: with hits, with workers, and with visitors that are remembered."""

import os
import time
from pathlib import Path

from bench import workers
from bench.hits import MESSAGE_LINES, Traffic, again
from bench.table import Row, say
from bench.workers import Burst

#: A burst, and the time that its hits took to come: some minutes close while it is counted.
BURST_HITS = 1_000_000
BURST_MS = 300_000

#: One set of windows, from the start of a minute: none of it closes meanwhile.
WINDOWS_MS = 110_000

OPEN_VISITORS = 1_000_000

#: So many messages are taken apart, line by line.
SMALL_MESSAGES = 20

_MINUTE_MS = 60_000

Messages = list[tuple[int, bytes]]


def bursts() -> tuple[Messages, Messages]:
    """The hits of some minutes, and of the minutes after."""
    traffic, start_ms = Traffic(), _now_ms() - 3 * BURST_MS
    first = list(traffic.messages(BURST_HITS, start_ms, BURST_MS))
    return first, list(traffic.messages(BURST_HITS, start_ms + BURST_MS, BURST_MS))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def curve(servers: str, folder: Path, most: int) -> list[Row]:
    """Cost per hit, the more of them one set of windows holds; each further million comes from another node."""
    start_ms = (_now_ms() // _MINUTE_MS - 4) * _MINUTE_MS
    hits = list(Traffic().messages(BURST_HITS, start_ms, WINDOWS_MS))
    few = BURST_HITS // 10 // MESSAGE_LINES
    with workers.started(servers, folder) as crew:
        say(f"curve: {BURST_HITS // 10:,} hits …")
        parts = [(crew.take(hits[:few], _count(hits[:few])), crew.rss_bytes())]
        say(f"curve: {BURST_HITS:,} hits …")
        parts.append((crew.take(hits[few:], _count(hits[few:])), crew.rss_bytes()))
        millions = most // BURST_HITS
        if millions > 1:
            say(f"curve: {most:,} hits …")
            rest = ((place, again(value, number)) for number in range(1, millions) for place, value in hits)
            parts.append((crew.take_meanwhile(rest, (millions - 1) * BURST_HITS), crew.rss_bytes()))
    rows, so_far, first = [], 0, parts[0][0]
    for part, memory in parts:
        so_far += part.hits
        what, cost = f"CPU a hit, up to {so_far:,} hits in one set of windows", f"{1e6 / part.per_core:.2f} µs"
        rows.append(Row(what, cost, f"× {first.per_core / part.per_core:.2f}, {memory >> 20:,} MiB", "× 1"))
    return rows


def _count(messages: Messages) -> int:
    return sum(value.count(b"\n") + 1 for _, value in messages)


def two_workers(servers: str, folder: Path, one: Burst) -> list[Row]:
    """Two workers, on any core, against `one` alone on its core."""
    say("two workers …")
    first, hits = bursts()
    with workers.started(servers, folder, 2) as crew:
        crew.take(first, BURST_HITS)
        two = crew.take(hits, BURST_HITS)
    free = (os.cpu_count() or 1) > 2
    return [
        Row(
            "two workers, hits/s by wall",
            f"{two.rate:,.0f}",
            f"one × {two.rate / one.rate:.2f}",
            "≥ × 1.8" if free else "(no 2 free)",
        ),
        Row("two workers, hits/s/core", f"{two.per_core:,.0f}", f"one × {two.per_core / one.per_core:.2f}", "≥ × 0.9"),
    ]


def small_messages(servers: str, folder: Path, hits: Messages) -> list[Row]:
    """What a message costs that holds one hit, as at low traffic."""
    say("messages of one line …")
    lines = [(place, line) for place, value in hits[:SMALL_MESSAGES] for line in value.split(b"\n")]
    with workers.started(servers, folder) as crew:
        small = crew.take(lines, len(lines))
    return [Row("CPU a message of one line", f"{1e6 / small.per_core:.0f} µs")]


def recovery(servers: str, folder: Path) -> list[Row]:
    """A worker takes up what another has counted of a million visitors, and goes on: after SIGTERM, after SIGKILL."""
    say(f"recovery: {OPEN_VISITORS:,} visitors …")
    traffic = Traffic(OPEN_VISITORS, each_once=True)
    hits = list(traffic.messages(OPEN_VISITORS, _now_ms() - WINDOWS_MS, WINDOWS_MS))
    with workers.started(servers, folder) as crew:
        idle = crew.rss_bytes()
        crew.take(hits, OPEN_VISITORS)
        held = crew.rss_bytes() - idle
    taken_up_s = []
    for how in ("SIGTERM", "kill -9"):
        say(f"recovery after {how} …")
        more = 4 * MESSAGE_LINES
        workers.hand_in(servers, traffic.messages(more, _now_ms() - 1000, 1000))
        began_ms = _now_ms()
        with workers.started(servers, folder, fresh=False) as crew:
            taken_up_s.append((crew.await_facts(more) - began_ms) / 1000)
            restored = crew.rss_bytes() - idle
            crew.kill()
    after_stop_s, after_kill_s = taken_up_s
    who = f"{OPEN_VISITORS:,} open visitors"
    return [
        Row(f"caught up, {who}, after kill -9", f"{after_kill_s:.1f} s", "", "< 10 s"),
        Row(f"caught up, {who}, after SIGTERM", f"{after_stop_s:.1f} s", "", "< 10 s"),
        Row(f"memory of {who}", f"{held / 2**20:,.0f} MiB", f"idle {idle / 2**20:,.0f} MiB"),
        Row("the same, taken up", f"{restored / 2**20:,.0f} MiB"),
    ]
