"""Whatever goes wrong, of any kind and at any part, singly or in pairs: what was answered is counted, once.

The short form has a fault of each kind, one upon the other; the long one (`make chaos`) has over 200 and waits after
each until hits come through again. After each round all stages must be the same, and in the end the statement what an
independent recount of the raw log says; in the long form also, byte for byte, what a quiet stack states of the same
requests.
"""

import os
import random
import shutil
import statistics
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import partial

import pytest
from arena import ADDRESS, TIERS, Arena
from disk import require_mount
from faults import Fault, each_kind, restart, schedule
from load import load
from processes import wait_until
from running import ours, running

from pixeltally import archive
from pixeltally.arrival import settle
from pixeltally.database import connect
from pixeltally.errors import Refused
from sinks.reconcile import judge
from sinks.stages import Span

LONG = bool(os.environ.get("PIXELTALLY_CHAOS"))
SEED = int(os.environ.get("PIXELTALLY_CHAOS_SEED", "1"))
FAULTS = int(os.environ.get("PIXELTALLY_CHAOS_FAULTS", "200"))
A_ROUND = 40
AT_ONCE = 5  #: in the short form

NOBODIES = 10  #: requests of a round that ask not to be known

RECOVERED_HITS = 30
PATIENCE_S = 240 if LONG else 150
DAY = time.strftime("%Y-%m-%d", time.gmtime())


@pytest.fixture
def arena(tmp_path, durable):
    require_mount()
    with Arena(tmp_path, tmp_path / "archive") as made:
        yield made


@dataclass
class Suffered:
    """A row of the table."""

    faults: list[Fault]
    recovered_s: float


@pytest.mark.timeout(4000 if LONG else 360)
def test_all_that_was_answered_is_counted_once_whatever_goes_wrong(arena, tmp_path):
    draw, began, rows = random.Random(SEED), time.time(), []
    answered, failed, lost = set(), set(), 0
    for number, of_round in enumerate(rounds(draw)):
        with load(
            arena.doors["front"].port, "chaos", threads=2, pause_s=0.02, first=number * 10**6, click_every=20
        ) as sent:
            suffered = [suffer(arena, faults, sent) for faults in of_round]
            if number == 0 and LONG:
                suffered += [suffer(arena, [rolling(tier)], sent) for tier in TIERS]
        assert {arena.ask("/p/acme/chaos/banner.gif", **{"Sec-GPC": "1"}) for _ in range(NOBODIES)} == {200}
        answered |= sent.answered
        failed |= sent.failed
        rows += suffered
        lost, difference = expect_equal(arena, began, answered, failed)
        assert not lost or any(may_lose(each.faults) for each in rows)
        nobodys = "SELECT count() FROM facts FINAL WHERE campaign = 'chaos' AND visitor = 0"
        assert arena.query(nobodys) == [((number + 1) * NOBODIES,)]
        print(f"round {number}: difference {difference}, {lost} lost", flush=True)
    print(summary(rows))
    print(f"{len(answered):,} answered, {len(failed):,} cut off, {lost:,} lost")
    expect_proved(arena, tmp_path)


def rounds(draw):
    if not LONG:
        yield each_kind(draw, AT_ONCE)
        return
    found, size = [], 0
    for faults in schedule(draw, FAULTS):
        found.append(faults)
        size += len(faults)
        if size >= A_ROUND:
            yield found
            found, size = [], 0
    if found:
        yield found


def rolling(tier):
    """A tier's part of a rolling restart: it is stopped as systemd would, and the next only when it is there again."""

    def begin(arena):
        restart(arena, tier)
        return lambda: None

    return Fault("rolling restart", tier, 0, begin)


def suffer(arena, faults, sent):
    """Have faults happen at once, end them, and wait until hits come through."""
    ends = [fault.begin(arena) for fault in faults]
    time.sleep(max(fault.lasts_s for fault in faults))
    for end in ends:
        end()
    ended, last = time.monotonic(), max(sent.answered | sent.failed, default=0) + 10
    new = f"campaign = 'chaos' AND ts > now() - 600 AND toUInt32OrZero(params['n']) > {last}"
    try:
        wait_until(
            lambda: arena.has(f"SELECT uniqExact(id) >= {RECOVERED_HITS} FROM facts WHERE {new}"),
            f"hits after {[(fault.kind, fault.part) for fault in faults]}",
            PATIENCE_S,
        )
    except AssertionError:
        print(arena.log.read_text()[-20_000:])
        raise
    suffered = Suffered(faults, time.monotonic() - ended)
    print(row(suffered), flush=True)
    return suffered


def may_lose(faults):
    """Lines that wait in ingest's memory for room in the spool are lost, and counted so, with its processes."""
    happened = {(fault.kind, fault.part) for fault in faults}
    ends = {(kind, part) for kind in ("kill", "restart") for part in ("ingest", "worker")}
    return ("full disk", "ingest") in happened and not ends.isdisjoint(happened)


def expect_equal(arena, began, answered, failed):
    """All stages have the same, and ClickHouse what was answered: how many are told lost, and what else differs."""
    rest(arena)
    span = Span(int(began) // 900 * 900 - 900, int(time.time()) // 900 * 900 + 1800)
    until = time.monotonic() + PATIENCE_S
    while True:
        found = judge(arena.settings, connect(arena.settings), span, span.end)
        others = [each for each in found.differences if each.one != "answered"]
        lost = sum(each.size for each in found.differences) - sum(each.size for each in others)
        if (not others and lost == found.counts["lost"]) or time.monotonic() > until:
            break
        time.sleep(1)
    assert others == [], "\n".join(map(str, others))
    assert lost == found.counts["lost"]
    assert found.unaccounted == 0
    rows = arena.query("SELECT toUInt32(params['n']) FROM facts FINAL WHERE campaign = 'chaos' AND visitor != 0")
    counted = {number for (number,) in rows}
    assert len(rows) == len(counted)
    assert counted <= answered | failed
    assert len(answered - counted) <= lost
    letters = "SELECT count() FROM dead_letters FINAL WHERE startsWith(origin, 'pixeltally.hits/')"
    assert arena.query(letters) == [(arena.poisoned,)]
    return lost, found.difference - lost


def rest(arena):
    """Have ingest close its segments, as it does when it is restarted, and wait until all is in ClickHouse."""
    restart(arena, "ingest")
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            settle(arena.settings)
            return
        except Refused:
            assert time.monotonic() < until, f"the tiers don't come to rest; {arena.log} has what was said"


def expect_proved(arena, folder):
    """The statement is what the raw log says; in the long form also what a quiet stack makes of it."""
    restart(arena, "sink")  # it archives the order when it stops
    run = partial(ours, arena.environ)
    made, again = folder / "made.json", folder / "again.json"
    stated(run, made)
    checked = run("verify", str(made), "--segments", str(arena.archive))
    assert checked.returncode == 0, checked.stdout
    assert "every number is the same" in checked.stdout
    lines = [line for line in archived(arena.archive) if b'"gpc":"1"' in line]
    assert len(lines) >= NOBODIES
    assert not any(ADDRESS.encode() in line for line in lines)
    if not LONG:
        return
    quiet = folder / "quiet"
    quiet.mkdir()
    shutil.copy(arena.data / "statement.key", quiet)
    with running(quiet, PIXELTALLY_ARCHIVE=str(arena.archive), PIXELTALLY_GPC="anonymous") as stack:
        quietly = partial(ours, stack.environ)
        assert quietly("restore").returncode == 0
        assert stated(quietly, again) == made.read_bytes()


def archived(root):
    """All lines of requests in an archive."""
    for name in archive.logs(root, archive.REQUESTS):
        for entry, _ in archive.entries(root, name):
            yield from b"".join(archive.pieces(root, entry)).splitlines()


def stated(run, path):
    done = run("statement", "acme/chaos", "--from", DAY, "--to", DAY, "--out", str(path))
    assert done.returncode == 0, done.stderr
    return path.read_bytes()


def row(suffered):
    what = " + ".join(f"{fault.kind}{fault.how} {fault.part}" for fault in suffered.faults)
    lasted = max(fault.lasts_s for fault in suffered.faults)
    return f"{what:60}{lasted:>6.1f} s{suffered.recovered_s:>10.1f} s"


def summary(rows):
    """Of each kind: how many, and how long until hits came through again; pairs count under both of their kinds."""
    kinds = defaultdict(list)
    for each in rows:
        for fault in each.faults:
            kinds[fault.kind].append(each.recovered_s)
    lines = [f"{'kind':24}{'faults':>8}{'median':>10}{'longest to recover':>22}"]
    for kind, took in sorted(kinds.items()):
        lines.append(f"{kind:24}{len(took):>8}{statistics.median(took):>8.1f} s{max(took):>20.1f} s")
    total = sum(map(len, kinds.values()))
    return "\n".join([*lines, f"{total} faults"])
