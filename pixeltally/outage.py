"""Says in the log that something is away: once when it goes, once a minute, and once when it is back."""

import logging
import time

REMIND_S = 60.0


class Outage:
    """One thing that may be away, asked about again and again."""

    def __init__(self, log: logging.Logger, what: str, consequence: str) -> None:
        """`what` is its name; `consequence` says what that means meanwhile."""
        self._log, self._what, self._consequence = log, what, consequence
        self._since: float | None = None
        self._next_reminder = 0.0

    def note(self, problem: str, now: float | None = None) -> None:
        """Take the latest answer: what is wrong, empty if nothing; `now` is monotonic seconds."""
        now = time.monotonic() if now is None else now
        if problem and now >= self._next_reminder:
            lasting = "" if self._since is None else f" for {now - self._since:.0f} s"
            self._log.warning("%s is away%s: %s; %s", self._what, lasting, problem, self._consequence)
            self._since = now if self._since is None else self._since
            self._next_reminder = now + REMIND_S
        elif not problem and self._since is not None:
            self._log.warning("%s is back after %.0f s", self._what, now - self._since)
            self._since, self._next_reminder = None, 0.0


def quiet(name: str) -> logging.Logger:
    """A log for a Kafka client, without what an `Outage` says."""
    log = logging.getLogger(name)
    log.addFilter(Quiet())
    return log


class Quiet(logging.Filter):
    """Drops what librdkafka says of every failed connection and every wait: an `Outage` says it once."""

    #: The first word of a line of librdkafka's log: what it is about.
    NOISE = ("FAIL ", "ERROR ", "GETPID ", "REQTMOUT ", "METADATAUPDATE ")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is let through."""
        return not record.getMessage().startswith(self.NOISE)
