"""Keeps a log readable."""

import logging

#: How often the same message may stand in the log.
SPARSE_S = 60.0


class Sparse(logging.Filter):
    """Lets each message through once a minute: with Kafka away, its client says thousands of times that it is."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, object], float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is let through."""
        what = (record.name, record.msg)
        if record.created - self._said.get(what, 0.0) < SPARSE_S:
            return False
        self._said[what] = record.created
        return True
