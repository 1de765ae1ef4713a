"""A whole stack in which everything can be disturbed: each tier's network, disk, clock and processes.

supervisord keeps the tiers as `pixeltally up` has it do. Between them stand doors (`tests/door.py`): Kafka has a
listener for each tier, and advertises that tier's door. Spool, Kafka and ClickHouse have disks of their own.
"""

import http.client
import os
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import clickhouse_connect
import libfaketime
import psutil
from disk import Disk
from door import Door
from processes import BROWSER, free_port, tier, wait_until
from running import SECRET, processes

from local.supervisor import Supervisor
from pixeltally.settings import Settings

#: Tiers that reach Kafka, each through a listener and a door of its own; `shipper` is a part of ingest.
KAFKA_CLIENTS = ("shipper", "streams", "sink")

#: Parts of ingest: how its processes are named apart is seen in `Arena.processes`.
INGEST = {"shipper": "ingest", "worker": "ingest"}

#: In the order of their stop.
TIERS = ("ingest", "streams", "sink", "clickhouse", "broker")

#: Tiers whose clock can be set. Not Kafka: a JVM does not run under libfaketime. Nor ClickHouse, which asks no clock
#: for anything that is counted.
CLOCKS = ("ingest", "streams", "sink")

#: Who asks by `Arena.ask`.
ADDRESS = "198.51.100.1"

DISK_MB = {"spool": 256, "kafka": 4096, "clickhouse": 4096}


class Clock:
    """A tier's clock, by libfaketime: it reads from a file, about once a second, by how much it is wrong."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.step(0)
        library = Path(libfaketime.__file__).parent / "vendor" / "libfaketime" / "src" / "libfaketime.so.1"
        self.environ = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",  # numba would find its compiled loops out of date
        }

    def step(self, seconds: int) -> None:
        """Have it go wrong by so much."""
        part = self._file.with_suffix(".part")
        part.write_text(f"{seconds:+d}\n")
        part.replace(self._file)


class Arena:
    """The stack, as a context: entered when the first hit has been counted."""

    def __init__(self, folder: Path, archive: Path) -> None:
        self.data, self.archive, self.log = folder / "data", archive, folder / "log"
        self.ingest, self._kafka, self._clickhouse = free_port(), free_port(), free_port()
        self._listeners = {name: free_port() for name in KAFKA_CLIENTS}
        self.poisoned = 0  #: lines that are no hits, written into Kafka
        self._stack = ExitStack()
        self.environ = {
            **os.environ,
            "PIXELTALLY_DATA": str(self.data),
            "PIXELTALLY_ARCHIVE": str(archive),
            "PIXELTALLY_SECRET": SECRET,
            "PIXELTALLY_TRUSTED_PROXIES": "127.0.0.1/32",
            "PIXELTALLY_INGEST_PORT": str(self.ingest),
            "PIXELTALLY_INGEST_WORKERS": "2",
            "PIXELTALLY_GPC": "anonymous",
            "PIXELTALLY_SPOOL_MIN_FREE_BYTES": "0",
            "PIXELTALLY_KAFKA_PORT": str(self._kafka),
            "PIXELTALLY_CLICKHOUSE_PORT": str(self._clickhouse),
        }
        self.settings = Settings.from_env(self.environ)

    def __enter__(self) -> "Arena":
        with self._stack as stack:
            self.disks = {name: stack.enter_context(Disk(self.data / name, size)) for name, size in DISK_MB.items()}
            self.clocks = {name: Clock(self.data / f"clock-{name}") for name in CLOCKS}
            ports = {"front": self.ingest, "clickhouse": self._clickhouse, **self._listeners}
            self.doors = {name: stack.enter_context(Door(port)) for name, port in ports.items()}
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pt-")))
            lock, log = stack.enter_context(self.log.open("ab")), stack.enter_context(self.log.open("a"))
            stack.callback(self._continue)
            stack.enter_context(
                Supervisor(
                    {name: self._command(name) for name in TIERS},
                    self.environ,
                    folder,
                    lock.fileno(),
                    lambda name, line: print(f"{time.time():.1f} {name:<10} | {line}", file=log, flush=True),
                )
            )
            wait_until(lambda: self.ask("/p/acme/warm/up.gif") == 200, "an answer of ingest", 60)
            wait_until(lambda: self.has("SELECT count() > 0 FROM facts"), "the first hit in ClickHouse", 60)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process().children(recursive=True)

    def processes(self, part: str) -> list[psutil.Process]:
        """A part's processes, once it has some, its first one first; `shipper` and `worker` are parts of ingest."""
        found: list[psutil.Process] = []

        def look() -> bool:
            with suppress(psutil.NoSuchProcess):
                found[:] = self._processes(part)
            return bool(found)

        wait_until(look, f"a process of {part}")
        return found

    def _processes(self, part: str) -> list[psutil.Process]:
        found = {each: " ".join(each.cmdline()) for each in processes(self, INGEST.get(part, part))}
        if part not in INGEST:
            return sorted(found, key=lambda each: "-m pixeltally" not in found[each])
        own = {each: line for each, line in found.items() if "-m pixeltally" not in line}
        return [each for each, line in own.items() if ("shipper" in line) == (part == "shipper")]

    def ask(self, path: str, **headers: str) -> int:
        """The status of a GET of ingest itself; 0 where nobody answers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ingest, timeout=2)
        try:
            connection.request("GET", path, headers={"User-Agent": BROWSER, "X-Forwarded-For": ADDRESS, **headers})
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def query(self, sql: str) -> list[tuple[object, ...]]:
        client = clickhouse_connect.get_client(
            host="127.0.0.1", port=self._clickhouse, database="pixeltally", connect_timeout=2, send_receive_timeout=20
        )
        try:
            return list(client.query(sql).result_rows)
        finally:
            client.close()

    def has(self, sql: str) -> bool:
        """Whether ClickHouse answers, and with yes."""
        with suppress(Exception):
            return bool(self.query(sql)[0][0])
        return False

    def _continue(self) -> None:
        """Nobody who stands still can be stopped."""
        for process in self.descendants():
            with suppress(psutil.Error):
                process.resume()

    def _command(self, name: str) -> list[str]:
        if name == "broker":
            return self._kafka_command()
        own = {"PIXELTALLY_CLICKHOUSE_URL": f"http://127.0.0.1:{self.doors['clickhouse'].port}"}
        if name == "clickhouse":
            own = {}
        else:
            own["PIXELTALLY_KAFKA"] = f"127.0.0.1:{self.doors['shipper' if name == 'ingest' else name].port}"
            own |= self.clocks[name].environ
        return ["env", *(f"{key}={value}" for key, value in own.items()), sys.executable, "-m", "pixeltally", name]

    def _kafka_command(self) -> list[str]:
        """What `pixeltally broker` becomes, with the tiers' listeners beside its own."""
        process = tier("broker", self.data, PIXELTALLY_KAFKA_PORT=str(self._kafka))
        java = psutil.Process(process.pid)
        wait_until(lambda: process.poll() is not None or "kafka.Kafka" in java.cmdline(), "the broker's start")
        command = java.cmdline()
        process.kill()
        process.communicate()
        folder = self.data / "kafka"
        config = dict(line.split("=", 1) for line in (folder / "server.properties").read_text().splitlines())
        names, theirs = {name: name.upper() for name in KAFKA_CLIENTS}, "listener.security.protocol.map"
        added = {
            "listeners": [f"{names[name]}://127.0.0.1:{port}" for name, port in self._listeners.items()],
            "advertised.listeners": [f"{names[name]}://127.0.0.1:{self.doors[name].port}" for name in names],
            theirs: [f"{name}:PLAINTEXT" for name in names.values()],
        }
        overrides = [f"{key}={','.join([config[key], *values])}" for key, values in added.items()]
        return [
            "env",
            "-C",
            str(folder),
            "LC_ALL=C.UTF-8",
            *command,
            *(x for o in overrides for x in ("--override", o)),
        ]
