"""What is looked at: a board, a range, a time zone and a choice of advertiser, campaign and creative.

A view stands in the URL and nowhere else, so that it can be sent to someone:
`/campaign?range=24h&advertiser=acme&campaign=spring&zone=Europe/Berlin`, or with `from` and `to` instead of `range`:
days (both included) or minutes, of that time zone.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from typing import NamedTuple
from urllib.parse import parse_qs, urlencode
from zoneinfo import ZoneInfo, available_timezones

from dashboards.boards import BOARDS, TENANT_BOARDS
from dashboards.boards.board import SCOPES, Board
from dashboards.macros import TIMEZONE
from pixeltally.hit import NAME_PATTERN

#: The ranges on offer, up to now: name in the URL → seconds, label.
SPANS = {
    "15m": (900, "15 min"),
    "1h": (3600, "1 h"),
    "6h": (6 * 3600, "6 h"),
    "24h": (86_400, "24 h"),
    "7d": (7 * 86_400, "7 d"),
    "30d": (30 * 86_400, "30 d"),
}
FIRST_SPAN = "1h"

MINUTE_S = 60
#: Steps between a series' moments, seconds: each a part of a day.
_STEPS_S = (60, 300, 900, 1800, 3600, 7200, 21_600, 43_200, 86_400)
_MOST_MOMENTS = 120

_DAY, _MINUTE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII), re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d", re.ASCII)


class Wrong(Exception):
    """A URL shows no view; its text is one sentence for whoever opened it."""


class Window(NamedTuple):
    """A range in epoch seconds, its end left out, and the step between a series' moments."""

    start_s: int
    end_s: int
    step_s: int


@dataclass(frozen=True)
class View:
    """What one page shows. `tenant` is the advertiser that alone may be shown; empty: all."""

    board: Board
    zone: str = "UTC"
    span: str = FIRST_SPAN  #: empty: from `first` to `last`, as they stand in the URL
    first: str = ""
    last: str = ""
    chosen: tuple[tuple[str, str], ...] = ()
    tenant: str = ""
    has_zone: bool = False  #: the zone stands in the URL, else it is the viewer's

    @property
    def choice(self) -> dict[str, str]:
        """What is chosen of the board's scope, the tenant's advertiser included."""
        own = {"advertiser": self.tenant} if self.tenant else {}
        known = {scope: name for scope, name in self.chosen if scope in self.board.scope} | own
        return {scope: known[scope] for scope in SCOPES if scope in known}

    @property
    def question(self) -> "View":
        """The view without what doesn't change its answers."""
        return replace(self, chosen=tuple(self.choice.items()), has_zone=False)

    @property
    def range_label(self) -> str:
        """The range in words, as in “in the …”."""
        return f"last {SPANS[self.span][1]}" if self.span else f"range from {self.first} to {self.last}"

    def window(self, now_s: float) -> Window:
        """The range at `now_s`. One that ends now has whole moments, and the minute that is open at its end."""
        open_end = int(now_s) // MINUTE_S * MINUTE_S + MINUTE_S
        if self.span:
            length_s = SPANS[self.span][0]
            step_s = _step_s(length_s)
            return Window((open_end - MINUTE_S - length_s) // step_s * step_s, open_end, step_s)
        start_s, end_s = self._ends()
        step_s = _step_s(end_s - start_s, start_s)
        return Window(start_s, max(min(end_s, open_end), start_s + MINUTE_S), step_s)

    def _ends(self) -> tuple[int, int]:
        zone = ZoneInfo(self.zone)
        start = datetime.fromisoformat(self.first).replace(tzinfo=zone)
        end = datetime.fromisoformat(self.last) + timedelta(days=bool(_DAY.fullmatch(self.last)))
        return int(start.timestamp()), int(end.replace(tzinfo=zone).timestamp())

    def variables(self) -> tuple[dict[str, str], dict[str, str]]:
        """(what takes the place of Grafana's variables in SQL, the parameters that it names).

        No text of the URL becomes SQL: values are bound.
        """
        choice = self.choice
        texts: dict[str, str] = {scope: f"{{{scope}:String}}" if scope in choice else scope for scope in SCOPES}
        return texts | {TIMEZONE: "{zone:String}"}, {**choice, "zone": self.zone}

    def href(self, board: Board | None = None, **chosen: str) -> str:
        """The URL of this view, of another board, or of another choice; what the board can't choose is left out."""
        other = replace(self, board=board or self.board)
        choice: Mapping[str, str] = {**dict(self.chosen), **chosen}
        query = {"range": self.span} if self.span else {"from": self.first, "to": self.last}
        query = {} if query == {"range": FIRST_SPAN} else query
        query |= {"zone": self.zone} if self.has_zone else {}
        query |= {scope: choice[scope] for scope in other.board.scope if choice.get(scope)}
        text = urlencode(query, safe="/:")
        return f"{path(other.board)}?{text}" if text else path(other.board)


def boards(tenant: str) -> tuple[Board, ...]:
    """The boards that may be looked at, the first one at `/`."""
    return TENANT_BOARDS if tenant else BOARDS


def path(board: Board) -> str:
    """Where a board is: `/campaign`."""
    return "/" + board.uid.removeprefix("pixeltally-")


def read(path_: str, query: str, viewers_zone: str, tenant: str = "") -> View:
    """The view that a URL shows to whoever may see `tenant`'s rows alone (empty: all); raises :class:`Wrong`."""
    offered = {path(board): board for board in boards(tenant)}
    board = offered.get(path_) if path_ != "/" else boards(tenant)[0]
    if board is None:
        raise Wrong(f"There is no board {path_}.")
    given = {name: values[-1] for name, values in parse_qs(query.removeprefix("?")).items()}
    zone = given.get("zone") or (viewers_zone if viewers_zone in zones() else "UTC")
    if zone not in zones():
        raise Wrong(f"There is no time zone {zone[:40]!r}; one is Europe/Berlin.")
    open_scopes = SCOPES[1:] if tenant else SCOPES
    chosen = tuple((scope, given[scope]) for scope in open_scopes if scope in given)
    for scope, name in chosen:
        if re.fullmatch(NAME_PATTERN, name, re.ASCII) is None:
            raise Wrong(f"{name[:40]!r} names no {scope}: names are of a-z 0-9 . _ -")
    view = View(board, zone, chosen=chosen, tenant=tenant, has_zone="zone" in given)
    if "from" in given or "to" in given:
        return _between(view, given.get("from", ""), given.get("to", ""))
    span = given.get("range", FIRST_SPAN)
    if span not in SPANS:
        raise Wrong(f"range={span[:40]} is not on offer: {', '.join(SPANS)}, or from and to.")
    return replace(view, span=span)


@cache
def zones() -> frozenset[str]:
    """Names of the IANA time zone database."""
    return frozenset(available_timezones() - {"localtime"})


def _between(view: View, first: str, last: str) -> View:
    for text in (first, last):
        if not (_DAY.fullmatch(text) or _MINUTE.fullmatch(text)):
            raise Wrong("from and to are days such as 2026-11-30, or minutes such as 2026-11-30T18:00.")
    between = replace(view, span="", first=first, last=last)
    try:
        start_s, end_s = between._ends()
    except (ValueError, OverflowError):
        raise Wrong(f"There is no such time as {first} or {last}.") from None
    if not 0 <= start_s < end_s < 1 << 32:
        raise Wrong(f"The range from {first} to {last} is empty.")
    return between


def _step_s(length_s: int, start_s: int = 0) -> int:
    """The finest step of no more moments than a chart can show; rather finer where whole ones end at the start."""
    step_s = next((step for step in _STEPS_S if length_s / step <= _MOST_MOMENTS), _STEPS_S[-1])
    whole = [step for step in _STEPS_S if step <= step_s and start_s % step == 0]
    return max((step for step in whole if length_s / step <= 4 * _MOST_MOMENTS), default=step_s)
