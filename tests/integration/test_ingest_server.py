"""The ingest tier's processes: they stop without losing what they answered, and are started again when they die."""

import http.client
import threading
import time

import psutil
import pytest
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


def test_every_answer_given_before_sigterm_is_in_kafka(ingest):
    loads = [Load(ingest) for _ in range(8)]
    for load in loads:
        load.start()
    time.sleep(1)
    assert ingest.stop() == 0
    for load in loads:
        load.join()
    answered = sum(load.answered for load in loads)
    assert answered > 500
    # A client may be cut off between what it asked and its answer.
    assert answered <= len(ingest.hits) <= answered + len(loads)


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
