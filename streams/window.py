"""Minute windows per ad unit, in event time: exact counts and exact uniques of one partition."""

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from pixeltally.hit import NOBODY, VALID, Fact, Hit, Minute
from streams import revenue
from streams.columns import Columns
from streams.registry import FOLDED, UNREGISTERED, Unit, unit_of

MINUTE_MS = 60_000

#: A hit whose time is so far ahead of the broker's clock comes from a wrong clock.
AHEAD_MS = 60_000

Place = tuple[int, Unit]


@dataclass(slots=True)
class Window:
    """One minute of one ad unit."""

    gross: int = 0
    duplicates: int = 0
    clicks: int = 0
    attributed_clicks: int = 0
    conversions: int = 0
    revenue: int = 0  #: in ten-thousandths
    visitors: set[int] = field(default_factory=set)
    invalid: Counter[str] = field(default_factory=Counter)  #: by verdict

    def add_action(self, hit: Hit, attributed: bool) -> None:
        """Count in a click or conversion, which is valid and no duplicate."""
        if hit.kind == "click":
            self.clicks += 1
            self.attributed_clicks += attributed
        else:
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
        self._late: dict[Place, int] = {}
        self._rows: list[Minute] = []
        self._closed_before_ms = closed_before_ms

    def __len__(self) -> int:
        return len(self._open)

    def add(
        self,
        columns: Columns,
        verdicts: Sequence[str],
        duplicates: Sequence[bool],
        leaders: Container[int],
        arrived_ms: int,
    ) -> list[int]:
        """Count hits, which the broker took at `arrived_ms`, into their minutes; the indexes of those out of time.

        `leaders` holds the indexes of clicks that are attributed.
        """
        earliest, latest = self._closed_before_ms, arrived_ms + AHEAD_MS
        places = [unit << 32 | ts // MINUTE_MS for unit, ts in zip(columns.units, columns.times, strict=True)]
        late = [index for index, ts in enumerate(columns.times) if not earliest <= ts <= latest]
        done = {*late, *columns.actions}
        for index in columns.actions:
            hit, verdict = columns.hits[index], verdicts[index]
            if earliest <= hit.ts <= latest:
                window = self._window(_place(hit, verdict))
                if verdict == VALID and not duplicates[index]:
                    window.add_action(hit, index in leaders)
        windows: dict[int, Window] = {}
        for index, (place, hit, verdict, duplicate) in enumerate(
            zip(places, columns.hits, verdicts, duplicates, strict=True)
        ):
            if index in done:
                continue
            window = windows.get(place) or windows.setdefault(place, self._window(_place(hit, verdict)))
            window.gross += 1
            if verdict != VALID:
                window.invalid[verdict] += 1
                continue
            window.duplicates += duplicate
            if hit.visitor != NOBODY:
                window.visitors.add(hit.visitor)
        return late

    def attribute(self, click: Fact) -> bool:
        """A click that was counted has found its impression; False where its minute is closed."""
        place = _place(click, click.verdict)
        window = self._open.get(place)
        if window is None:
            return False
        window.attributed_clicks += 1
        self._changed.add(place)
        return True

    def recount(self, hit: Hit, verdict: str, version: int) -> None:
        """Have the minute of a hit out of time recounted from facts."""
        self._late[_place(hit, verdict)] = version

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
        rows += [self._row(place, Window(), version, late=True) for place, version in self._late.items()]
        self._rows = []
        self._changed.clear()
        self._late.clear()
        return rows

    def _window(self, place: Place) -> Window:
        self._changed.add(place)
        window = self._open.get(place)
        if window is None:
            window = self._open[place] = Window()
        return window

    def _row(self, place: Place, window: Window, version: int, late: bool = False) -> Minute:
        minute_ms, unit = place
        return Minute(
            minute_ms // 1000,
            *unit,
            partition=self._partition,
            version=version,
            gross=window.gross,
            invalid=window.invalid.total(),
            duplicates=window.duplicates,
            valid=window.gross - window.invalid.total() - window.duplicates,
            reasons=dict(window.invalid),
            uniques=len(window.visitors),
            clicks=window.clicks,
            attributed_clicks=window.attributed_clicks,
            conversions=window.conversions,
            revenue=revenue.text(window.revenue),
            late=late,
        )


def _place(hit: Hit, verdict: str) -> Place:
    return hit.ts // MINUTE_MS * MINUTE_MS, FOLDED if verdict == UNREGISTERED else unit_of(hit)
