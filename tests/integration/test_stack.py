"""The supervisor of `pixeltally up`, with stand-ins for tiers and the real broker."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from processes import free_port, own_ports, wait_until, with_environ

SCRIPT = Path(__file__).parent.parent / "stand_in_stack.py"


class Running:
    """A stack in a process of its own."""

    def __init__(self, data: Path, *tiers: str, **environ: str) -> None:
        self.data = data
        self.environ = {
            **os.environ,
            **own_ports(),
            "PIXELTALLY_DATA": str(data),
            "PYTHONPATH": os.getcwd(),
            **environ,
        }
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *tiers],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.output: list[str] = []
        self.log: list[str] = []
        assert self.process.stdout
        assert self.process.stderr
        self.readers = [
            threading.Thread(target=self.output.extend, args=(self.process.stdout,)),
            threading.Thread(target=self.log.extend, args=(self.process.stderr,)),
        ]
        for reader in self.readers:
            reader.start()

    def wait_ready(self) -> None:
        wait_until(lambda: "ready\n" in self.output or self.process.poll() is not None, "ready")
        assert self.process.poll() is None, self.log

    def end(self) -> int:
        """Wait until it has ended, and nothing of it is left; return its exit code."""
        code = self.process.wait(60)
        for reader in self.readers:
            reader.join(10)
        wait_until(lambda: not self.processes(), "all its processes are gone", 10)
        return code

    def processes(self) -> list[psutil.Process]:
        return with_environ("PIXELTALLY_DATA", str(self.data))

    def pids(self, text: str) -> list[int]:
        """The processes whose command line contains the text."""
        found = []
        for process in self.processes():
            with suppress(psutil.Error):  # it ended just now
                if text in " ".join(process.cmdline()):
                    found.append(process.pid)
        return found

    def events(self) -> list[str]:
        return (self.data / "events").read_text().splitlines()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[type]:
    """Makes stacks on the test's own folder; what is still running in the end is killed."""
    # Tests may themselves run under nohup, which a stack would take as meant for it.
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield lambda *tiers, **environ: Running(tmp_path / "data", *tiers, **environ)
    signal.signal(signal.SIGHUP, before)
    for process in with_environ("PIXELTALLY_DATA", str(tmp_path / "data")):
        process.kill()


def stand_in(name: str, behaviour: str = "") -> str:
    return f"{name}:{free_port()}" + (f":{behaviour}" if behaviour else "")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_stops_all_in_order_and_leaves_nothing(stack: type, tmp_path: Path, number: int) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    running = stack(stand_in("ingest"), stand_in("streams"), "broker", TMPDIR=str(temporary))
    running.wait_ready()
    for _ in range(2):
        running.process.send_signal(number)
    assert running.end() == 0
    assert running.events()[-2:] == ["pixeltally ingest stop", "pixeltally streams stop"]
    assert not list(temporary.iterdir())
    assert "ingest     | the last words\n" in running.log


def test_each_part_says_when_it_is_ready_and_where(stack: type) -> None:
    running = stack(stand_in("ingest"), "broker")
    running.wait_ready()
    lines = {line.split()[0]: line for line in running.output}
    port = running.environ["PIXELTALLY_KAFKA_PORT"]
    assert lines["broker"].startswith(f"broker     127.0.0.1:{port}  ready in ")
    assert lines["ingest"].startswith("ingest     http://127.0.0.1:")
    assert running.output[-1] == "ready\n"
    running.process.terminate()
    running.end()


def test_a_part_that_crashes_starts_again(stack: type) -> None:
    running = stack(stand_in("ingest"), "broker")
    running.wait_ready()
    for tier in ("ingest", "broker"):
        [pid] = running.pids(f"pixeltally {tier}")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not psutil.pid_exists(pid), "it is gone")  # noqa: B023
        said = f"exited: {tier} (terminated by SIGKILL; not expected)"
        wait_until(lambda: any(said in line for line in running.log), said)  # noqa: B023
    wait_until(lambda: running.events().count("pixeltally ingest start") == 2, "it started again")
    running.process.terminate()
    assert running.end() == 0


def test_children_of_a_part_go_with_it(stack: type) -> None:
    running = stack(stand_in("ingest", "fork"))
    running.wait_ready()
    wait_until(lambda: len(running.pids("pixeltally ingest")) == 2, "it has forked")
    running.process.terminate()
    assert running.end() == 0


def test_a_part_that_wont_stop_is_killed(stack: type) -> None:
    running = stack(stand_in("ingest", "hang"))
    running.wait_ready()
    running.process.terminate()
    assert running.end() == 0
    assert any(line.startswith("stack      | ") and "killing 'ingest'" in line for line in running.log)


def test_when_the_stack_is_killed_all_goes_and_the_next_can_start(stack: type) -> None:
    running = stack(stand_in("ingest", "fork"), "broker")
    running.wait_ready()
    running.process.kill()
    again = stack(stand_in("ingest"), "broker", PIXELTALLY_KAFKA_PORT=running.environ["PIXELTALLY_KAFKA_PORT"])
    again.wait_ready()
    again.process.terminate()
    assert again.end() == 0


def test_when_supervisord_is_killed_all_goes_and_the_stack_says_so(stack: type) -> None:
    running = stack(stand_in("ingest", "fork"), stand_in("live", "hang"), "broker")
    running.wait_ready()
    [supervisord] = running.pids("local.supervisor")
    os.kill(supervisord, signal.SIGKILL)
    assert running.end() == 1
    assert running.log[-1] == "pixeltally: supervisord ended unasked, with -9: all tiers ended with it.\n"


def test_a_part_that_refuses_stops_all_with_its_sentence(stack: type) -> None:
    running = stack(stand_in("ingest"), stand_in("sink", "refuse"))
    assert running.end() == 2
    assert running.log[-1] == "pixeltally: the moon is full: wait a week.\n"
    assert "ready\n" not in running.output


def test_a_part_that_never_starts_stops_all(stack: type) -> None:
    running = stack(stand_in("ingest"), stand_in("sink", "crash"))
    assert running.end() == 1
    assert running.log[-1] == "pixeltally: sink stopped 5 times before it was ready; its log says why.\n"


def test_it_can_be_stopped_before_it_is_ready(stack: type) -> None:
    running = stack(stand_in("ingest"), "broker")
    wait_until((running.data / "events").exists, "a part started")
    running.process.terminate()
    assert running.end() == 0
    assert "ready\n" not in running.output


@pytest.mark.parametrize("variable", ["PIXELTALLY_INGEST_PORT", "PIXELTALLY_KAFKA_PORT"])
def test_a_taken_port_is_refused_before_anything_starts(stack: type, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        running = stack(stand_in("ingest"), **{variable: str(port)})
        assert running.end() == 2
    assert running.log == [
        f"pixeltally: port {port} on 127.0.0.1 can't be used (Address already in use): "
        f"stop what holds it, or set {variable} to a free one.\n"
    ]
    assert not (running.data / "events").exists()


def test_a_full_disk_is_refused_before_anything_starts(small_disk: Path) -> None:
    running = Running(small_disk, stand_in("ingest"))
    assert running.end() == 2
    assert running.log == [
        f"pixeltally: the disk of {small_disk} has only 1 MB left and 200 MB are needed: "
        "free some, or name another folder by PIXELTALLY_DATA.\n"
    ]
    (small_disk / "filling").write_bytes(b"x" * 900_000)
    with suppress(OSError), (small_disk / "rest").open("wb", buffering=0) as rest:
        while True:
            rest.write(b"x" * 4096)
    running = Running(small_disk, stand_in("ingest"))
    assert running.end() == 2
    assert len(running.log) == 1


def test_two_parts_cant_share_a_port(stack: type) -> None:
    running = stack(PIXELTALLY_INGEST_PORT="8099", PIXELTALLY_LIVE_PORT="8099")
    assert running.end() == 2
    assert running.log == [
        "pixeltally: PIXELTALLY_LIVE_PORT and PIXELTALLY_INGEST_PORT are both 8099: change one of them.\n"
    ]


def test_a_second_stack_on_the_same_folder_is_refused(stack: type) -> None:
    first = stack(stand_in("ingest"))
    first.wait_ready()
    second = stack(stand_in("ingest"))
    assert second.process.wait(30) == 2
    assert second.process.poll() == 2
    wait_until(lambda: second.log, "its sentence")
    assert second.log == [
        f"pixeltally: another stack runs on {first.data}: stop it, or name another folder by PIXELTALLY_DATA.\n"
    ]
    first.process.terminate()
    assert first.end() == 0


def test_two_stacks_run_side_by_side(tmp_path: Path) -> None:
    both = [Running(tmp_path / name, stand_in("ingest"), "broker") for name in ("a", "b")]
    for running in both:
        running.wait_ready()
    for running in both:
        running.process.terminate()
    assert [running.end() for running in both] == [0, 0]
