"""Which requests the demo sends, and when: real impressions and clicks, by visitors who come back.

Everything follows from the seed, so that the plan can be walked again to say what ought to be counted.
"""

import heapq
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from itertools import count, cycle, islice
from random import Random
from typing import Literal, NamedTuple
from urllib.parse import quote

from local.impressions import Impression
from local.newsletter import CAMPAIGN, CREATIVES, Recipients
from local.visitors import Visitor, Visitors

ADVERTISER = "zozo"

#: For a hundred impressions, how many e-mails are opened; of a hundred of these, how many are clicked.
OPENS_PERCENT = 5
MAIL_CLICKS_PERCENT = 8
#: Of a hundred clicks, how many end with an order.
ORDERS_PERCENT = 20
#: For a hundred impressions, how many requests come of a tag in which an ad server's macro still stands.
BROKEN_PERCENT = 0.5

_UNFILLED = quote("{{ad.name}}")

_POSITIONS = {1: "left", 2: "center", 3: "right"}
_SITES = ("https://news.example/", "https://mail.example/inbox", "https://weather.example/tokyo")

Kind = Literal["impression", "open", "click", "conversion", "broken tag"]


class Request(NamedTuple):
    """One request: number `n` (from 0, in order of sending), `at_s` seconds after the start."""

    n: int
    at_s: float
    kind: Kind
    unit: str  #: advertiser/campaign/creative[/placement]
    visitor: Visitor

    @property
    def target(self) -> str:
        """Where a click on this ad leads."""
        return f"https://shop.example/{self.unit.split('/')[2]}"


def plan(impressions: Sequence[Impression], rate: float, block_s: float, seed: str) -> Iterator[Request]:
    """Endless requests in order of time: `rate` impressions a second, e-mails' opens, broken tags, and what follows."""
    visitors = Visitors(Random(f"{seed} visitors"))  # noqa: S311
    recipients = Recipients(Random(f"{seed} recipients"))  # noqa: S311
    chances, delays = Random(f"{seed} chances"), Random(f"{seed} delays")  # noqa: S311
    numbers, order = count(), count()
    later: list[tuple[float, int, Kind, str, Visitor]] = []

    def then(at_s: float, kind: Kind, unit: str, visitor: Visitor) -> None:
        heapq.heappush(later, (at_s, next(order), kind, unit, visitor))

    def happens(percent: float) -> bool:
        return chances.random() * 100 < percent

    for at_s, row in paced(impressions, rate, block_s):
        while later and later[0][0] <= at_s:
            due_s, _, kind, unit, visitor = heapq.heappop(later)
            yield Request(next(numbers), due_s, kind, unit, visitor)
            if kind == "open" and happens(MAIL_CLICKS_PERCENT):
                then(due_s + click_delay_s(delays), "click", unit, recipients.reader(visitor))
            elif kind == "click" and happens(ORDERS_PERCENT):
                then(due_s + order_delay_s(delays), "conversion", unit, visitor)
        unit = f"{ADVERTISER}/{row.campaign}/item-{row.item}/{_POSITIONS[row.position]}"
        visitor = visitors.sees(unit)
        yield Request(next(numbers), at_s, "impression", unit, visitor)
        if row.click:
            then(at_s + click_delay_s(delays), "click", unit, visitor)
        if happens(OPENS_PERCENT):
            then(at_s, "open", f"{ADVERTISER}/{CAMPAIGN}/{chances.choice(CREATIVES)}", recipients.opens())
        if happens(BROKEN_PERCENT):
            then(at_s, "broken tag", f"{ADVERTISER}/{row.campaign}/{_UNFILLED}", visitor)


def paced(impressions: Sequence[Impression], rate: float, block_s: float) -> Iterator[tuple[float, Impression]]:
    """The impressions over and over, each with the second it is due at.

    Every `block_s` seconds hold `rate * block_s` of them so that the rate is kept however
    short the run; within such a block the gaps are the real ones, speeded up.
    """
    rows = cycle(impressions)
    row = next(rows)
    for block in count():
        size = round(rate * block_s * (block + 1)) - round(rate * block_s * block)
        offsets_ms, taken = [0], [row]
        for row in islice(rows, size):
            # The step from the week's end back to its start is no gap.
            offsets_ms.append(offsets_ms[-1] + max(0, row.timestamp_ms - taken[-1].timestamp_ms))
            taken.append(row)
        for offset_ms, each in zip(offsets_ms[:-1], taken, strict=False):
            yield block_s * (block + offset_ms / offsets_ms[-1]), each


def block_s(seconds: float | None) -> float:
    """A block's length: ten seconds, or what divides the run into whole blocks close to that."""
    return 10.0 if seconds is None else seconds / max(1, round(seconds / 10))


def click_delay_s(random: Random) -> float:
    """Seconds from seeing an ad to the click: half within 6 s, one in a hundred over half a minute."""
    return min(300.0, max(0.5, random.lognormvariate(1.8, 0.75)))


def order_delay_s(random: Random) -> float:
    """Seconds from the click to the Thank-You page: half within half a minute."""
    return min(600.0, max(3.0, random.lognormvariate(3.4, 0.8)))


class Wire:
    """Writes requests as the bytes that a browser behind a proxy sends. `sign(unit, target)` signs clicks."""

    def __init__(self, host: str, run: str, sign: Callable[[str, str], str]) -> None:
        self._host = host
        self._run = run
        self._sign = cache(sign)

    def __call__(self, request: Request) -> bytes:
        """The whole request, HTTP/1.1 with keep-alive."""
        return (
            f"GET {self.path(request)} HTTP/1.1\r\n"
            f"Host: {self._host}\r\n"
            f"User-Agent: {request.visitor.user_agent}\r\n"
            f"X-Forwarded-For: {request.visitor.ip}\r\n"
            f"Accept: {'text/html' if request.kind == 'click' else 'image/avif,image/webp'},*/*;q=0.8\r\n"
            f"Accept-Encoding: gzip, deflate, br\r\n"
            f"Referer: {_SITES[len(request.visitor.ip) % len(_SITES)]}\r\n"
            "\r\n"
        ).encode()

    def path(self, request: Request) -> str:
        """Path and query; `demo` and `n` name the request among all that were ever sent."""
        mark = f"demo={self._run}&n={request.n}"
        if request.visitor.subscriber:
            mark = f"s={request.visitor.subscriber}&{mark}"
        if request.kind in ("impression", "broken tag"):
            return f"/p/{request.unit}.gif?{mark}"
        if request.kind == "open":
            return f"/p/{request.unit}.gif?e=open&{mark}"
        if request.kind == "conversion":
            advertiser, campaign, *_ = request.unit.split("/")
            value = f"{19 + request.n % 80}.90"
            return f"/v/{advertiser}/{campaign}.gif?order={self._run}-{request.n}&value={value}&currency=EUR&{mark}"
        signature = self._sign(request.unit, request.target)
        return f"/c/{request.unit}?to={quote(request.target, safe='')}&k={signature}&{mark}"
