"""What follows what: leaders and followers with the same key, in whatever order they arrive.

A follower's leader is the latest no more than the window before it. It may arrive after its follower (another node
was late): then the follower is `overtaken`, and has to be given out again.

Leaders are rows in order of arrival, each with the number of the one before it of the same key; a key's row in `Visits`
leads to its newest. Nearly all come in order of time, so that the first looked at is the one.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass

import numpy as np

from pixeltally.compiled import Array, compiled, prefetch
from streams.columns import id_text
from streams.memory import Memory
from streams.table import with_room
from streams.visits import OLDER, Visits

#: The time and id of what others may follow; of two at the same time the one with the greater id is the later.
Leader = tuple[int, str]

#: A key's columns in `Visits`: its newest leader, plus one; the time of its earliest; that of the latest follower.
NEWEST, EARLIEST, FOLLOWED = 5, 6, 7

#: The width of a table with these columns.
WIDTH = 8

#: A leader's columns; `_LATEST` is the latest time of it and those before it of its key.
_TIME, _HIGH, _LOW, _BEFORE, _LATEST = range(5)

_FIRST_LEADERS = 1024


@dataclass(slots=True)
class Follower:
    """What came after a leader, or may turn out to have."""

    ts: int
    id: str
    leader: Leader | None
    fact: bytes  #: as it was given out last

    def may_follow(self, leader: Leader, window_ms: int) -> bool:
        """Whether `leader` is one of its, and later than the one that it has."""
        return 0 <= self.ts - leader[0] <= window_ms and (self.leader is None or self.leader < leader)


class _Leaders:
    def __init__(self) -> None:
        self.rows: Array = np.empty((_FIRST_LEADERS, 5), np.int64)
        self.count = 0

    def make_room(self, count: int) -> None:
        self.rows = with_room(self.rows, self.count, self.count + count)


class Trail:
    """Leaders and followers by key, as long as they are remembered; `visits` has the keys' rows."""

    def __init__(self, visits: Visits, span_ms: int, window_ms: int) -> None:
        self._visits = visits
        self._window_ms = window_ms
        self._young, self._old = _Leaders(), _Leaders()
        self._followers: Memory[Hashable, list[Follower]] = Memory(span_ms)

    def __len__(self) -> int:
        return self._young.count + self._old.count + len(self._followers)

    def turn(self, arrived_ms: int, spans: int) -> None:
        """Move on to the time of arrival `arrived_ms`, by so many spans, as the keys do."""
        if spans:
            self._young, self._old = _Leaders(), self._young if spans == 1 else _Leaders()
        self._followers.turn(arrived_ms)

    def lead(self, keys: Array, times: Array, ids: Array) -> list[int]:
        """Remember leaders by their keys' rows (-1 is passed over); which of them came late for a follower, perhaps."""
        young, late = self._young, np.empty(len(keys), bool)
        young.make_room(len(keys))
        rows, old_rows = self._visits.young.rows, self._visits.old.rows
        young.count, any_late = _lead(keys, times, ids, rows, old_rows, young.rows, young.count, late)
        return np.flatnonzero(late).tolist() if any_late else []

    def leader(self, key: int, ts: int) -> Leader | None:
        """Whom a follower at `ts` with the key in this row follows, as far as is known."""
        row = self._visits.young.rows[key]
        found = [_latest(self._young.rows, row[NEWEST] - 1, ts)]
        if row[OLDER]:
            older = self._visits.old.rows[row[OLDER] - 1]
            found.append(_latest(self._old.rows, older[NEWEST] - 1, ts))
        known = [
            (int(rows[place, _TIME]), id_text(rows[place, _HIGH : _LOW + 1]))
            for place, rows in zip(found, (self._young.rows, self._old.rows), strict=False)
            if place >= 0
        ]
        latest = max(known, default=None)
        return latest if latest and ts - latest[0] <= self._window_ms else None

    def earliest_ms(self, key: int) -> int:
        """The time of the earliest leader of the key in this row. Raises ValueError where none is remembered."""
        row = self._visits.young.rows[key]
        older = self._visits.old.rows[row[OLDER] - 1] if row[OLDER] else row
        return min(int(each[EARLIEST]) for each in (row, older) if each[NEWEST])

    def follow(self, key: int, follower: Follower) -> None:
        """Remember a follower of the key in this row."""
        row = self._visits.young.rows[key]
        row[FOLLOWED] = max(row[FOLLOWED], follower.ts)
        self._followers.young.setdefault(tuple(row[:2].tolist()), []).append(follower)

    def overtaken(self, keys: Array, leaders: list[Leader]) -> Iterator[tuple[Follower, Leader]]:
        """Remembered followers that one of these has come late for, with their new leaders, the latest last."""
        for leader, key in sorted(zip(leaders, keys.tolist(), strict=True)):
            for follower in self._of(key):
                if follower.may_follow(leader, self._window_ms):
                    yield follower, leader

    def find(self, key: int, id: str) -> Follower | None:
        """The remembered follower with this id."""
        return next((follower for follower in self._of(key) if follower.id == id), None)

    def _of(self, key: int) -> list[Follower]:
        name = tuple(self._visits.young.rows[key, :2].tolist())
        return self._followers.old.get(name, []) + self._followers.young.get(name, [])


@compiled
def _lead(
    keys: Array, times: Array, ids: Array, rows: Array, old_rows: Array,
    leaders: Array, count: int, late: Array,
) -> tuple[int, bool]:  # fmt: skip
    any_late = False
    for index in range(keys.size):
        if keys[index] >= 0 and rows[keys[index], NEWEST] != 0:
            prefetch(leaders, rows[keys[index], NEWEST] - 1)
    for index in range(keys.size):
        key, ts = keys[index], times[index]
        late[index] = False
        if key < 0:
            continue
        newest, latest = rows[key, NEWEST], ts
        if newest == 0 or ts < rows[key, EARLIEST]:
            rows[key, EARLIEST] = ts
        if newest != 0:
            latest = max(ts, leaders[newest - 1, _LATEST])
        leaders[count, _TIME], leaders[count, _HIGH], leaders[count, _LOW] = ts, ids[0, index], ids[1, index]
        leaders[count, _BEFORE], leaders[count, _LATEST] = newest, latest
        count += 1
        rows[key, NEWEST] = count
        older = rows[key, OLDER] - 1
        late[index] = ts <= rows[key, FOLLOWED] or (older >= 0 and ts <= old_rows[older, FOLLOWED])
        any_late |= late[index]
    return count, any_late


@compiled
def _latest(leaders: Array, newest: int, ts: int) -> int:
    """The latest leader no later than `ts` of those from `newest` on; -1 where there is none."""
    found, at = -1, newest
    while at >= 0 and (found < 0 or leaders[at, _LATEST] >= leaders[found, _TIME]):
        if leaders[at, _TIME] <= ts and (found < 0 or _is_later(leaders, at, found)):
            found = at
        at = leaders[at, _BEFORE] - 1
    return found


@compiled
def _is_later(leaders: Array, one: int, other: int) -> bool:
    if leaders[one, _TIME] != leaders[other, _TIME]:
        return bool(leaders[one, _TIME] > leaders[other, _TIME])
    if leaders[one, _HIGH] != leaders[other, _HIGH]:
        return bool(np.uint64(leaders[one, _HIGH]) > np.uint64(leaders[other, _HIGH]))
    return bool(np.uint64(leaders[one, _LOW]) > np.uint64(leaders[other, _LOW]))
