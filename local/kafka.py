"""The tier `pixeltally broker`: Apache Kafka (KRaft, one node) on this machine, kept under DATA/kafka.

Its jars are resolved by Maven from `pom.xml`. Where Java or Maven is missing, the broker that is built
into librdkafka takes its place (:mod:`local.memory_kafka`). `python -m local.kafka` gets everything ready
ahead of the first start.
"""

import fcntl
import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from base64 import urlsafe_b64encode
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from local import memory_kafka
from local.preflight import free_port, require_folder, require_port
from pixeltally.errors import Refused
from pixeltally.settings import Settings
from pixeltally.topics import MAX_MESSAGE_BYTES

HERE = Path(__file__).parent
MIN_JAVA = 17
CONFIG = "server.properties"

#: Where Java unpacks libraries: in the broker's folder, since a kill leaves them there.
TEMPORARY = "temporary"

#: Maven downloads some 60 MB on the first run.
RESOLVE_TIMEOUT_S = 600
#: Maven itself waits half an hour for a repository that takes a request and stays silent.
MAVEN_SILENT_MS = 20_000
TRAINING_TIMEOUT_S = 60

#: The C1 compiler alone: ready sooner, and a broker that passes bytes on gains nothing from C2. The heap is had at once
#: and whole: one that grows when it likes looks like a leak for an hour.
JVM_OPTIONS = [
    "-Xms256m",
    "-Xmx256m",
    "-XX:+AlwaysPreTouch",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:+ExitOnOutOfMemoryError",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    f"-Dlog4j2.configurationFile={HERE / 'log4j2.xml'}",
]


class Unavailable(Exception):
    """Apache Kafka can't run here; the text says why."""


def run(settings: Settings) -> None:
    """Become the broker: Apache Kafka, or the in-memory one where that can't run."""
    require_port(settings.host, settings.kafka_port, "PIXELTALLY_KAFKA_PORT")
    folder = settings.data / "kafka"
    require_folder(folder)
    try:
        java, classpath = find_java(), resolve()
    except Unavailable as reason:
        if _is_formatted(folder):
            raise Refused(
                f"{folder} holds what Apache Kafka has kept, but {reason}: mend that, "
                "or name another folder by PIXELTALLY_DATA."
            ) from None
        memory_kafka.run(settings, str(reason))
        return
    _require_alone(folder)
    if not _is_formatted(folder):
        _format(java, classpath, folder)
    _write_config(folder, "log", settings.host, settings.kafka_port)
    command = _command(java, classpath, f"-XX:SharedArchiveFile={_archive(java)}")
    shutil.rmtree(folder / TEMPORARY, ignore_errors=True)
    (folder / TEMPORARY).mkdir()
    os.chdir(folder)
    # One process, named after its tier: killing it leaves nothing behind.
    os.execve(java, command, _environ())  # noqa: S606


def prepare() -> None:
    """Resolve the jars and record the classes that a start loads, so that `run` starts at once.

    Safe to repeat; does nothing when nothing is missing. Raises :class:`Unavailable`.
    """
    java, classpath = find_java(), resolve()
    archive = _archive(java)
    if not archive.exists():
        _say("preparing Kafka for a fast start")
        _train(java, classpath, archive)


# Java and the jars


def find_java() -> str:
    """The path of a Java that is new enough: of JAVA_HOME, else of PATH."""
    home = os.environ.get("JAVA_HOME")
    java = (home and shutil.which("java", path=str(Path(home) / "bin"))) or shutil.which("java")
    if not java:
        raise Unavailable("there is no java on PATH or in JAVA_HOME")
    version = re.search(r'version "(\d+)', _version_text(java))
    if not version or int(version[1]) < MIN_JAVA:
        raise Unavailable(f"{java} is older than Java {MIN_JAVA}")
    return java


def resolve() -> str:
    """The class path of Kafka: the one resolved before if all its jars are still there, else by Maven."""
    cached = _cache() / f"kafka-{_pom_hash()}.classpath"
    if cached.exists():
        classpath = cached.read_text()
        if all(Path(jar).exists() for jar in classpath.split(os.pathsep)):
            return classpath
    maven = shutil.which("mvn")
    if not maven:
        raise Unavailable("there is no mvn on PATH to get Kafka's jars with")
    _say("getting Kafka's jars with Maven (some 60 MB, once)")
    classpath = _run_maven(maven)
    cached.parent.mkdir(parents=True, exist_ok=True)
    _replace(cached, classpath)
    _say(f"Kafka's {classpath.count(os.pathsep) + 1} jars are there")
    return classpath


def _run_maven(maven: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "classpath"
        # In full: its short name would be looked up in every repository first.
        goal = ["org.apache.maven.plugins:maven-dependency-plugin:build-classpath", f"-Dmdep.outputFile={output}"]
        # Maven 3.8's and later ones' names for the same.
        patience = [f"-D{name}={MAVEN_SILENT_MS}" for name in ("maven.wagon.rto", "aether.connector.requestTimeout")]
        try:
            done = subprocess.run(
                [maven, "-q", "-B", "-f", str(HERE / "pom.xml"), *patience, *goal],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=RESOLVE_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Unavailable(f"Maven got no jars within {RESOLVE_TIMEOUT_S} s") from None
        if done.returncode or not output.exists():
            errors = re.findall(r"\[ERROR\] (.+)", done.stdout + done.stderr)
            raise Unavailable("Maven can't get Kafka's jars: " + (errors or ["it gave no reason"])[0][:500])
        return output.read_text().strip()


def _cache() -> Path:
    """Where what was resolved is remembered: with the virtual environment, which it goes with."""
    home = Path(sys.prefix) if os.access(sys.prefix, os.W_OK) else Path.home() / ".cache"
    return home / "share" / "pixeltally"


def _archive(java: str) -> Path:
    """The class-data archive; one per Java and set of jars. A JVM goes without where it is missing."""
    return _cache() / f"kafka-{_pom_hash()}-{_digest(_version_text(java).encode())}.jsa"


def _pom_hash() -> str:
    return _digest((HERE / "pom.xml").read_bytes())


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:12]


@functools.cache
def _version_text(java: str) -> str:
    return subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr


def _replace(path: Path, text: str) -> None:
    """Write so that whoever reads at the same time sees the old or the new, never half."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(text)
    part.replace(path)


# Storage, configuration and command line


def _require_alone(folder: Path) -> None:
    lock = folder / "log" / ".lock"
    if lock.exists():
        with lock.open("r+b") as file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Refused(
                    f"another broker runs on {folder}: stop it, or name another folder by PIXELTALLY_DATA."
                ) from None


def _is_formatted(folder: Path) -> bool:
    return (folder / "log" / "meta.properties").exists()


def _format(java: str, classpath: str, folder: Path) -> None:
    """Format the storage in full or not at all: a kill half-way leaves nothing that looks formatted."""
    part = folder / "log.part"
    shutil.rmtree(part, ignore_errors=True)
    _write_config(folder, part.name, "127.0.0.1", 0)
    # A leading - would read as an option.
    cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "_")
    tool = [
        *JVM_OPTIONS,
        f"-XX:SharedArchiveFile={_archive(java)}",
        "-cp",
        classpath,
        "kafka.tools.StorageTool",
    ]
    done = subprocess.run(
        [java, *tool, "format", "--cluster-id", cluster, "--config", CONFIG],
        cwd=folder,
        env=_environ(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Refused(f"Kafka can't format {folder}: {(done.stderr or done.stdout).strip()[-300:]}")
    part.rename(folder / "log")


def _write_config(folder: Path, log: str, host: str, port: int) -> None:
    """Write the broker's configuration into its folder, which is also its working directory: paths are
    relative, since a comma or a letter outside ASCII in one would mean something else in this file."""
    # A client on this machine can't connect to a wildcard; who serves others sets a real address.
    advertised = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104
    # Another one each time: nobody but the broker itself uses it, and stacks run side by side.
    controller = next(free for free in iter(lambda: free_port("127.0.0.1"), 0) if free != port)
    properties = {
        "process.roles": "broker,controller",
        "node.id": 1,
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"BROKER://{host}:{port},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": f"BROKER://{advertised}:{port}",
        "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "BROKER",
        "controller.listener.names": "CONTROLLER",
        "log.dirs": log,
        "log.retention.hours": 7 * 24,
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "replica.fetch.max.bytes": MAX_MESSAGE_BYTES,
        "auto.create.topics.enable": "false",
        "group.initial.rebalance.delay.ms": 0,
        "default.replication.factor": 1,
        "offsets.topic.num.partitions": 4,
        "offsets.topic.replication.factor": 1,
        "transaction.state.log.num.partitions": 1,
        "transaction.state.log.replication.factor": 1,
        "transaction.state.log.min.isr": 1,
        "share.coordinator.state.topic.num.partitions": 1,
        "share.coordinator.state.topic.replication.factor": 1,
        "share.coordinator.state.topic.min.isr": 1,
        # After a kill the controller takes the broker back only once its old session has ended.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        # The cleaner's default buffer is a quarter of the heap.
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
        "num.network.threads": 2,
        "num.io.threads": 4,
    }
    _replace(folder / CONFIG, "".join(f"{name}={value}\n" for name, value in properties.items()))


def _command(java: str, classpath: str, archive: str) -> list[str]:
    named = "-Dpixeltally.tier=pixeltally broker"
    temporary = f"-Djava.io.tmpdir={TEMPORARY}"
    return [java, named, temporary, *JVM_OPTIONS, archive, "-cp", classpath, "kafka.Kafka", CONFIG]


def _environ() -> dict[str, str]:
    """In the C locale Java can't open a path with letters outside ASCII."""
    return {**os.environ, "LC_ALL": "C.UTF-8"}


# The fast start


def _train(java: str, classpath: str, archive: Path) -> None:
    """Start a throw-away broker once and keep what classes it loaded: halves every later start."""
    part = archive.with_name(f"{archive.name}.{os.getpid()}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        port = free_port("127.0.0.1")
        _format(java, classpath, folder)
        _write_config(folder, "log", "127.0.0.1", port)
        (folder / TEMPORARY).mkdir()
        command = _command(java, classpath, f"-XX:ArchiveClassesAtExit={part}")
        broker = subprocess.Popen(command, cwd=folder, env=_environ(), stderr=subprocess.DEVNULL)
        try:
            answers = _wait_for_metadata(broker, port)
            broker.send_signal(signal.SIGTERM)
            broker.wait(TRAINING_TIMEOUT_S)
        finally:
            broker.kill()
            broker.wait()
    if answers and part.exists():
        part.replace(archive)
    else:
        _say("Kafka will start, but not as fast as it could")


def _wait_for_metadata(broker: "subprocess.Popen[bytes]", port: int) -> bool:
    admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}", "log_level": 0})
    until = time.monotonic() + TRAINING_TIMEOUT_S
    while broker.poll() is None and time.monotonic() < until:
        try:
            admin.list_topics(timeout=1)
        except KafkaException:
            continue
        return True
    return False


def _say(text: str) -> None:
    print(f"pixeltally: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        prepare()
    except Unavailable as reason:
        # Set-up goes on: the in-memory broker needs none of it.
        _say(memory_kafka.warning(str(reason)))
