"""The ingest tier's processes: they stop without losing what they answered, and are started again when they die."""

import http.client
import re
import threading
import time
import urllib.error
import urllib.request

import psutil
import pytest
from disk import Disk, require_mount
from hostile import PIXEL, get
from ingest_tier import Ingest
from processes import wait_until


@pytest.fixture
def ingest(broker, tmp_path):
    started = Ingest(tmp_path / "data", broker, PIXELTALLY_INGEST_WORKERS="2")
    yield started
    if started.process.poll() is None:
        started.stop()


class Load(threading.Thread):
    """Asks for pixels, one after another on a kept connection, until it is cut off."""

    def __init__(self, ingest):
        super().__init__(daemon=True)
        self.answered, self._ingest = 0, ingest

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self._ingest.port, timeout=10)
        try:
            while True:
                connection.request("GET", PIXEL)
                assert connection.getresponse().read().startswith(b"GIF89a")
                self.answered += 1
        except (OSError, http.client.HTTPException):
            connection.close()


def started_loads(ingest, count):
    loads = [Load(ingest) for _ in range(count)]
    for load in loads:
        load.start()
    return loads


def expect_all_in_kafka(ingest, loads):
    """What was answered until ingest was stopped is in Kafka, once."""
    for load in loads:
        load.join()
    answered = sum(load.answered for load in loads)
    assert answered > 500
    # A client may be cut off between what it asked and its answer.
    assert answered <= len(ingest.hits) <= answered + len(loads)


def test_every_answer_given_before_sigterm_is_in_kafka(ingest):
    loads = started_loads(ingest, 8)
    time.sleep(1)
    assert ingest.stop() == 0
    expect_all_in_kafka(ingest, loads)


def metric(said, name):
    return float(re.findall(rf"^pixeltally_ingest_{name} (.*)$", said, re.M)[0])


def waiting(ingest):
    return metric(urllib.request.urlopen(f"{ingest.url}/metrics").read().decode(), "waiting_requests")


def test_what_is_answered_while_the_disk_is_full_waits_for_room(broker, tmp_path):
    require_mount()
    with Disk(tmp_path / "data" / "spool", 64) as disk:
        ingest = Ingest(tmp_path / "data", broker, PIXELTALLY_INGEST_WORKERS="2", PIXELTALLY_SPOOL_MIN_FREE_BYTES="0")
        loads = started_loads(ingest, 4)
        time.sleep(0.5)
        disk.fill()
        wait_until(lambda: waiting(ingest) > 50, "requests that wait for room")
        said = urllib.request.urlopen(f"{ingest.url}/metrics").read().decode()
        with pytest.raises(urllib.error.HTTPError, match="503") as unready:
            urllib.request.urlopen(f"{ingest.url}/readyz")
        disk.free()
        time.sleep(0.5)
        disk.fill()
        time.sleep(0.5)
        threading.Timer(0.5, disk.free).start()  # a stopping worker waits for it
        assert ingest.stop() == 0
    expect_all_in_kafka(ingest, loads)
    assert metric(said, "lost_total") == 0
    assert re.search(r"\d+ requests \(\d+ KiB\) wait: ", unready.value.read().decode())


def test_a_killed_worker_is_replaced_while_the_others_answer(ingest):
    def answering():
        return {each for each in ingest.workers() if is_named(each, "pixeltally ingest")}

    wait_until(lambda: len(answering()) == 2, "two workers")
    before = answering()
    psutil.Process(min(before)).kill()
    for _ in range(100):
        assert ingest.ask(get(PIXEL)).endswith(b";")
    wait_until(lambda: len(answering()) == 2 and answering() != before, "another worker", 10)


def test_workers_and_shipper_end_with_their_parent(ingest):
    processes = psutil.Process(ingest.process.pid).children(recursive=True)
    assert len(processes) == 3
    ingest.process.kill()
    wait_until(lambda: not any(each.is_running() for each in processes), "no process is left", 10)
    ingest.stop()


def is_named(pid, name):
    try:
        return " ".join(psutil.Process(pid).cmdline()).strip() == name
    except psutil.NoSuchProcess:
        return False
