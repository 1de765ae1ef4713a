"""One shipper at a time ships a spool, and one that takes over goes on where the other was."""

import os
import subprocess
import sys
from contextlib import contextmanager

from processes import wait_until
from topic_lines import consume

from ingest import request
from ingest.spool import Spool, segment_path
from pixeltally import topics


@contextmanager
def shipper(data, broker):
    environ = {**os.environ, "PIXELTALLY_DATA": str(data), "PIXELTALLY_KAFKA": broker, "PIXELTALLY_SECRET": "x"}
    with subprocess.Popen(
        [sys.executable, "-m", "ingest.shipper"], env=environ, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def append(writer, numbers):
    for number in numbers:
        writer.append(request.encode(request.Request(time=1.5, uri=f"/p/a/b/c.gif?n={number}", peer="192.0.2.1")))


def shipped(broker, node, topic=topics.HITS):
    return [line for line in consume(broker, topic) if node in (line.get("node"), line.get("origin", "")[6:22])]


def test_a_second_shipper_waits_and_takes_over(tmp_path, broker):
    writer = Spool(tmp_path / "spool", segment_bytes=10_000)
    with shipper(tmp_path, broker) as first:
        append(writer, range(1000))
        wait_until(lambda: len(shipped(broker, writer.node)) == 1000, "a thousand lines", 30)
        with shipper(tmp_path, broker) as second:
            said = second.stderr.readline()
            assert "another shipper holds it" in said
            append(writer, range(1000, 1500))
            wait_until(lambda: len(shipped(broker, writer.node)) == 1500, "more of the first", 30)
            first.kill()
            first.wait()
            append(writer, range(1500, 2000))
            found = []

            def all_there():
                found[:] = [int(hit["params"]["n"]) for hit in shipped(broker, writer.node)]
                return set(found) == set(range(2000))

            wait_until(all_there, "the rest from the second", 30)
            second.terminate()
            assert second.wait(20) == 0
    fresh = list(dict.fromkeys(found))
    assert fresh == sorted(fresh)


def test_what_a_dead_worker_left_is_shipped_and_its_torn_line_told(tmp_path, broker):
    writer = Spool(tmp_path / "spool")
    append(writer, range(10))
    folder = tmp_path / "spool" / writer.node
    writer.close()
    with segment_path(folder, 1).open("ab") as file:
        file.write(b'{"time":1.5,"uri":"/p/a/b')
    later = Spool(tmp_path / "spool")
    append(later, range(10, 20))
    with shipper(tmp_path, broker):
        wait_until(lambda: len(shipped(broker, writer.node)) == 20, "both writers' lines", 30)
        wait_until(lambda: len(shipped(broker, writer.node, topics.DEAD)) == 1, "the torn line", 10)
    assert shipped(broker, writer.node, topics.DEAD)[0]["reason"] == "unreadable-line"
