"""What a board is, and the pieces of SQL that boards share.

Ratios are sums ÷ sums over the rows they speak of, and uniques are counted over exactly these: neither is ever an
average or a sum of finer ones. SQL reads the contract's views and takes range and choice from macros and variables of
Grafana and its plugin; :mod:`dashboards.macros` puts in for the live page what they put in.
"""

from dataclasses import dataclass
from typing import Literal

from dashboards.panel import Column, Panel

Scope = Literal["advertiser", "campaign", "creative"]
SCOPES: tuple[Scope, ...] = ("advertiser", "campaign", "creative")

#: A hit that counts.
COUNTED = "verdict = 'valid' AND NOT duplicate"

#: The viewer's time zone. Grafana says `utc` where ClickHouse knows UTC.
ZONE = "if('${__timezone}' = 'utc', 'UTC', '${__timezone}')"

#: Not what nobody registered, which counts have under names of their own.
NAMED = "NOT startsWith(advertiser, '~')"

_CHOSEN = {scope: f"{scope} IN (${{{scope}:singlequote}})" for scope in SCOPES}
#: What the board's variables choose, for a WHERE.
OF_CAMPAIGN = f"{_CHOSEN['advertiser']} AND {_CHOSEN['campaign']}"
OF_CREATIVE = f"{OF_CAMPAIGN} AND {_CHOSEN['creative']}"

#: Columns that name a campaign, and an ad unit of it; a name leads to the board Campaign, which shows that alone.
CAMPAIGN_NAME = (
    Column("advertiser", "Advertiser", "text", link="pixeltally-campaign"),
    Column("campaign", "Campaign", "text", link="pixeltally-campaign"),
)
UNIT_NAME = (
    *CAMPAIGN_NAME,
    Column("creative", "Creative", "text", link="pixeltally-campaign"),
    Column("placement", "Placement", "text"),
)

#: Behind ORDER BY: a moment without hits is one with none, not one that is left out.
FILL = (
    "WITH FILL FROM toStartOfInterval($__fromTime, INTERVAL $__interval_s second) TO $__toTime"
    " STEP INTERVAL $__interval_s second"
)


_UNIT = "advertiser, campaign, creative, placement"
_COUNTS = f"{_UNIT}, gross, invalid, duplicates, valid, clicks, reasons"
_IN_RANGE = "{0} >= {1} AND {0} < {2}"
_WHOLE = "{0} >= toStartOfInterval({1} + 899, INTERVAL 15 minute) AND {0} < toStartOfInterval({2}, INTERVAL 15 minute)"

#: The range's first moment, and the first after it.
RANGE = ("$__fromTime", "$__toTime")


def counts(where: str = "1", *, steps: bool = False, span: tuple[str, str] = RANGE) -> str:
    """What adds up to the counts of the minutes that begin in the range, for a FROM: quarter hours, and minutes where
    it cuts one or a day is open.

    With `steps`, minutes alone where the steps of a series are no quarter hours.
    """
    return f"""(
    SELECT slice AS start, {_COUNTS} FROM counted_parts WHERE {_whole("slice", steps, span)} AND {where}
    UNION ALL
    SELECT minute AS start, {_COUNTS} FROM open_parts
    WHERE {_IN_RANGE.format("minute", *span)} AND (open OR NOT ({_whole("minute", steps, span)})) AND {where}
) AS c"""


def visitors(where: str = "1", *, steps: bool = False, span: tuple[str, str] = RANGE) -> str:
    """Sets whose distinct `visitors` are the unique IPs of the same minutes, for a FROM: of whole quarter hours, and of
    facts where the range cuts one."""
    return f"""(
    SELECT slice AS start, {_UNIT}, visitors FROM slice_visitors WHERE {_whole("slice", steps, span)} AND {where}
    UNION ALL
    SELECT toStartOfMinute(ts)::DateTime('UTC') AS start, {_UNIT}, [visitor] FROM impressions
    WHERE {_IN_RANGE.format("start", *span)} AND NOT ({_whole("start", steps, span)})
        AND verdict = 'valid' AND visitor != 0 AND {where}
) AS v"""


def reached(where: str = "1", *, steps: bool = False, span: tuple[str, str] = RANGE) -> str:
    """Both, for a FROM."""
    return f"""(
    SELECT start, {_UNIT}, gross, invalid, duplicates, valid, clicks, emptyArrayUInt64() AS visitors
    FROM {counts(where, steps=steps, span=span)}
    UNION ALL
    SELECT start, {_UNIT}, 0, 0, 0, 0, 0, visitors
    FROM {visitors(where, steps=steps, span=span)}
) AS r"""


def orders(where: str = "1", *, span: tuple[str, str] = RANGE) -> str:
    """Orders that count and were reported in the range, each once, for a FROM."""
    return f"(SELECT * FROM orders_between(since = {span[0]}, until = {span[1]}) WHERE {where}) AS o"


def origins(of: Literal["country", "isp", "device"], where: str = "1", *, span: tuple[str, str] = RANGE) -> str:
    """The range's impressions by the `name` of where they came from, for a FROM."""
    return f"(SELECT * FROM origins_between(of = '{of}', since = {span[0]}, until = {span[1]}) WHERE {where}) AS f"


def _whole(start: str, steps: bool, span: tuple[str, str]) -> str:
    """Whether its quarter hour lies in the range whole, and in one step of a series where that has steps."""
    return _WHOLE.format(start, *span) + (" AND $__interval_s % 900 = 0" if steps else "")


@dataclass(frozen=True)
class Place:
    """A panel's size on the board: 24 columns wide is the whole board, a row is 30 pixels high."""

    panel: Panel
    width: int
    height: int = 8


@dataclass(frozen=True)
class Annotation:
    """What all of a board's series are marked with: SQL that answers `time`, `timeEnd` (or NULL) and `text`."""

    name: str
    sql: str
    tenants: bool = True  #: makes sense to an advertiser, of its own rows


#: Minutes without any hit: an outage, or a quiet night.
GAPS = Annotation(
    "Gaps",
    """
SELECT minute + 60 AS time, next AS timeEnd, 'No hits' AS text
FROM
(
    SELECT minute, leadInFrame(minute) OVER (ORDER BY minute ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING) AS next
    FROM (SELECT DISTINCT minute FROM minute_rows WHERE $__timeFilter(minute))
)
WHERE next > minute + 660
ORDER BY time
""",
    tenants=False,  # one advertiser is quiet more often than the network is out
)


@dataclass(frozen=True)
class Board:
    """Panels in reading order; `scope` names the variables, each held to what the ones before it chose."""

    uid: str
    title: str
    description: str
    places: tuple[Place, ...]
    scope: tuple[Scope, ...] = ()
    annotations: tuple[Annotation, ...] = ()
    refresh: str = "1m"
    since: str = "now-24h"

    @property
    def panels(self) -> tuple[Panel, ...]:
        """The panels alone."""
        return tuple(place.panel for place in self.places)

    def marks(self, advertiser: str) -> tuple[Annotation, ...]:
        """The annotations; for an advertiser alone where one is named."""
        return tuple(each for each in self.annotations if each.tenants or not advertiser)


def choices(scope: tuple[Scope, ...], place: int) -> str:
    """SQL that answers what can be chosen at `place` of a scope, among what the choices before it leave.

    Every minute of the view `minutes` has rows in this table, which tells names apart in a tenth of the time.
    """
    before = "".join(f" AND {_CHOSEN[each]}" for each in scope[:place])
    return (
        f"SELECT DISTINCT {scope[place]} FROM minute_rows"
        f" WHERE $__timeFilter(minute) AND {NAMED}{before} ORDER BY {scope[place]}"
    )
