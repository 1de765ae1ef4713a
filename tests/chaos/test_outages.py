"""Kafka may be away for as long as the spool has room: every request is answered, and counted later, in order."""

import os
import signal
import threading
import time
from collections import defaultdict
from contextlib import suppress

import psutil
import pytest
from load import load
from processes import wait_until
from running import processes, running
from topic_lines import consume

from pixeltally import topics

IS_LONG = bool(os.environ.get("PIXELTALLY_CHAOS"))
AWAY_S = 120 if IS_LONG else 10
MAX_GROWTH_BYTES = 50 * 1024 * 1024


@pytest.mark.timeout(AWAY_S + 400)
@pytest.mark.parametrize("how", ["hung", "stopped"] if IS_LONG else ["hung"])
def test_kafka_away_costs_no_hit_no_memory_and_no_order(tmp_path, durable, start_broker, how):
    folder = tmp_path / "kafka"
    broker, servers = start_broker(folder)
    with running(tmp_path / "data", PIXELTALLY_KAFKA=servers) as stack:
        with load(stack.ports["INGEST"], how) as sent:
            time.sleep(3)
            ours = {process.pid: process for process in processes(stack, "ingest")}
            before = memory(ours)
            peak, watching = dict(before), threading.Event()
            watcher = threading.Thread(target=watch, args=(ours, peak, watching))
            watcher.start()
            bring_back = take_away(broker, servers, folder, how, start_broker)
            time.sleep(AWAY_S)
            bring_back()
            time.sleep(5)
            watching.set()
            watcher.join()
        assert not sent.failed
        assert {process.pid for process in processes(stack, "ingest")} == set(ours), "none of ingest has ended"
        growth = {pid: (peak[pid] - before[pid]) >> 20 for pid in ours}
        print(f"\n{how} for {AWAY_S} s: memory of ingest's processes grew by {sorted(growth.values())} MiB")
        assert all(peak[pid] - before[pid] < MAX_GROWTH_BYTES for pid in ours)
        expect_exactly(stack, how, sent)
        expect_order(servers)


def take_away(broker, servers, folder, how, start_broker):
    """Take Kafka away; return what brings it back."""
    group = [process for process in psutil.process_iter(["cmdline"]) if is_of(process, broker.pid)]
    if how == "hung":
        for process in group:
            process.send_signal(signal.SIGSTOP)
        return lambda: [process.send_signal(signal.SIGCONT) for process in group]
    broker.terminate()
    broker.communicate(timeout=60)
    return lambda: start_broker(folder, int(servers.rpartition(":")[2]))


def is_of(process, pid):
    with suppress(psutil.Error):
        return process.pid == pid or pid in {parent.pid for parent in process.parents()}
    return False


def watch(ours, peak, stop):
    while not stop.wait(0.5):
        for pid, size in memory(ours).items():
            peak[pid] = max(peak[pid], size)


def memory(ours):
    return {pid: process.memory_info().rss for pid, process in ours.items()}


def expect_exactly(stack, campaign, sent):
    """Every answered number is in ClickHouse once; beyond them only what was sent without an answer, once."""
    rows = f"FROM impressions WHERE campaign = '{campaign}'"

    def all_there():
        with suppress(Exception):
            return stack.query(f"SELECT count() {rows}")[0][0] >= len(sent.answered)

    wait_until(all_there, f"{len(sent.answered)} hits in ClickHouse", 240)
    time.sleep(3)
    numbers = [int(number) for (number,) in stack.query(f"SELECT params['n'] {rows}")]
    assert len(numbers) == len(set(numbers))
    assert sent.answered <= set(numbers) <= sent.answered | sent.failed
    [(gross,)] = stack.query(f"SELECT sum(gross) FROM minutes WHERE campaign = '{campaign}'")
    assert gross == len(numbers)
    print(f"\n{len(sent.answered)} answered, {len(sent.failed)} cut off, {len(numbers)} counted")


def expect_order(servers):
    """In the topic, each visitor's hits of a node stand in the order of their `seq`, repeats aside."""
    last, seen = defaultdict(int), set()
    for hit in consume(servers, topics.HITS):
        place = (hit["node"], hit["seq"])
        if place not in seen:
            seen.add(place)
            assert hit["seq"] > last[hit["node"], hit["visitor"]]
            last[hit["node"], hit["visitor"]] = hit["seq"]
    assert seen
