"""A load that knows what was answered: each request has a number of its own in its query, `n=`."""

import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlencode

from processes import BROWSER
from running import SECRET

from pixeltally.keys import key_of
from pixeltally.signing import sign

TARGET = "https://shop.example/"


class Load:
    """Threads that fetch a campaign's pixel, each for its own visitors, as fast as `pause_s` allows.

    Every so many requests (`click_every`; 0: none) follow the link of the ad instead.
    """

    def __init__(
        self,
        port: int,
        campaign: str,
        threads: int = 4,
        pause_s: float = 0.002,
        *,
        first: int = 0,
        click_every: int = 0,
    ) -> None:
        self._port, self._campaign, self._pause_s, self._click_every = port, campaign, pause_s, click_every
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(number,)) for number in range(threads)]
        self.answered: set[int] = set()
        self.failed: set[int] = set()  #: sent, and no answer came: these may or may not have been written down
        self._numbers = itertools.count(first)

    def _run(self, thread: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._stop.is_set():
            number = next(self._numbers)
            address = f"203.0.{thread}.{number % 50}"
            path, expected = self._asked(number)
            try:
                connection.request("GET", path, headers={"X-Forwarded-For": address, "User-Agent": BROWSER})
                answer = connection.getresponse()
                answer.read()
                assert answer.status == expected
                self.answered.add(number)
            except (OSError, http.client.HTTPException):
                self.failed.add(number)
                connection.close()
                time.sleep(0.05)
            time.sleep(self._pause_s)
        connection.close()

    def _asked(self, number: int) -> tuple[str, int]:
        """A request's path, and the status that it must get."""
        unit = f"acme/{self._campaign}/banner"
        if self._click_every and number % self._click_every == 0:
            link = {"to": TARGET, "k": sign(key_of(SECRET.encode()), unit, TARGET), "n": number}
            return f"/c/{unit}?{urlencode(link)}", 302
        return f"/p/{unit}.gif?n={number}", 200

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
