"""Minute windows per ad unit, in event time: exact counts and exact uniques of one partition."""

from collections.abc import Callable, Container

import numpy as np

from pixeltally.compiled import Array, compiled
from pixeltally.hit import Hit, Minute
from streams import revenue
from streams.columns import CLICK
from streams.hits import Hits
from streams.registry import Unit
from streams.table import Table, bring_near, enter

MINUTE_MS = 60_000

#: A hit whose time is so far ahead of the broker's clock comes from a wrong clock.
AHEAD_MS = 60_000

#: A window's columns, behind its minute (since the epoch) and the number of its ad unit.
_MINUTE, _UNIT, _GROSS, _INVALID, _DUPLICATES, _UNIQUES, _CLICKS, _ATTRIBUTED, _CONVERSIONS, _CHANGED = range(10)
_WIDTH = 10

#: The column of how many hits of a window have a verdict.
_HITS = 2

#: The number of the verdict of what is no invalid traffic.
_VALID = 0


class Windows:
    """The open windows of one partition, and the rows that have yet to be told of them.

    A hit out of time (after its minute's close, or from a clock that runs ahead) is not counted here: its minute
    is told as `late`, and is then recounted from facts.
    """

    def __init__(
        self, partition: int, lateness_ms: int, closed_before_ms: int, unit: Callable[[int], Unit], verdicts: list[str]
    ) -> None:
        """`unit` names an ad unit by its number; `verdicts` are the names of verdicts by number."""
        self._partition = partition
        self._lateness_ms = lateness_ms
        self._closed_before_ms = closed_before_ms
        self._unit = unit
        self._verdicts = verdicts
        self._open = Table(_WIDTH)
        self._visitors = Table(2)  #: (window, visitor)
        self._invalid = Table(3)  #: (window, verdict)
        self._revenue: dict[int, int] = {}  #: by window, in ten-thousandths
        self._late: dict[tuple[int, Unit], int] = {}
        self._rows: list[Minute] = []

    def __len__(self) -> int:
        return len(self._open)

    @property
    def units(self) -> frozenset[int]:
        """The numbers of the ad units that have an open window."""
        return frozenset(self._open.rows[: len(self._open), _UNIT].tolist())

    def add(
        self, hits: Hits, verdicts: Array, duplicates: Array, leaders: Container[int], arrived_ms: int
    ) -> list[int]:
        """Count hits, which the broker took at `arrived_ms`, into their minutes; the indexes of those out of time.

        `leaders` holds the indexes of clicks that are attributed.
        """
        places, late = self._add(hits, verdicts, duplicates, arrived_ms, counted=True)
        for index, hit in hits.actions.items():
            if places[index] >= 0 and verdicts[index] == _VALID and not duplicates[index]:
                self._add_action(int(places[index]), hit, index in leaders)
        return np.flatnonzero(places < 0).tolist() if late else []

    def know(self, hits: Hits, verdicts: Array, arrived_ms: int) -> None:
        """Know visitors whose requests, which the broker took at `arrived_ms`, were counted elsewhere."""
        self._add(hits, verdicts, np.zeros(len(hits), bool), arrived_ms, counted=False)

    def _add(
        self, hits: Hits, verdicts: Array, duplicates: Array, arrived_ms: int, *, counted: bool
    ) -> tuple[Array, int]:
        """Which window each hit is of (-1: it is out of time), and how many are out of time."""
        for table in (self._open, self._visitors, self._invalid):
            table.make_room(len(hits))
        places = np.empty(len(hits), np.int64)
        late = _add(
            hits.times, hits.kinds, hits.units, hits.visitors, verdicts, duplicates,
            self._closed_before_ms, arrived_ms + AHEAD_MS, counted, places,
            self._open.slots, self._open.rows, self._open.size,
            self._visitors.slots, self._visitors.rows, self._visitors.size,
            self._invalid.slots, self._invalid.rows, self._invalid.size,
        )  # fmt: skip
        return places, late

    def attribute(self, minute_ms: int, unit: int) -> bool:
        """A click that was counted has found its impression; False where its minute is closed."""
        window = self._open.find(minute_ms // MINUTE_MS, unit)
        if window < 0:
            return False
        self._open.rows[window, _ATTRIBUTED] += 1
        self._open.rows[window, _CHANGED] = 1
        return True

    def recount(self, ts_ms: int, unit: Unit, version: int) -> None:
        """Have the minute of a hit out of time recounted from facts."""
        self._late[ts_ms // MINUTE_MS, unit] = version

    def close(self, watermark_ms: int, version: int) -> None:
        """Close the minutes that end no later than the watermark less the lateness."""
        closed_before = (watermark_ms - self._lateness_ms) // MINUTE_MS * MINUTE_MS
        if closed_before <= self._closed_before_ms:
            return
        self._closed_before_ms = closed_before
        rows = self._open.rows[: len(self._open)]
        kept = rows[:, _MINUTE] * MINUTE_MS >= closed_before
        if not kept.all():
            self._rows += self._told(np.flatnonzero(~kept & (rows[:, _CHANGED] != 0)), version)
            self._forget(kept)

    def tell(self, version: int) -> list[Minute]:
        """The rows that have changed since they were last told."""
        changed = self._open.rows[: len(self._open), _CHANGED]
        rows = self._rows + self._told(np.flatnonzero(changed), version)
        for (minute, unit), late_version in self._late.items():
            rows.append(Minute(minute * 60, *unit, partition=self._partition, version=late_version, late=True))
        changed[:] = 0
        self._rows = []
        self._late.clear()
        return rows

    def _add_action(self, window: int, hit: Hit, attributed: bool) -> None:
        row = self._open.rows[window]
        if hit.kind == "click":
            row[_CLICKS] += 1
            row[_ATTRIBUTED] += attributed
        else:
            row[_CONVERSIONS] += 1
            self._revenue[window] = self._revenue.get(window, 0) + revenue.units(hit.value)

    def _forget(self, kept: Array) -> None:
        """Forget all windows but those that `kept` says yes to."""
        numbers = np.cumsum(kept) - 1
        for table in (self._visitors, self._invalid):
            rows = table.rows[: len(table)]
            windows = rows[:, 0].copy()
            rows[:, 0] = numbers[windows]
            table.keep(kept[windows])
        self._revenue = {int(numbers[window]): sum for window, sum in self._revenue.items() if kept[window]}
        self._open.keep(kept)

    def _told(self, windows: Array, version: int) -> list[Minute]:
        """The rows of windows."""
        reasons: dict[int, dict[str, int]] = {}
        if len(windows):
            for window, verdict, count in self._invalid.rows[: len(self._invalid)].tolist():
                reasons.setdefault(window, {})[self._verdicts[verdict]] = count
        return [self._row(window, version, reasons.get(window, {})) for window in windows.tolist()]

    def _row(self, window: int, version: int, reasons: dict[str, int]) -> Minute:
        minute, unit, gross, invalid, duplicates, uniques, clicks, attributed, conversions, _ = self._open.rows[
            window
        ].tolist()
        return Minute(
            minute * 60,
            *self._unit(unit),
            partition=self._partition,
            version=version,
            gross=gross,
            invalid=invalid,
            duplicates=duplicates,
            valid=gross - invalid - duplicates,
            reasons=reasons,
            uniques=uniques,
            clicks=clicks,
            attributed_clicks=attributed,
            conversions=conversions,
            revenue=revenue.text(self._revenue.get(window, 0)),
        )


@compiled
def _add(
    times: Array, kinds: Array, units: Array, visitors: Array, verdicts: Array, duplicates: Array,
    earliest: int, latest: int, counted: bool, places: Array,
    slots: Array, windows: Array, size: Array,
    visitor_slots: Array, visitor_rows: Array, visitor_size: Array,
    invalid_slots: Array, invalid_rows: Array, invalid_size: Array,
) -> int:  # fmt: skip
    """Count image requests in, and put the window of each hit into `places`; how many are out of time (-1)."""
    late = 0
    for index in range(times.size):
        if times[index] < earliest or times[index] > latest:
            places[index] = -1
            late += 1
            continue
        places[index] = enter(slots, windows, size, times[index] // MINUTE_MS, units[index])
    bring_near(visitor_slots, visitor_rows, places, visitors)
    for index in range(times.size):
        window = places[index]
        if window < 0:
            continue
        if not counted:
            if kinds[index] < CLICK and verdicts[index] == _VALID and visitors[index] != 0:
                enter(visitor_slots, visitor_rows, visitor_size, window, visitors[index])
            continue
        windows[window, _CHANGED] = 1
        if kinds[index] >= CLICK:
            continue
        windows[window, _GROSS] += 1
        if verdicts[index] != _VALID:
            windows[window, _INVALID] += 1
            reason = enter(invalid_slots, invalid_rows, invalid_size, window, verdicts[index])
            invalid_rows[reason, _HITS] += 1
            continue
        windows[window, _DUPLICATES] += duplicates[index]
        if visitors[index] != 0:
            known = visitor_size[0]
            if enter(visitor_slots, visitor_rows, visitor_size, window, visitors[index]) == known:
                windows[window, _UNIQUES] += 1
    return late
