"""Any process of ingest may be killed at any moment: what was answered is counted, once."""

import os
import random
import time
from contextlib import suppress

import psutil
from load import load
from processes import wait_until
from running import processes, running

LONG = bool(os.environ.get("PIXELTALLY_CHAOS"))
KILLS = 20 if LONG else 4
SEED = int(os.environ.get("PIXELTALLY_CHAOS_SEED", "1"))


def test_every_answered_hit_is_counted_once_through_kills_of_ingest(tmp_path, durable):
    draw = random.Random(SEED)
    with running(tmp_path / "data", PIXELTALLY_INGEST_WORKERS="2") as stack:
        with load(stack.ports["INGEST"], "killed") as sent:
            for kill in range(KILLS):
                time.sleep(draw.uniform(0.3, 2))
                victim = choose(stack, draw, kill)
                with suppress(psutil.NoSuchProcess):
                    victim.kill()
                before = len(sent.answered)
                wait_until(lambda before=before: len(sent.answered) > before + 20, "answers after a kill", 60)
        expect_exactly(stack, "killed", sent)


def choose(stack, draw, kill):
    """One of ingest's processes: by turns the shipper, a worker, the master, and any."""
    found = processes(stack, "ingest")
    shippers = [each for each in found if "shipper" in " ".join(each.cmdline())]
    masters = [each for each in found if each.parent() and "up" in each.parent().cmdline()]
    others = [each for each in found if each not in shippers and each not in masters]
    return draw.choice([shippers, others, masters, found][kill % 4] or found)


def expect_exactly(stack, campaign, sent):
    """Every answered number is in ClickHouse once; beyond them only what was sent without an answer, once."""
    rows = f"FROM impressions WHERE campaign = '{campaign}'"

    def all_there():
        with suppress(Exception):
            return stack.query(f"SELECT count() {rows}")[0][0] >= len(sent.answered)

    wait_until(all_there, f"{len(sent.answered)} hits in ClickHouse", 120)
    time.sleep(3)
    numbers = [int(number) for (number,) in stack.query(f"SELECT params['n'] {rows}")]
    assert len(numbers) == len(set(numbers))
    assert sent.answered <= set(numbers) <= sent.answered | sent.failed
    [(gross,)] = stack.query(f"SELECT sum(gross) FROM minutes WHERE campaign = '{campaign}'")
    assert gross == len(numbers)
    print(f"\n{len(sent.answered)} answered, {len(sent.failed)} cut off, {len(numbers)} counted")
