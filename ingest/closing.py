"""Closes segments: what is wholly in Kafka is counted, archived where there is an archive, told, and only then deleted.

Each step may be done again after a crash at any moment: a block that no entry names is overwritten, a segment that has
an entry is not archived again, an account that was told says the same when it is told again.
"""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import msgspec

from ingest import answered, nginx, spool, tail
from ingest.answered import Minute
from ingest.counting import Count, counted, pieces
from ingest.reduction import is_needed, reducer
from ingest.sending import Sender
from pixeltally import metrics, topics
from pixeltally.archive import RAW, REDUCED, REQUESTS, Account
from pixeltally.archive_log import Log, expire
from pixeltally.errors import Refused
from pixeltally.files import sync
from pixeltally.outage import Outage
from pixeltally.settings import Settings

log = logging.getLogger("shipper")

#: How often segments are looked for.
LOOK_S = 1.0

#: How long a stopping shipper waits for what is being closed.
STOP_S = 1.0

#: How often what is older than the retention is looked for in the archive.
EXPIRE_S = 3600.0

#: Settings that say how a line of the spool is read as a hit.
READ_BY = ("visitor", "ipv6_prefix", "store_ip", "gpc", "trusted_proxies")


class Closer:
    """A thread that works on a spool beside its shipper, for as long as the context lasts."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        what = f"the archive ({settings.archive})" if settings.archive else "the count of segments"
        self._outage = Outage(log, what, "segments stay in the spool")
        self._logs: dict[str, Log] = {}
        self._sender: Sender | None = None
        self._reduce = reducer(settings) if settings.archive and is_needed(settings) else None
        self._read_by = {name: settings.text(name) for name in READ_BY}
        self._next_expiry = 0.0
        self._stopping = Event()
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Closer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(STOP_S)  # one that waits for Kafka may be left in the middle of anything

    def finish(self) -> None:
        """Nobody writes any more and Kafka is there: close what it has, however young it is."""
        self._stopping.set()
        self._thread.join()
        self._try(age_s=0.0)

    def close(self, age_s: float = spool.SEGMENT_S) -> None:
        """Close what can be closed. Raises OSError, and :class:`Refused` where Kafka is away."""
        for folder in spool.nodes(self._settings.spool):
            numbers = tail.finished(folder, age_s)
            if numbers:
                # A number that a power cut took back would be given a second time.
                sync(folder / spool.POSITION)
            for number in numbers:
                self._close(folder, number)
            for number, path in nginx.lost_files(folder) if spool.is_fed_by_nginx(folder) else ():
                self._close_lost(folder, number, path)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            self._try(spool.SEGMENT_S)

    def _try(self, age_s: float) -> None:
        try:
            self.close(age_s)
            self._expire()
            self._outage.note("")
        except (OSError, Refused) as error:
            # Both are begun anew: what was under way is not known.
            self._sender = None
            while self._logs:
                self._logs.popitem()[1].close()
            self._outage.note(str(error))

    def _close(self, folder: Path, number: int) -> None:
        path = spool.segment_path(folder, number)
        account = self._archived(folder, number) if self._settings.archive else self._counted(folder, number)
        self._tell(account)
        path.unlink()
        answered.path_of(folder, number).unlink(missing_ok=True)

    def _counted(self, folder: Path, number: int) -> Account:
        count, said = _begin(folder, number)
        for _ in counted(count, pieces(spool.segment_path(folder, number))):
            pass
        return _account(folder.name, number, count, said)

    def _archived(self, folder: Path, number: int) -> Account:
        its = self._log(folder.name)
        if its.last is not None and its.last.number >= number and its.last.account is not None:
            return its.last.account
        count, said = _begin(folder, number)
        found = counted(count, pieces(spool.segment_path(folder, number)))
        block = its.add(self._kept(folder.name, number, found))
        account = _account(folder.name, number, count, said)
        form = REDUCED if self._reduce else RAW
        times = {"first": count.first, "last": count.last}
        its.enter(number, block, **times, form=form, settings=self._read_by, account=account)
        metrics.ARCHIVED.inc(block.size)
        return account

    def _kept(self, node: str, number: int, found: Iterator[tuple[int, bytes]]) -> Iterator[bytes]:
        """What of the lines is archived."""
        for offset, lines in found:
            if self._reduce is None:
                yield lines
                continue
            at = offset
            for line in lines.split(b"\n"):
                if line:
                    yield self._reduce(line, node, spool.place(number, at)) + b"\n"
                at += len(line) + 1

    def _close_lost(self, folder: Path, number: int, path: Path) -> None:
        """Tell of requests that nginx answered and that the full spool could not take."""
        count = Count(answered_to=1 << 62)
        for _ in counted(count, pieces(path)):
            pass
        minutes, lost = [*count.minutes], [*count.minutes.values()]
        none = [0] * len(lost)
        self._tell(Account(folder.name, number, minutes, lost, lost, none, none, closed=_now_ms()))
        metrics.LOST.inc(sum(lost))
        path.unlink()

    def _tell(self, account: Account) -> None:
        if self._sender is None:
            self._sender = Sender(self._settings)
        self._sender.send((topics.SEGMENTS, 0, msgspec.json.encode(account)))
        self._sender.finish()

    def _log(self, node: str) -> Log:
        if node not in self._logs:
            self._logs[node] = Log(Path(self._settings.archive), f"{REQUESTS}/{node}")
        return self._logs[node]

    def _expire(self) -> None:
        days = self._settings.retention_days
        if self._settings.archive and days and time.monotonic() >= self._next_expiry:
            self._next_expiry = time.monotonic() + EXPIRE_S
            expire(Path(self._settings.archive), _now_ms() - days * 86_400_000)


def _begin(folder: Path, number: int) -> tuple[Count, dict[int, Minute] | None]:
    """A count to be made of a segment, and what its writer has counted; None where that is nginx."""
    said = answered.read(folder, number)
    if said is None:
        return (Count(answered_to=1 << 62), None) if spool.is_fed_by_nginx(folder) else (Count(answered_to=0), {})
    return Count(said[1]), said[0]


def _account(node: str, segment: int, count: Count, said: dict[int, Minute] | None) -> Account:
    if said is None:  # nginx's log is its own word for what it answered
        said = {minute: Minute(lines, 0) for minute, lines in count.minutes.items()}
    minutes = sorted({*said, *count.minutes})
    none = Minute(0, 0)
    return Account(
        node,
        segment,
        minutes,
        [said.get(minute, none).answered for minute in minutes],
        [said.get(minute, none).lost for minute in minutes],
        [count.minutes[minute] for minute in minutes],
        [count.unanswered[minute] for minute in minutes],
        count.other_methods,
        _now_ms(),
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
