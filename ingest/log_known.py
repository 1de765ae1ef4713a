"""What lines of a log have in common, judged once: days, who asked, what was asked; and the pieces that hits share.

It asks `ingest.log_judge` and `ingest.visitor`, a text at a time.
"""

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from ingest.hit_lines import ASKED_WIDTH, HIT, UNSURE, WHO_WIDTH
from ingest.log_judge import Left, Page, judgement
from ingest.log_lines import AGENT, ASKED, DAY, PEER, QUERY, STATUS, ZONE
from ingest.logged import Logged, Unreadable, clf_time
from ingest.request import Request
from ingest.visitor import Unknown, visitors
from pixeltally.cache import Cache
from pixeltally.compiled import Array, signed
from pixeltally.fragment import Fragments, fragment
from pixeltally.hit import Hit
from pixeltally.settings import Settings

_Any = TypeVar("_Any")

#: Bytes of pieces at which all is forgotten; texts are forgotten at as many.
_MOST_PIECES_BYTES = 64 << 20

#: Entries that are remembered: no fewer than what so many bytes hold.
_ENOUGH = 1 << 40

#: The time of a day that is none.
_NEVER_S = -(1 << 40)

#: What is asked is judged with this address: whose it is doesn't matter.
_SOMEONE = "192.0.2.1"


class Answers(NamedTuple):
    """Of each line: the day's beginning in epoch seconds, who asked, what was asked (`ingest.hit_lines`)."""

    midnights: Array
    whos: Array
    asked: Array


class Known:
    """Remembers what it was asked, up to a bound."""

    def __init__(self, settings: Settings, pages: Sequence[Page], now_s: float) -> None:
        self._judge, self._visitor, self._now_s = judgement(settings, pages, now_s), visitors(settings), now_s
        self._who = [PEER, AGENT] if settings.visitor == "ip+ua" else [PEER]
        self._forget()

    def _forget(self) -> None:
        self._midnights = Cache(1, _ENOUGH, texts=2)
        self._whos = Cache(WHO_WIDTH, _ENOUGH, texts=len(self._who))
        self._asked = Cache(ASKED_WIDTH, _ENOUGH, texts=3)
        self._pieces = Fragments()
        self.lefts: list[Left] = []  #: why lines are no hits, by number less one
        self.suffixes: list[str] = []  #: what nodes' names have more, by number

    @property
    def pieces(self) -> Array:
        """The text that pieces stand in."""
        return self._pieces.text

    def look_up(self, text: Array, columns: Array) -> Answers:
        """What is known of lines that were read."""
        if len(self.pieces) > _MOST_PIECES_BYTES:
            self._forget()
        return Answers(
            self._midnights.look_up(text, _spans(columns, DAY, ZONE), self._answer_midnights),
            self._whos.look_up(text, _spans(columns, *self._who), self._answer_whos),
            self._asked.look_up(text, _spans(columns, ASKED, QUERY, STATUS), self._answer_asked),
        )

    def nodes(self, node: str) -> Array:
        """The pieces of a node's name and of those with a suffix, a row each."""
        names = [node + suffix for suffix in self.suffixes]
        rows = [(*self._piece(f"{name}:"), *self._piece(f',"node":"{name}","seq":')) for name in names]
        return np.array(rows, np.int64).reshape(-1, 4)

    def suffix(self, suffix: str) -> int:
        """The number of what a node's name has more."""
        return _number(self.suffixes, suffix)

    def _answer_midnights(self, questions: list[tuple[str, ...]]) -> list[tuple[int]]:
        return [(_midnight(day, zone),) for day, zone in questions]

    def _answer_whos(self, questions: list[tuple[str, ...]]) -> list[tuple[int, ...]]:
        return [self._answer_who(*question) for question in questions]

    def _answer_who(self, peer: str, agent: str = "") -> tuple[int, ...]:
        try:
            who = self._visitor(Request(self._now_s, "", peer, user_agent=agent), "", "")
        except Unknown:
            return (0, 0, 0)
        return (signed(who.number), *self._pieces.place(fragment(ip=who.ip)))

    def _answer_asked(self, questions: list[tuple[str, ...]]) -> list[tuple[int, ...]]:
        return [self._answer_one_asked(*question) for question in questions]

    def _answer_one_asked(self, asked: str, query: str, status: str) -> tuple[int, ...]:
        # Who names a subscriber is counted without an address.
        found, names_itself = self._judged(asked, query, status, ""), True
        if not isinstance(found, Hit):
            found, names_itself = self._judged(asked, query, status, _SOMEONE), False
        if isinstance(found, Left):
            return (_number(self.lefts, found) + 1 if found.kind == "other" else UNSURE, *[0] * (ASKED_WIDTH - 1))
        what = fragment(kind=found.kind, advertiser=found.advertiser, campaign=found.campaign)
        unit = fragment(creative=found.creative, placement=found.placement, subscriber=found.subscriber)
        rest = fragment(
            purpose=found.purpose, params=found.params, order=found.order, value=found.value, currency=found.currency,
            click_id=found.click_id,
        )  # fmt: skip
        return (
            HIT, signed(found.visitor) if names_itself else 0, self.suffix(found.node),
            *self._pieces.place(what + b',"visitor":'), *self._piece(f"{found.advertiser}/{found.campaign}|"),
            *self._pieces.place(unit), *self._pieces.place(rest + b"}\n"),
        )  # fmt: skip

    def _judged(self, asked: str, query: str, status: str, peer: str) -> Hit | Left:
        method, _, path = asked.partition(" ")
        request = Request(self._now_s, f"{path}?{query}", peer, method=method)
        return self._judge(Logged(request, int(status)), "", 0)

    def _piece(self, text: str) -> tuple[int, int]:
        return self._pieces.place(text.encode())


def _spans(columns: Array, *fields: int) -> Array:
    """The rows of these texts."""
    return columns[[row for field in fields for row in (field, field + 1)]]


def _midnight(day: str, zone: str) -> int:
    try:
        return clf_time(f"{day}:00:00:00 {zone}")
    except Unreadable:
        return _NEVER_S


def _number(known: list[_Any], one: _Any) -> int:
    """Its number among the few that are known, which may be new."""
    if one not in known:
        known.append(one)
    return known.index(one)
