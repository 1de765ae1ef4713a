"""How the streams tier's cost grows: with hits, with workers, and with visitors that are remembered."""

import os
import time
from collections.abc import Iterator
from itertools import islice, takewhile
from pathlib import Path
from statistics import median

from bench import shares, workers
from bench.hits import Traffic, again
from bench.table import Row, say
from bench.workers import Burst
from pixeltally.packed import MESSAGE_LINES

#: A burst, and the time that its hits took to come: some minutes close while it is counted.
BURST_HITS = 1_000_000
BURST_MS = 300_000

#: One set of windows, from the start of a minute: none of it closes meanwhile.
WINDOWS_MS = 110_000

#: Where the curve's parts end.
DECADES = (100_000, 1_000_000, 10_000_000)

#: What each of two workers gets of a core: Kafka, which they share two cores with, then waits for none of them.
SHARE = 0.25

#: So often one and two take turns: a machine is seldom as fast as a minute ago.
TURNS = 7

OPEN_VISITORS = 1_000_000

#: So many messages are taken apart, line by line.
SMALL_MESSAGES = 20

_MINUTE_MS = 60_000

Messages = list[tuple[int, bytes]]


def bursts(count: int) -> list[Messages]:
    """So many bursts' hits, the last of them of some minutes ago: each of the minutes after those of the one before."""
    traffic, start_ms = Traffic(), _now_ms() - (count + 1) * BURST_MS
    return [list(traffic.messages(BURST_HITS, start_ms + number * BURST_MS, BURST_MS)) for number in range(count)]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def curve(servers: str, folder: Path, most: int) -> list[Row]:
    """Cost per hit, decade by decade, of `most` hits in one set of windows, in order of time."""
    rows, hits = [], _one_set_of_windows(most)
    with workers.started(servers, folder) as crew:
        done, first = 0, 0.0
        for end in [*takewhile(lambda end: end < most, DECADES), most]:
            say(f"curve: {end:,} hits …")
            cpu_s, count = 0.0, end - done
            while done < end:
                part = list(islice(hits, -(-min(BURST_HITS, end - done) // MESSAGE_LINES)))
                burst = crew.take(part, _count(part))
                done, cpu_s = done + burst.hits, cpu_s + burst.cpu_s
            cost_us = 1e6 * cpu_s / count
            first = first or cost_us
            what, memory = f"CPU a hit, up to {end:,} hits in one set of windows", crew.rss_bytes() >> 20
            rows.append(Row(what, f"{cost_us:.2f} µs", f"× {cost_us / first:.2f}, {memory:,} MiB", "× 1"))
    return rows


def _one_set_of_windows(count: int) -> Iterator[tuple[int, bytes]]:
    """Hits made on the way; each further million comes from another node."""
    start_ms = (_now_ms() // _MINUTE_MS - 4) * _MINUTE_MS
    rounds = -(-count // BURST_HITS)
    span_ms = WINDOWS_MS // rounds
    hits = list(Traffic().messages(BURST_HITS, start_ms, span_ms))
    yield from hits
    for number in range(1, rounds):
        for place, value in hits:
            yield place, again(value, number, number * span_ms)


def _count(messages: Messages) -> int:
    return sum(value.count(b"\n") + 1 for _, value in messages)


def two_workers(servers: str, folder: Path, one: Burst) -> list[Row]:
    """Two workers against one, in turns: each held to the same share of a core, so that Kafka has what it needs.

    Where no process can be held to a share: two on any core, against `one` alone on its core.
    """
    first, second = bursts(2)
    middle = len(first) // 2
    parts = first[:middle], first[middle:], second[:middle]

    def take(count: int, share: float | None) -> list[Burst]:
        say(f"workers: {count} …")
        with workers.started(servers, folder, count, share=share) as crew:
            return [crew.take(part, _count(part)) for part in parts][1:]

    if shares.can_hold():
        how, goal = f", {SHARE:.0%} of a core each", "≥ × 1.8"
        turns = [(take(1, SHARE), take(2, SHARE)) for _ in range(TURNS)]
    else:
        how, goal = "", "≥ × 1.8" if (os.cpu_count() or 1) > 2 else "(no 2 free)"
        turns = [([one], take(2, None))]
    rates = [[median(burst.rate for burst in each) for each in turn] for turn in turns]
    costs = [[median(burst.per_core for burst in each) for each in turn] for turn in turns]
    faster, dearer = (median(two / one for one, two in each) for each in (rates, costs))
    rate, together, per_core = (median(each) for each in (*zip(*rates, strict=True), [two for _, two in costs]))
    return [
        Row(f"one worker{how}, hits/s by wall", f"{rate:,.0f}"),
        Row(f"two workers{how}, hits/s by wall", f"{together:,.0f}", f"one × {faster:.2f}", goal),
        Row("two workers, hits/s/core", f"{per_core:,.0f}", f"one × {dearer:.2f}", "≥ × 0.9"),
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
