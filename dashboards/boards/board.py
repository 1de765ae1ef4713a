"""What a board is, and the pieces of SQL that boards share.

Ratios are sums ÷ sums over the rows they speak of, and uniques are counted over exactly these: neither is ever an
average or a sum of finer ones.
"""

from dataclasses import dataclass
from typing import Literal

from dashboards.panel import Panel

Scope = Literal["advertiser", "campaign", "creative"]

#: A hit that counts.
COUNTED = "verdict = 'valid' AND NOT duplicate"
#: Distinct visitors; a request that asked not to be known (visitor 0) is nobody's.
UNIQUES = "uniqExactIf(visitor, verdict = 'valid' AND visitor != 0)"

#: The viewer's time zone. Grafana says `utc` where ClickHouse knows UTC.
ZONE = "if('${__timezone}' = 'utc', 'UTC', '${__timezone}')"

_CHOSEN = {scope: f"{scope} IN (${{{scope}:singlequote}})" for scope in ("advertiser", "campaign", "creative")}
#: What the board's variables choose, for a WHERE.
OF_CAMPAIGN = f"{_CHOSEN['advertiser']} AND {_CHOSEN['campaign']}"
OF_CREATIVE = f"{OF_CAMPAIGN} AND {_CHOSEN['creative']}"


@dataclass(frozen=True)
class Place:
    """A panel's size on the board: Grafana's grid is 24 wide, a row of it 30 pixels high."""

    panel: Panel
    width: int
    height: int = 8


@dataclass(frozen=True)
class Board:
    """Panels in reading order; `scope` names the variables, each held to what the ones before it chose."""

    uid: str
    title: str
    description: str
    places: tuple[Place, ...]
    scope: tuple[Scope, ...] = ()
    refresh: str = "1m"
    since: str = "now-24h"
