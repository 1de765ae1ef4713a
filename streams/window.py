"""Minute windows per ad unit, in event time: exact counts and exact uniques of one partition."""

from dataclasses import dataclass, field

from pixeltally.hit import IMAGE_KINDS, NOBODY, Hit, Minute
from streams import revenue
from streams.registry import FOLDED, UNREGISTERED, Unit, unit_of

MINUTE_MS = 60_000

#: A hit whose time is so far ahead of the broker's clock comes from a wrong clock.
AHEAD_MS = 60_000

Place = tuple[int, Unit]


@dataclass(slots=True)
class Window:
    """One minute of one ad unit."""

    gross: int = 0
    invalid: int = 0
    duplicates: int = 0
    clicks: int = 0
    attributed_clicks: int = 0
    conversions: int = 0
    revenue: int = 0  #: in ten-thousandths
    visitors: set[int] = field(default_factory=set)

    def add(self, hit: Hit, verdict: str, duplicate: bool, attributed: bool) -> None:
        """Count a hit in. What is both invalid and a duplicate counts as a duplicate."""
        if hit.kind in IMAGE_KINDS:
            self.gross += 1
            self.duplicates += duplicate
            if verdict != "valid":
                self.invalid += not duplicate
            elif hit.visitor != NOBODY:
                self.visitors.add(hit.visitor)
        elif verdict != "valid" or duplicate:
            pass
        elif hit.kind == "click":
            self.clicks += 1
            self.attributed_clicks += attributed
        elif hit.kind == "conversion":
            self.conversions += 1
            self.revenue += revenue.units(hit.value)


class Windows:
    """The open windows of one partition, and the rows that have yet to be told of them.

    A hit out of time (after its minute's close, or from a clock that runs ahead) is not counted here: its minute
    is told as `late`, and is then recounted from facts.
    """

    def __init__(self, partition: int, lateness_ms: int, closed_before_ms: int) -> None:
        self._partition = partition
        self._lateness_ms = lateness_ms
        self._open: dict[Place, Window] = {}
        self._changed: set[Place] = set()
        self._rows: list[Minute] = []
        self._closed_before_ms = closed_before_ms

    def __len__(self) -> int:
        return len(self._open)

    def add(self, hit: Hit, arrived_ms: int, verdict: str, duplicate: bool, attributed: bool) -> bool:
        """Count a hit, which the broker took at `arrived_ms`, into its minute; False where it is out of time."""
        minute_ms = hit.ts // MINUTE_MS * MINUTE_MS
        if minute_ms < self._closed_before_ms or hit.ts > arrived_ms + AHEAD_MS:
            return False
        place = (minute_ms, _counted_under(hit, verdict))
        window = self._open.get(place)
        if window is None:
            window = self._open[place] = Window()
        window.add(hit, verdict, duplicate, attributed)
        self._changed.add(place)
        return True

    def recount(self, hit: Hit, verdict: str, version: int) -> None:
        """Have the minute of a hit out of time recounted from facts."""
        place = (hit.ts // MINUTE_MS * MINUTE_MS, _counted_under(hit, verdict))
        self._rows.append(self._row(place, Window(), version, late=True))

    def close(self, watermark_ms: int, version: int) -> None:
        """Close the minutes that end no later than the watermark less the lateness."""
        closed_before = (watermark_ms - self._lateness_ms) // MINUTE_MS * MINUTE_MS
        if closed_before <= self._closed_before_ms:
            return
        self._closed_before_ms = closed_before
        for place in [place for place in self._open if place[0] < closed_before]:
            window = self._open.pop(place)
            if place in self._changed:
                self._changed.remove(place)
                self._rows.append(self._row(place, window, version))

    def tell(self, version: int) -> list[Minute]:
        """The rows that have changed since they were last told."""
        rows = self._rows + [self._row(place, self._open[place], version) for place in self._changed]
        self._rows = []
        self._changed.clear()
        return rows

    def _row(self, place: Place, window: Window, version: int, late: bool = False) -> Minute:
        minute_ms, unit = place
        return Minute(
            minute_ms // 1000,
            *unit,
            partition=self._partition,
            version=version,
            gross=window.gross,
            invalid=window.invalid,
            duplicates=window.duplicates,
            valid=window.gross - window.invalid - window.duplicates,
            uniques=len(window.visitors),
            clicks=window.clicks,
            attributed_clicks=window.attributed_clicks,
            conversions=window.conversions,
            revenue=revenue.text(window.revenue),
            late=late,
        )


def _counted_under(hit: Hit, verdict: str) -> Unit:
    return FOLDED if verdict == UNREGISTERED else unit_of(hit)
