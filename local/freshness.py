"""Samples how old a hit is when ClickHouse first shows it."""

import threading
import time
from collections.abc import Iterable

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from local.traffic import ADVERTISER, Request

#: A newly answered hit is taken so often, and what is taken is looked for so often: the resolution.
SAMPLE_S = 0.5
LOOK_S = 0.2

#: Whole ad units are named, because the table is sorted by them: a look reads little however much is kept.
_VISIBLE = """
SELECT toUInt64(params['n']) FROM impressions
WHERE advertiser = %(advertiser)s AND (campaign, creative, placement) IN %(units)s
    AND params['demo'] = %(run)s AND params['n'] IN %(numbers)s
"""


class Freshness:
    """From a hit's answer to its being visible, in seconds: `delays_s`. Use it as a context manager."""

    def __init__(self, client: Client, run: str) -> None:
        self.delays_s: list[float] = []
        self._client = client
        self._run = run
        self._latest: tuple[Request, float] | None = None
        self._waiting: dict[int, tuple[Request, float]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="freshness")

    def answered(self, request: Request) -> None:
        """Tell of a request that was just answered."""
        if request.kind == "impression":
            self._latest = request, time.monotonic()

    def __enter__(self) -> "Freshness":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        due = 0.0
        while not self._stop.wait(LOOK_S):
            latest = self._latest
            if latest and time.monotonic() >= due:
                self._waiting.setdefault(latest[0].n, latest)
                self._latest = None
                due = time.monotonic() + SAMPLE_S
            if self._waiting:
                self._look()

    def _look(self) -> None:
        try:
            visible = _visible(self._client, self._run, [request for request, _ in self._waiting.values()])
        except ClickHouseError:
            return  # the hit goes on ageing, as it does for everyone who looks
        now = time.monotonic()
        for n in visible & self._waiting.keys():
            self.delays_s.append(now - self._waiting.pop(n)[1])


def _visible(client: Client, run: str, requests: Iterable[Request]) -> set[int]:
    parameters = {
        "advertiser": ADVERTISER,
        "units": tuple({tuple(request.unit.split("/")[1:]) for request in requests}),
        "run": run,
        "numbers": tuple(str(request.n) for request in requests),
    }
    return {row[0] for row in client.query(_VISIBLE, parameters).result_rows}
