"""What can go wrong, of each kind and at each part, and in which order it does: drawn from a seed."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import psutil
from arena import Arena
from confluent_kafka import Producer
from processes import wait_until

from pixeltally import topics

#: Parts whose processes can be killed, stand still, and be restarted.
PARTS = ("ingest", "worker", "shipper", "streams", "sink", "clickhouse", "broker")

#: What can be cut off, and the doors that lead there.
WAYS = {
    "ingest": ("front",),
    "shipper": ("shipper",),
    "streams": ("streams",),
    "sink": ("sink", "clickhouse"),
    "clickhouse": ("clickhouse",),
    "broker": ("shipper", "streams", "sink"),
}
DISKS = {"ingest": "spool", "clickhouse": "clickhouse", "broker": "kafka"}
STEPS_S = (-20, -5, 5, 20, 65)
DELAY_S = 0.4
POISON = 2000
STOP_S = 15.0

#: So many of 100 faults are of this kind; pairs are two at once of the first four.
SHARES = {"kill": 22, "stall": 16, "restart": 14, "cut": 20, "full disk": 10, "clock": 8, "slow": 4, "poison": 4}
PAIRED = ("kill", "stall", "restart", "cut")
PAIRS_PERCENT = 60


@dataclass
class Fault:
    """Something that goes wrong for `lasts_s`; `begin` gives what ends it."""

    kind: str
    part: str
    lasts_s: float
    begin: Callable[[Arena], Callable[[], object]]
    how: str = ""


def schedule(draw: random.Random, count: int) -> Iterator[list[Fault]]:
    """Faults, `count` in all, one or two at a time: first each kind at each part, then what is drawn."""
    each = [(kind, part) for kind in SHARES for part in parts(kind)]
    draw.shuffle(each)
    while count > 0:
        kind, part = each.pop() if each else _drawn(draw)
        found = [fault(draw, kind, part)]
        if count > 1 and kind in PAIRED and draw.random() * 100 < PAIRS_PERCENT:
            other = draw.choice(PAIRED)
            found.append(fault(draw, other, draw.choice([each for each in parts(other) if each != part])))
        count -= len(found)
        yield found


def each_kind(draw: random.Random, at_once: int) -> list[list[Fault]]:
    """A fault of each kind, at parts that are drawn, and kills of what answers and of what ships; so many at once."""
    asked = [*((kind, draw.choice(parts(kind))) for kind in SHARES), ("kill", "worker"), ("kill", "shipper")]
    draw.shuffle(asked)
    found = [fault(draw, kind, part) for kind, part in asked]
    return [found[first : first + at_once] for first in range(0, len(found), at_once)]


def _drawn(draw: random.Random) -> tuple[str, str]:
    [kind] = draw.choices([*SHARES], [*SHARES.values()])
    return kind, draw.choice(parts(kind))


def parts(kind: str) -> tuple[str, ...]:
    """The parts that a kind of fault can happen to."""
    if kind in ("kill", "stall", "restart"):
        return PARTS
    return {
        "cut": tuple(WAYS),
        "full disk": tuple(DISKS),
        "clock": ("ingest", "streams", "sink"),
        "slow": ("clickhouse",),
        "poison": ("broker",),
    }[kind]


def fault(draw: random.Random, kind: str, part: str) -> Fault:
    """A fault of this kind; how long and how much is drawn."""
    lasts_s, which = draw.uniform(1, 3), draw.random()
    step_s, how = draw.choice(STEPS_S), ""
    if kind == "stall":  # for longer, now and then, than a group waits for its member
        lasts_s = draw.choice([lasts_s] * 5 + [8.0])
    if kind == "cut":
        how = ", silent" if which < 0.5 else ", reset"
    if kind == "clock":
        lasts_s, how = 4.0, f" {step_s:+d} s"
    begin: dict[str, Callable[[Arena], Callable[[], object]]] = {
        "kill": lambda arena: _killed(arena, part, which),
        "restart": lambda arena: _stopped(arena, part),
        "stall": lambda arena: _stalled(arena, part),
        "cut": lambda arena: _cut(arena, part, silent=which < 0.5),
        "full disk": lambda arena: _full(arena, DISKS[part]),
        "clock": lambda arena: _stepped(arena, part, step_s),
        "slow": _slow,
        "poison": lambda arena: _poisoned(arena, which),
    }
    return Fault(kind, part, 0 if kind in ("kill", "restart", "poison") else lasts_s, begin[kind], how)


def restart(arena: Arena, part: str) -> None:
    """Have it end as systemd would, and wait until there is another one."""
    before = {each.pid for each in arena.processes(part)}
    _stopped(arena, part)()
    wait_until(lambda: {each.pid for each in arena.processes(part)}.isdisjoint(before), f"another {part}", 90)


def _killed(arena: Arena, part: str, which: float) -> Callable[[], object]:
    """Kill one of a part's processes."""
    found = arena.processes(part)
    with suppress(psutil.NoSuchProcess):
        found[int(which * len(found))].kill()
    return lambda: None


def _stopped(arena: Arena, part: str) -> Callable[[], object]:
    """Ask a part to end; who does not within the time that supervisord gives is killed, as it does."""
    first = arena.processes(part)[0]
    with suppress(psutil.NoSuchProcess):
        first.terminate()

    def insist() -> None:
        try:
            first.wait(STOP_S)
        except psutil.TimeoutExpired:
            first.kill()

    return insist


def _stalled(arena: Arena, part: str) -> Callable[[], object]:
    still = arena.processes(part)
    for each in still:
        with suppress(psutil.NoSuchProcess):
            each.suspend()

    def go_on() -> None:
        for each in still:
            with suppress(psutil.NoSuchProcess):
                each.resume()

    return go_on


def _cut(arena: Arena, part: str, silent: bool) -> Callable[[], object]:
    doors = [arena.doors[name] for name in WAYS[part]]
    for door in doors:
        door.hold() if silent else door.refuse()
    return lambda: [door.open() for door in doors]


def _full(arena: Arena, name: str) -> Callable[[], object]:
    disk = arena.disks[name]
    disk.fill()

    def free() -> None:
        disk.free()
        if name == "spool":  # lines that wait for room are written within a second: a kill before that would be at once
            time.sleep(1.5)

    return free


def _stepped(arena: Arena, part: str, step_s: int) -> Callable[[], object]:
    clock = arena.clocks[part]
    clock.step(step_s)
    return lambda: clock.step(0)


def _slow(arena: Arena) -> Callable[[], object]:
    door = arena.doors["clickhouse"]
    door.delay(DELAY_S)
    return door.open


def _poisoned(arena: Arena, seed: float) -> Callable[[], object]:
    """Lines that are no hits, written into Kafka by somebody else."""
    producer = Producer({"bootstrap.servers": arena.settings.kafka_servers, "enable.idempotence": True})
    draw, sent = random.Random(seed), 0
    while sent < POISON:
        lines = [b"{" + draw.randbytes(draw.randrange(40)).replace(b"\n", b"") for _ in range(50)]
        producer.produce(topics.HITS, b"\n".join(lines), partition=draw.randrange(arena.settings.partitions))
        sent += len(lines)
    assert producer.flush(30) == 0
    arena.poisoned += sent
    return lambda: None
