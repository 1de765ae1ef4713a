"""Compiles the loops of imports ahead: `python -m ingest.warm`, as `make setup` does, takes ten seconds once."""

import time

from ingest import combined, log_lines
from ingest.log_batch import Batches
from ingest.log_counted import Counted
from pixeltally.settings import Settings


def warm(settings: Settings) -> None:
    """Judge a line that nobody logged."""
    now_s = time.time()
    stamp = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now_s))
    line = f'192.0.2.1 - - [{stamp}] "GET /p/a/b/c.gif?cb=1 HTTP/1.1" 200 43 "-" "a"\n'
    Batches(settings, [], now_s, 1).judge(log_lines.read(line.encode()), "n", 0, combined.parse, Counted("n", 0, 1, 1))


if __name__ == "__main__":
    warm(Settings.from_env({"PIXELTALLY_SECRET": "-"}))
