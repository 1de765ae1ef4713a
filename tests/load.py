"""A load that knows what was answered: each request has a number of its own in its query, `n=`."""

import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from processes import BROWSER


class Load:
    """Threads that fetch a campaign's pixel, each for its own visitors, as fast as `pause_s` allows."""

    def __init__(self, port: int, campaign: str, threads: int = 4, pause_s: float = 0.002) -> None:
        self._port, self._campaign, self._pause_s = port, campaign, pause_s
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]
        self.answered: set[int] = set()
        self.failed: set[int] = set()  #: sent, and no answer came: these may or may not have been written down
        self._numbers = itertools.count()

    def _run(self, thread: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._stop.is_set():
            number = next(self._numbers)
            address = f"203.0.{thread}.{number % 50}"
            try:
                connection.request(
                    "GET",
                    f"/p/acme/{self._campaign}/banner.gif?n={number}",
                    headers={"X-Forwarded-For": address, "User-Agent": BROWSER},
                )
                answer = connection.getresponse()
                assert answer.read().startswith(b"GIF89a")
                self.answered.add(number)
            except (OSError, http.client.HTTPException):
                self.failed.add(number)
                connection.close()
                time.sleep(0.05)
            time.sleep(self._pause_s)
        connection.close()

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@contextmanager
def load(port: int, campaign: str, **options: float) -> Iterator[Load]:
    """Requests for as long as the block lasts."""
    running = Load(port, campaign, **options)  # type: ignore[arg-type]
    running.start()
    try:
        yield running
    finally:
        running.stop()
