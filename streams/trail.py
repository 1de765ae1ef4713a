"""What follows what: leaders and followers with the same key, in whatever order they arrive.

A follower's leader is the latest no more than the window before it. It may arrive after its follower (another node
was late): then the follower is `overtaken`, and has to be given out again.
"""

from bisect import bisect_right, insort_right
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter

from pixeltally.hit import Hit
from streams.memory import Memory

#: The time and id of what others may follow; of two at the same time the one with the greater id is the later.
Leader = tuple[int, str]


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


class Trail:
    """Leaders and followers by key, as long as they are remembered."""

    def __init__(self, span_ms: int, window_ms: int) -> None:
        self._window_ms = window_ms
        self._leaders: Memory[Hashable, list[Leader]] = Memory(span_ms)
        self._followers: Memory[Hashable, list[Follower]] = Memory(span_ms)

    def __len__(self) -> int:
        return len(self._leaders) + len(self._followers)

    def turn(self, arrived_ms: int) -> None:
        """Move on to the time of arrival `arrived_ms`."""
        self._leaders.turn(arrived_ms)
        self._followers.turn(arrived_ms)

    def lead(self, keys: Iterable[Hashable | None], times: Iterable[int], hits: Iterable[Hit]) -> None:
        """Remember leaders by their keys; one without a key is passed over."""
        young = self._leaders.young
        for key, ts, hit in zip(keys, times, hits, strict=True):
            if key is None:
                continue
            known = young.get(key)
            if known is None:
                young[key] = [(ts, hit.id)]
            else:
                insort_right(known, (ts, hit.id))

    def leader(self, key: Hashable, ts: int) -> Leader | None:
        """Whom a follower at `ts` follows, as far as is known."""
        latest = None
        for known in (self._leaders.old.get(key), self._leaders.young.get(key)):
            before = bisect_right(known, ts, key=itemgetter(0)) if known else 0
            if known and before and (latest is None or latest < known[before - 1]):
                latest = known[before - 1]
        return latest if latest and ts - latest[0] <= self._window_ms else None

    def first(self, key: Hashable) -> Leader:
        """The earliest leader that is remembered. Raises ValueError where none is."""
        known = (self._leaders.old.get(key), self._leaders.young.get(key))
        return min(leaders[0] for leaders in known if leaders)

    def follow(self, key: Hashable, follower: Follower) -> None:
        """Remember a follower."""
        self._followers.young.setdefault(key, []).append(follower)

    def overtaken(self, keys: Sequence[Hashable | None], hits: Sequence[Hit]) -> Iterator[tuple[Follower, Leader]]:
        """Remembered followers that one of these has come late for, with their new leaders, the latest last."""
        if not self._followers:
            return
        with_followers = (self._followers.old.keys() & keys) | (self._followers.young.keys() & keys)
        late = [((hit.ts, hit.id), key) for key, hit in zip(keys, hits, strict=True) if key in with_followers]
        for leader, key in sorted(late, key=itemgetter(0)):
            for follower in self._of(key):
                if follower.may_follow(leader, self._window_ms):
                    yield follower, leader

    def find(self, key: Hashable, id: str) -> Follower | None:
        """The remembered follower with this id."""
        return next((follower for follower in self._of(key) if follower.id == id), None)

    def _of(self, key: Hashable | None) -> list[Follower]:
        return self._followers.old.get(key, []) + self._followers.young.get(key, [])
