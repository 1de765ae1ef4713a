"""What a request is by those that came before it: duplicate, attributed, too soon, too many. See docs/methodology.md.

Written from the rules and not from the code that counts: a partition's requests are judged in the order in which they
were counted, message by message.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from audit.asking import NOBODY, Asked

IMAGES = frozenset({"impression", "open", "view"})
VALID, UNREGISTERED = "valid", "unregistered"

#: A click sooner than this after its first known impression is no person's, in milliseconds.
TOO_SOON_MS = 100

#: More counted requests of a visitor than these, in a minute and in a second, are too many.
MOST_A_MINUTE, MOST_A_SECOND = 1000, 200

MINUTE_MS = 60_000


@dataclass
class Judged:
    """A request on its way to its verdict."""

    asked: Asked
    node: str
    seq: int
    reasons: set[str]  #: found so far: by the lists
    network: str  #: shared, local or empty
    recorded: tuple[str, bool]  #: verdict and duplicate, as they were found then
    takes_verdict: bool  #: whether that verdict is taken as it is
    takes_duplicate: bool  #: likewise
    verdict: str = ""
    duplicate: bool = False
    attributed: bool = False


@dataclass
class _Span:
    """What arrived in one span of time."""

    counted: dict[object, list[int]] = field(default_factory=lambda: defaultdict(list))  #: what by → their times
    images: dict[object, list[int]] = field(default_factory=lambda: defaultdict(list))  #: pixel → times
    clicks: dict[object, list[Judged]] = field(default_factory=lambda: defaultdict(list))


@dataclass
class _Minute:
    """What arrived in one minute, by the minute of the requests' own time."""

    counted: Counter[tuple[int, str]] = field(default_factory=Counter)
    seconds: Counter[tuple[int, str]] = field(default_factory=Counter)
    over: dict[tuple[int, str], str] = field(default_factory=dict)


class History:
    """One partition's."""

    def __init__(self, order: Sequence[str]) -> None:
        """`order`: the reasons, of which the first that applies is the verdict."""
        self._order = [*order]
        self._span = self._minute = 0
        self._spans = (_Span(), _Span())  # this one, the one before
        self._minutes = (_Minute(), _Minute())

    def apply(self, arrived: int, hits: Sequence[Judged], settings: Mapping[str, str]) -> None:
        """Judge the campaign's requests of one message."""
        duplicate_ms, window_ms = (int(settings[f"{name}_window_s"]) * 1000 for name in ("duplicate", "attribution"))
        self._turn(arrived, max(duplicate_ms, window_ms, MINUTE_MS))
        counting = [hit for hit in hits if hit.recorded[0] != UNREGISTERED]
        for hit in counting:
            if hit.asked.kind in IMAGES and hit.asked.who != NOBODY:
                self._spans[0].images[_pixel(hit.asked)].append(hit.asked.ts)
                self._overtake(hit.asked, window_ms)
        for hit in hits:
            self._rule(hit, window_ms)
        for hit in hits:
            self._mark(hit, duplicate_ms)
        self._rate([hit for hit in counting if hit.verdict == VALID and not hit.duplicate])

    def _turn(self, arrived: int, span_ms: int) -> None:
        if (steps := arrived // span_ms - self._span) > 0:
            self._span += steps
            self._spans = (_Span(), self._spans[0] if steps == 1 else _Span())
        if (steps := arrived // MINUTE_MS - self._minute) > 0:
            self._minute += steps
            self._minutes = (_Minute(), self._minutes[0] if steps == 1 else _Minute())

    def _overtake(self, image: Asked, window_ms: int) -> None:
        """Clicks that had come before their impression."""
        for span in self._spans:
            for click in span.clicks.get(_pixel(image), ()):
                click.attributed |= 0 <= click.asked.ts - image.ts <= window_ms

    def _rule(self, hit: Judged, window_ms: int) -> None:
        asked, reasons = hit.asked, hit.reasons
        if asked.kind == "click" and asked.who != NOBODY:
            pixel = _pixel(asked)
            images = [ts for span in self._spans for ts in span.images.get(pixel, ())]
            hit.attributed = any(0 <= asked.ts - ts <= window_ms for ts in images)
            if hit.attributed and hit.network != "local" and asked.ts - min(images) < TOO_SOON_MS:
                reasons.add("click-timing")
            self._spans[0].clicks[pixel].append(hit)
        key = (asked.ts // MINUTE_MS, asked.who)
        over = [minute.over[key] for minute in self._minutes if key in minute.over]
        if over and hit.network != "shared":
            reasons.add(over[-1])
        hit.verdict = next((reason for reason in self._order if reason in reasons), VALID)
        if hit.takes_verdict:
            hit.verdict = hit.recorded[0]

    def _mark(self, hit: Judged, duplicate_ms: int) -> None:
        key = _same(hit.asked)
        if hit.verdict != VALID or key is None:
            return
        counted = [ts for span in self._spans for ts in span.counted.get(key, ())]
        is_order = hit.asked.kind == "conversion" and bool(hit.asked.order)
        hit.duplicate = any(is_order or abs(hit.asked.ts - ts) < duplicate_ms for ts in counted)
        if hit.takes_duplicate:
            hit.duplicate = hit.recorded[1]
        if not hit.duplicate:
            self._spans[0].counted[key].append(hit.asked.ts)

    def _rate(self, counted: Iterable[Judged]) -> None:
        hits = [hit.asked for hit in counted if hit.asked.who != NOBODY]
        now, before = self._minutes
        now.counted.update((hit.ts // MINUTE_MS, hit.who) for hit in hits)
        for hit in hits:
            key, second = (hit.ts // MINUTE_MS, hit.who), (hit.ts // 1000, hit.who)
            count = now.counted[key] + before.counted[key]
            if count <= MOST_A_SECOND:
                continue
            now.seconds[second] += 1
            if count > MOST_A_MINUTE:
                now.over[key] = "rate"
            elif now.seconds[second] + before.seconds[second] > MOST_A_SECOND:
                now.over.setdefault(key, "burst")


def _pixel(asked: Asked) -> tuple[str, str, str]:
    return asked.creative, asked.placement, asked.who


def _same(asked: Asked) -> object | None:
    """What a request is a duplicate by; None where it is like no other."""
    if asked.kind == "conversion" and asked.order:
        return "order", asked.order
    return None if asked.who == NOBODY else (asked.kind == "click", asked.kind == "conversion", *_pixel(asked))
